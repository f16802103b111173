// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"xsweep/sweep/probe"
)

// completeProbes decides what probes look like.
func (f *sweepFlags) completeProbes() error {
	c := &f.config
	var err error
	if c.Kinds, err = probe.ParseKinds(f.probe); err != nil {
		return fmt.Errorf("--%w", err)
	}
	echo := slices.Contains(c.Kinds, probe.Echo)
	for _, flag := range []string{"size", "payload-pattern"} {
		if f.changed(flag) && !echo {
			return fmt.Errorf("--%s: %s requests have a fixed size: leave it out, or send echo requests too", flag, f.probe)
		}
	}
	if c.Many && (!echo || len(c.Kinds) > 1) {
		return fmt.Errorf("--many: only echo requests bring back whom they were for: use --probe echo")
	}
	c.HopLimit, c.TOS = uint8(f.ttl), uint8(f.tos)
	// None, where zero would mean the default.
	if c.Size = f.size; c.Size == 0 {
		c.Size = -1
	}
	if f.changed("dscp") {
		if f.changed("tos") {
			return errors.New("--tos and --dscp set the same octet: give one")
		}
		if c.TOS, err = parseDSCP(f.dscp); err != nil {
			return fmt.Errorf("--dscp %w", err)
		}
	}
	if f.changed("payload-pattern") {
		if c.Pattern, err = hex.DecodeString(f.pattern); err != nil || len(c.Pattern) == 0 {
			return fmt.Errorf("--payload-pattern %q: must be pairs of hexadecimal digits, such as a5 or deadbeef", f.pattern)
		}
	}
	return nil
}
