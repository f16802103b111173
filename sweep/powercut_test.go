// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"xsweep/internal/durable"
	"xsweep/internal/lab"
	"xsweep/internal/testrand"
)

// disk is what of a directory a power cut leaves: of each file what it had when it
// was synced last, under the names that the directory had when that was.
type disk struct {
	dir    string
	random *rand.Rand
	cut    func() // called when the power goes

	mu      sync.Mutex
	left    int               // events until then
	content map[uint64][]byte // by inode
	names   map[string]uint64
	laidOut map[string][]byte // once it is gone
}

// event is told what was synced.
func (d *disk) event(path string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.laidOut != nil {
		return
	}
	if d.left--; d.left < 0 {
		d.fail()
		return
	}
	if path == d.dir {
		d.names = d.list()
		return
	}
	if text, err := os.ReadFile(path); err == nil {
		d.content[inode(path)] = text
	}
}

func inode(path string) uint64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Sys().(*syscall.Stat_t).Ino
}

// list is the names in the directory now.
func (d *disk) list() map[string]uint64 {
	names := map[string]uint64{}
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		names[e.Name()] = inode(filepath.Join(d.dir, e.Name()))
	}
	return names
}

// fail cuts the power. What was not synced may be on the disk all the same: names,
// and of files that grew any part of that, or as much of zeros.
func (d *disk) fail() {
	names := d.names
	if d.random.IntN(2) == 0 {
		names = d.list()
	}
	d.laidOut = map[string][]byte{}
	for name, ino := range names {
		text := append([]byte(nil), d.content[ino]...)
		now, err := os.ReadFile(filepath.Join(d.dir, name))
		if err == nil && inode(filepath.Join(d.dir, name)) == ino && len(now) > len(text) && d.grows(name) {
			more := append([]byte(nil), now[len(text):]...)
			more = more[:d.random.IntN(len(more)+1)]
			if d.random.IntN(3) == 0 {
				clear(more)
			}
			text = append(text, more...)
		}
		d.laidOut[name] = text
	}
	d.cut()
}

// grows says whether a file is appended to.
func (d *disk) grows(name string) bool {
	return strings.HasSuffix(name, ".log") || strings.HasSuffix(name, ".partial")
}

// restart makes the directory what is left of it.
func (d *disk) restart(t *testing.T) {
	t.Helper()
	for name := range d.list() {
		if err := os.Remove(filepath.Join(d.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range d.laidOut {
		if err := os.WriteFile(filepath.Join(d.dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// After a power cut at any moment the sweep goes on, and at its end every host is in
// the results, and in each once.
func TestPowerCut(t *testing.T) {
	world := lab.Config{Live: 0.5, Seed: 32, Duplicate: 0.1}
	startLab(t, world)
	random := testrand.New(t)
	for number := range 6 {
		l := &lasting{dir: t.TempDir(), config: Config{
			Targets: named(t, "240.9.0.0/20"), Seed: 6, Rate: 10_000, Cooldown: 100 * time.Millisecond, CheckpointEvery: 20 * time.Millisecond,
			Tx: []Tx{TxPacket, TxXDP}[number%2],
		}}
		cuts, sum := 0, Summary{}
		for complete := false; !complete; {
			ctx, cancel := context.WithCancel(t.Context())
			skip := make(chan struct{})
			d := &disk{
				dir: l.dir, random: random, left: random.IntN(150), content: map[uint64][]byte{},
				cut: func() { cancel(); close(skip) },
			}
			if cuts == 4 {
				d.left = 1 << 30
			}
			// What is there has been there since the last cut.
			for name, ino := range d.list() {
				if text, err := os.ReadFile(l.path(name)); err == nil {
					d.content[ino] = text
				}
			}
			d.names = d.list()
			stop := durable.Observe(d.event)
			c, sinks := l.open(t, l.path("ck"))
			if cuts > 0 && c.Resumes() {
				c.state.Boot = "before the power was cut"
			}
			l.config.SkipCooldown = skip
			s, err := l.run(ctx, t, c, sinks)
			stop()
			cancel()
			if d.laidOut != nil {
				d.restart(t)
				cuts++
				continue
			}
			if err != nil {
				t.Fatalf("after %d cuts: %v", cuts, err)
			}
			sum, complete = s, true
		}
		l.check(t, &sum, world)
		if t.Failed() {
			t.Fatalf("by %s, after %d cuts", l.config.Tx, cuts)
		}
		t.Logf("%s: %d cuts, %d runs", l.config.Tx, cuts, sum.Runs)
	}
}
