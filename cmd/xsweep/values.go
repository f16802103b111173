// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math"
	"net"
	"net/netip"

	"xsweep/internal/si"
)

// flagValue is a flag read by a function: pflag.Value for any type.
type flagValue[T any] struct {
	value *T
	parse func(string) (T, error)
	show  func(T) string
	kind  string
}

func (v flagValue[T]) String() string { return v.show(*v.value) }
func (v flagValue[T]) Type() string   { return v.kind }
func (v flagValue[T]) Set(text string) error {
	value, err := v.parse(text)
	if err == nil {
		*v.value = value
	}
	return err
}

// parseCount reads a whole number with an optional k, M or G.
func parseCount(text string) (uint64, error) {
	value, err := si.Parse(text)
	if err != nil || value != math.Trunc(value) || value >= 1<<53 {
		return 0, fmt.Errorf("%q must be a whole number, such as 500 or 10k", text)
	}
	return uint64(value), nil
}

// parseInt is parseCount for numbers that are small.
func parseInt(text string) (int, error) {
	n, err := parseCount(text)
	if err == nil && n > math.MaxInt32 {
		err = fmt.Errorf("%q is too large", text)
	}
	return int(n), err
}

func parseSource(text string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(text)
	if err != nil || !addr.Is4() {
		return netip.Addr{}, fmt.Errorf("%q is not an IPv4 address", text)
	}
	return addr, nil
}

func parseMAC(text string) (net.HardwareAddr, error) {
	mac, err := net.ParseMAC(text)
	if err != nil || len(mac) != 6 {
		return nil, fmt.Errorf("%q is not an Ethernet address, such as 02:00:00:00:00:01", text)
	}
	return mac, nil
}
