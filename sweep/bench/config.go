// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"xsweep/loader"
	"xsweep/sweep/probe"
)

// Tx is a way to send.
type Tx string

// The ways. Auto takes xdp where the device and the kernel can, packet on other
// Ethernet devices, and raw where there is no link layer.
const (
	TxAuto   Tx = "auto"
	TxXDP    Tx = "xdp"
	TxPacket Tx = "packet"
)

// ParseTx reads auto, xdp or packet.
func ParseTx(text string) (Tx, error) {
	switch tx := Tx(text); tx {
	case TxAuto, TxXDP, TxPacket:
		return tx, nil
	}
	return "", fmt.Errorf("%q: must be auto, xdp or packet", text)
}

// What a configuration has by default.
const (
	DefaultDrain    = 2 * time.Second // RFC 2544, section 23
	DefaultWarmup   = time.Second
	DefaultDuration = 10 * time.Second
	DefaultSize     = 56
	// MinSize is what the payload takes that tells which probe was answered, in
	// bytes of ICMP data.
	MinSize = probe.PayloadLen
)

// Config says what is measured, and from where.
type Config struct {
	// Targets are probed in turn, each probe one.
	Targets []netip.Addr
	// MaxRate is the highest load of any trial to come, in probes a second: the
	// window follows from it.
	MaxRate uint64
	// Drain is how long answers are waited for; 0 stands for DefaultDrain.
	Drain time.Duration
	// Size is the ICMP data of a probe, in bytes, at least MinSize.
	Size int
	// PacingError is how far the rate may be off in a valid trial, as a share of it;
	// 0 stands for DefaultPacingError.
	PacingError float64
	// Tx is the way to send; Threads how many threads do, 0 stands for 1.
	Tx      Tx
	Threads int
	// XDP is how the judge is attached.
	XDP loader.XDPMode
	// Flows is how many flows probes to a target are of, which differ in source
	// address, as far as there are several, and then in identifier; 0 stands for as
	// many as there are Sources, or 1.
	Flows int
	// Sources are the addresses to send from, none twice; nil: as the routes say, and
	// with several flows the other addresses of the interface too.
	Sources []netip.Addr
	// Interface and GatewayMAC are as in sweep.Config.
	Interface  string
	GatewayMAC net.HardwareAddr
	// Skip, closed, ends the wait for late answers. It may be nil.
	Skip <-chan struct{}
	// Progress is told how a trial goes, ten times a second. It may be nil.
	Progress func(Progress)
	// Second is told of each second of a trial, once it is known what was lost of
	// it: the drain time later. It may be nil.
	Second func(Second)
	// Log is told what was chosen. It must not be nil.
	Log *slog.Logger
}

// Progress is how far a trial is.
type Progress struct {
	Load     Load
	Elapsed  time.Duration // since its first probe
	Draining bool
	// Sent and Answered count probes behind the warm-up.
	Sent, Answered, Duplicate uint64
	Warming                   bool
	P50, P99                  uint64 // ns; 0 where not known
}

func (c *Config) complete() error {
	if c.Drain == 0 {
		c.Drain = DefaultDrain
	}
	if c.PacingError == 0 {
		c.PacingError = DefaultPacingError
	}
	if c.Threads == 0 {
		c.Threads = 1
	}
	if c.Flows == 0 {
		c.Flows = max(len(c.Sources), 1)
	}
	if c.Tx == "" {
		c.Tx = TxAuto
	}
	switch {
	case len(c.Targets) == 0:
		return errors.New("no targets")
	case len(c.Targets) > loader.MaxBenchTargets:
		return fmt.Errorf("%d targets: at most %d", len(c.Targets), loader.MaxBenchTargets)
	case c.Flows < 0 || c.Flows > probe.MaxFlows:
		return fmt.Errorf("%d flows: must be 1 to %d", c.Flows, probe.MaxFlows)
	case c.Flows < len(c.Sources):
		return fmt.Errorf("%d flows from %d source addresses: use as many flows at least", c.Flows, len(c.Sources))
	case c.Size < MinSize:
		return fmt.Errorf("size %d: the payload that tells which probe was answered takes %d bytes", c.Size, MinSize)
	case c.MaxRate == 0:
		return errors.New("no rate")
	case c.Drain < 0:
		return fmt.Errorf("drain time %v: must not be negative", c.Drain)
	}
	return nil
}
