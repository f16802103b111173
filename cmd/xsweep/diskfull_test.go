// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"xsweep/internal/lab"
	"xsweep/internal/lab/labtest"
)

// lastWords checks how a run has ended whose disk was full.
func lastWords(t *testing.T, r result, path string) {
	t.Helper()
	last := lastLine(r.stderr)
	if r.status != 1 || !strings.HasPrefix(last, "xsweep: ") || !strings.Contains(r.stderr, path) || !strings.Contains(r.stderr, "no space left on device") {
		t.Errorf("status %d, want 1 and last words about %s:\n%s", r.status, path, r.stderr)
	}
}

// A disk that is full ends the sweep, or the sweep goes on without the file; what
// was written is valid, what was not is counted, and another output has all.
func TestFullDisk(t *testing.T) {
	world := lab.Config{Live: 0.6, Seed: 23}
	placeLab(t, world)
	const targets, all = "240.8.0.0/19", 8192
	for _, what := range []string{"stop", "continue"} {
		for _, o := range lastingOutputs {
			if o.format == "parquet" {
				continue // it keeps whole parts, which package sink tests
			}
			t.Run(what+"/"+o.name, func(t *testing.T) {
				full, good := filepath.Join(labtest.Disk(t, 100<<10), o.name), filepath.Join(t.TempDir(), "all.txt")
				c := begin(t, "--rate", "40k", "--cooldown", "200ms", "--on-sink-error", what, "-o", full, "-o", good, targets)
				// Packed, all of it might find room.
				fillAtOnce := strings.HasSuffix(o.name, ".gz") || strings.HasSuffix(o.name, ".zst")
				if fillAtOnce {
					labtest.Fill(t, filepath.Dir(full), 8<<10)
				}
				r := c.end(t)
				a := (&saga{dir: filepath.Dir(c.summary)}).account(t)
				n := a.count
				found := addresses(t, readText(t, good))
				if uint64(len(found)) != n("records.emitted") {
					t.Errorf("%s has %d lines of %d", good, len(found), n("records.emitted"))
				}
				switch what {
				case "stop":
					lastWords(t, r, full)
					if n("probes.unsent.stopped") == 0 && !fillAtOnce {
						t.Error("it has sent everything")
					}
				case "continue":
					if r.status != 1 || !strings.Contains(r.stderr, "going on without it") || !strings.Contains(lastLine(r.stderr), "could not be written to "+full) {
						t.Errorf("status %d, %s", r.status, r.stderr)
					}
					if problem := compareSets(found, truth(t, world, targets)); problem != "" || n("targets.swept") != all {
						t.Errorf("%d targets swept; %s", n("targets.swept"), problem)
					}
				}
				if isThere(full) || n("records.sinks.0.failed") == 0 {
					t.Errorf("%s has its name: %v; %d records failed", full, isThere(full), n("records.sinks.0.failed"))
				}
				var rows []row
				if text := unpacked(t, full+".partial"); text != "" {
					var err error
					if rows, err = readRows(o.format, text); err != nil {
						t.Fatal(err)
					}
				}
				if uint64(len(rows)) != n("records.sinks.0.written") || len(rows) == 0 && !fillAtOnce {
					t.Errorf("%d records are in the file, the summary says %d", len(rows), n("records.sinks.0.written"))
				}
			})
		}
	}
}

// A sweep whose output found no room goes on once there is some. If it had stopped
// for that, it lacks nothing then; if it had gone on, the file lacks what is
// counted as failed, and does not get its name. The other outputs have each record
// once.
func TestFullDiskResumed(t *testing.T) {
	world := lab.Config{Live: 0.6, Seed: 24}
	placeLab(t, world)
	for _, what := range []string{"stop", "continue"} {
		t.Run(what, func(t *testing.T) {
			disk := labtest.Disk(t, 4<<20)
			full := filepath.Join(disk, "full.csv")
			s := newSaga(t, world, "240.8.0.0/19", "--rate", "10k", "--on-sink-error", what, "-o", full)
			filler := labtest.Fill(t, disk, 200<<10)
			r := s.end(t, s.begin(t, false))
			if what == "stop" {
				lastWords(t, r, full)
			} else if r.status != 1 || s.state(t).Complete {
				t.Errorf("status %d, complete %v, %s", r.status, s.state(t).Complete, r.stderr)
			}
			s.account(t)
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
			r = s.end(t, s.begin(t, true))
			a := s.check(t)
			failed, records := a.count("records.sinks.5.failed"), s.truth(t, a).records
			if what == "stop" {
				if problem := compareSets(resultsOf(t, full, "csv"), records); problem != "" || failed != 0 || r.status != 0 {
					t.Errorf("%d records failed, status %d; %s", failed, r.status, problem)
				}
				return
			}
			r = s.end(t, s.begin(t, true)) // there is nothing left to do
			n := uint64(len(resultsOf(t, full+".partial", "csv")))
			if failed == 0 || n+failed != uint64(len(records)) || r.status != 1 || isThere(full) {
				t.Errorf("%d records failed, %d are there of %d; status %d, it has its name: %v", failed, n, len(records), r.status, isThere(full))
			}
		})
	}
}

// A sweep whose checkpoint cannot be saved ends and says so. The last one that
// was saved is good, and goes on once there is room.
func TestFullDiskCheckpoint(t *testing.T) {
	world := lab.Config{Live: 0.6, Seed: 25}
	placeLab(t, world)
	for _, room := range []int64{0, 8 << 10, 20 << 10} {
		t.Run(fmt.Sprint(room), func(t *testing.T) {
			disk := labtest.Disk(t, 4<<20)
			s := newSaga(t, world, "240.8.0.0/19", "--rate", "10k", "--checkpoint", filepath.Join(disk, "ck"))
			c := s.begin(t, false)
			s.awaitSent(t, c, 1000)
			filler := labtest.Fill(t, disk, room)
			r := s.end(t, c)
			lastWords(t, r, s.checkpoint)
			s.account(t)
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
			s.finish(t)
			s.check(t)
		})
	}
	// Where there is no room from the start nothing is sent.
	disk := labtest.Disk(t, 64<<10)
	s := newSaga(t, world, "240.8.0.0/19", "--checkpoint", filepath.Join(disk, "ck"))
	filler := labtest.Fill(t, disk, 0)
	r := s.end(t, s.begin(t, false))
	if r.status != 2 || !strings.Contains(r.stderr, "xsweep: checkpoint "+s.checkpoint+": ") || s.sent(t) != 0 {
		t.Errorf("status %d, %d probes were sent, %s", r.status, s.sent(t), r.stderr)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	s.finish(t)
	s.check(t)
}
