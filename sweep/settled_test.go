// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"xsweep/internal/lab"
	"xsweep/internal/lab/labtest"
)

// While a sink takes its time records wait in the rings, for longer than the
// cooldown if need be. No checkpoint goes on behind their targets.
func TestCheckpointWaitsForRecords(t *testing.T) {
	labtest.Kernel(t)
	startLab(t, lab.Config{Live: 1})
	dir, seen := t.TempDir(), t.TempDir()
	ck, err := OpenCheckpoint(filepath.Join(dir, "ck"))
	if err != nil {
		t.Fatal(err)
	}
	defer ck.Close()
	out := &lazy{take: make(chan struct{}), letGo: make(chan struct{})}
	c := Config{
		Targets: named(t, "240.0.0.0/15"), Tx: TxPacket, Rate: 50_000, Cooldown: 200 * time.Millisecond,
		Checkpoint: ck, CheckpointEvery: 400 * time.Millisecond, Monitor: new(Monitor),
	}
	done := make(chan error)
	go func() {
		_, err := Run(t.Context(), c, out)
		done <- err
	}()
	for until := time.Now().Add(within); c.Monitor.Progress().Accepted < 60_000 && time.Now().Before(until); {
		time.Sleep(20 * time.Millisecond) // a look now and then, not a wait for something
	}
	for range 20 {
		out.take <- struct{}{}
		time.Sleep(30 * time.Millisecond) // for what a save does between two batches
		for _, name := range []string{"ck", "ck.log"} {
			content, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(seen, name), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		copied, err := OpenCheckpoint(filepath.Join(seen, "ck"))
		if err != nil {
			t.Fatal(err)
		}
		answers := uint64(0)
		for range copied.Live(&err) {
			answers++
		}
		if err != nil || copied.state.Low > answers {
			t.Errorf("it goes on from place %d, and has %d answers (%v)", copied.state.Low, answers, err)
		}
		copied.Close()
	}
	close(out.letGo)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n := len(out.records); n != 1<<17 {
		t.Errorf("%d records", n)
	}
}
