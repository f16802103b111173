// SPDX-License-Identifier: Apache-2.0

package transmit

import (
	"encoding/binary"
	"net/netip"
	"runtime"
	"testing"

	"xsweep/internal/lab"
	"xsweep/internal/lab/labtest"
	"xsweep/sweep/pace"
	"xsweep/sweep/probe"
)

func TestMain(m *testing.M) { labtest.Main(m) }

// testKey is the secret of all tests' probes.
var testKey = [16]byte{1, 2, 3}

// thread is what a transmitter's thread brings along.
type thread struct {
	clock  pace.Clock
	stop   *pace.Stop
	waiter *pace.Waiter
}

// newThread makes the test's goroutine a sending thread. It stays locked, so
// that the thread, whose timers were changed, ends with the test.
func newThread(t testing.TB) thread {
	t.Helper()
	runtime.LockOSThread()
	stop, err := pace.NewStop()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop.Close() })
	clock := pace.NewClock()
	return thread{clock, stop, pace.NewWaiter(clock, stop)}
}

// newTemplate makes probes from the lab's sender, with an Ethernet header if
// asked for, with dataLen bytes of ICMP data, of the given kinds or echo.
func newTemplate(t testing.TB, source netip.Addr, ethernet bool, dataLen int, kinds ...probe.Kind) *probe.Template {
	t.Helper()
	c := probe.TemplateConfig{Key: testKey, Source: source, DataLen: dataLen, Kinds: kinds}
	if ethernet {
		c.SourceMAC, c.NextHop = lab.SenderMAC, lab.ResponderMAC
	}
	template, err := probe.NewTemplate(c)
	if err != nil {
		t.Fatal(err)
	}
	return template
}

// numbered makes n probes whose index is their place, from first on.
func numbered(first, n int) []probe.Probe {
	probes := make([]probe.Probe, n)
	for i := range probes {
		index := first + i
		probes[i] = probe.Probe{Index: uint64(index), Target: 0xf0000000 + uint32(index), Attempt: 1, HopLimit: 64}
	}
	return probes
}

// payload is what a probe's data says: docs/wire-format.md has the layout.
type payload struct {
	index   uint64
	attempt uint8
	sent    int64 // CLOCK_MONOTONIC, ns
}

func readPayload(data []byte) payload {
	word := binary.LittleEndian.Uint64(data[8:])
	return payload{index: word >> 8, attempt: uint8(word), sent: int64(binary.LittleEndian.Uint64(data))}
}
