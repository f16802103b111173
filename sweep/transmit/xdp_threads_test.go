// SPDX-License-Identifier: Apache-2.0

package transmit

import (
	"runtime"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"xsweep/internal/lab"
	"xsweep/internal/lab/labtest"
	"xsweep/loader"
	"xsweep/sweep/pace"
	"xsweep/sweep/probe"
)

// Threads that share a queue whose far end falters overrun it again and again:
// each gets all of its frames through in the end, with nothing refused, nothing
// lost and nothing sent twice.
func TestXDPThreadsShareAQueue(t *testing.T) {
	labtest.Kernel(t)
	const n = 20_000 // frames a thread
	cpus, err := loader.UsableCPUs()
	if err != nil {
		t.Fatal(err)
	}
	if len(cpus) < 2 {
		labtest.Lacking(t, "two CPUs")
	}
	l := startLab(t, lab.Config{Responder: lab.Sink})
	far := newFarEnd(t, l)
	sunk := uint64(0)
	for range 5 {
		c := sendByTwo(t, far, cpus[:2], n)
		t.Logf("%+v", c)
		if c.Accepted+c.Refused[unix.ENOBUFS] != 2*n || c.Unconfirmed != 0 {
			t.Errorf("counted: %+v", c)
		}
		sunk += c.Accepted
		settle(t, l, sunk)
		if c.Retries > 0 && c.Refused == nil || t.Failed() {
			return
		}
	}
	t.Error("each time nothing was tried again, or the silence was too long")
}

// sendByTwo sends n frames by each of two threads to a far end that falters, and
// returns the sum of their accounts.
func sendByTwo(t *testing.T, far *farEnd, cpus []int, n int) Counts {
	t.Helper()
	template := newTemplate(t, lab.SenderAddr.Netip(), true, probe.PayloadLen)
	kernel, err := loader.LoadTransmit(loader.TransmitConfig{
		Key: testKey, Device: deviceIndex(t), Flows: KernelFlows(template), Shapes: KernelShapes(template), Tagged: template.Tagged(), UTOffset: template.UTOffset(),
		CPUs: cpus,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer kernel.Close()
	stop, err := pace.NewStop()
	if err != nil {
		t.Fatal(err)
	}
	defer stop.Close()
	txs := make([]Transmitter, len(cpus))
	var opened, threads sync.WaitGroup
	opened.Add(len(cpus))
	begin := make(chan struct{})
	for i, cpu := range cpus {
		threads.Go(func() {
			runtime.LockOSThread() // and not unlocked: its timers were changed
			tx, err := NewXDP(Config{
				Device: lab.SenderDevice, Index: deviceIndex(t), Template: template,
				Pace: pace.Config{Rate: pace.Max, Threads: len(cpus)}, Waiter: pace.NewWaiter(pace.NewClock(), stop),
			}, kernel, cpu)
			txs[i] = tx
			opened.Done()
			if err != nil {
				t.Error(err)
				return
			}
			<-begin
			if handed, err := send(tx, numbered(i*n, n)); handed != n || err != nil {
				t.Errorf("%d handed, %v", handed, err)
			}
		})
	}
	opened.Wait()
	counts := func() (sum Counts) {
		for _, tx := range txs {
			if tx != nil {
				sum.Add(tx.Counts())
			}
		}
		return sum
	}
	end := far.falter(t, counts)
	close(begin)
	threads.Wait()
	end()
	for _, tx := range txs {
		if tx != nil {
			if err := tx.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	return counts()
}
