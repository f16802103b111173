// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"xsweep/sweep/checkpoint"
	"xsweep/sweep/sink"
	"xsweep/sweep/target"
)

// ErrOtherSweep says that a checkpoint belongs to other targets or settings.
var ErrOtherSweep = errors.New("it belongs to another sweep")

// Checkpoint lets a sweep go on after its process was ended, however that was. It
// holds a lock until it is closed: no other process can use it meanwhile.
type Checkpoint struct {
	file  *checkpoint.File
	plan  savedPlan
	state savedState
}

// savedPlan is what stays the same over all runs of a sweep.
type savedPlan struct {
	Targets  []savedTarget       `json:"targets"`
	Exclude  [][2]uint32         `json:"exclude"`
	Seed     uint64              `json:"seed"`
	Identity map[string]string   `json:"identity"`
	Settings map[string][]string `json:"settings"`
}

type savedTarget struct {
	First uint32 `json:"first"`
	Last  uint32 `json:"last"`
	Text  string `json:"text"`
}

// savedState is where a sweep stands.
type savedState struct {
	Key      string    `json:"key"`
	Source   string    `json:"source"`
	Run      uint16    `json:"run"`       // that saved it, from 0
	FirstRun uint16    `json:"first_run"` // of those since the machine was started
	Boot     string    `json:"boot"`      // the kernel's random id of that
	At       int64     `json:"at"`        // CLOCK_BOOTTIME, ns
	Saved    time.Time `json:"saved"`

	Low  uint64 `json:"low"` // place to go on from
	Done spans  `json:"done"`
	// Allowed is how many probes may be sent before the next state is saved, at
	// the highest rate so far; none once a run has ended.
	Allowed  uint64                `json:"allowed"`
	Rate     uint64                `json:"rate"`
	Complete bool                  `json:"complete"`
	Account  account               `json:"account"`
	Marks    map[string]*sink.Mark `json:"marks"`
	Summary  *Summary              `json:"summary,omitempty"` // of a sweep that is complete
}

// OpenCheckpoint opens the checkpoint of that name, or prepares a new one where
// there is none, and locks it. What it keeps stands in files beside each other:
// path, path.prev and path.log; see package checkpoint.
func OpenCheckpoint(path string) (*Checkpoint, error) {
	file, err := checkpoint.Open(path)
	if err != nil {
		return nil, err
	}
	c := &Checkpoint{file: file}
	if file.State() == nil {
		return c, nil
	}
	if err := errors.Join(json.Unmarshal(file.Plan(), &c.plan), json.Unmarshal(file.State(), &c.state)); err != nil {
		file.Close()
		return nil, fmt.Errorf("checkpoint %s: another version of xsweep made it: %w", path, err)
	}
	return c, nil
}

// Path is the checkpoint's name.
func (c *Checkpoint) Path() string { return c.file.Path() }

// Resumes says whether there is a sweep to go on with.
func (c *Checkpoint) Resumes() bool { return c.file.State() != nil }

// Complete is the summary of a sweep that has nothing left to do.
func (c *Checkpoint) Complete() (Summary, bool) {
	if !c.state.Complete || c.state.Summary == nil {
		return Summary{}, false
	}
	return *c.state.Summary, true
}

// Targets, Exclude and Seed are those of the sweep that the checkpoint is of, for
// a Config that goes on with it.
func (c *Checkpoint) Targets() []target.Target {
	var targets []target.Target
	for _, t := range c.plan.Targets {
		targets = append(targets, target.Target{
			Range: target.Range{First: target.Addr(t.First), Last: target.Addr(t.Last)}, Text: t.Text, Where: c.Path(),
		})
	}
	return targets
}

// Exclude is what the sweep leaves out.
func (c *Checkpoint) Exclude() target.Set {
	var ranges []target.Range
	for _, r := range c.plan.Exclude {
		ranges = append(ranges, target.Range{First: target.Addr(r[0]), Last: target.Addr(r[1])})
	}
	return target.NewSet(ranges...)
}

// Seed is the seed of the sweep's order.
func (c *Checkpoint) Seed() uint64 { return c.plan.Seed }

// Settings are the caller's own, as Config.Settings had them when the sweep began.
func (c *Checkpoint) Settings() map[string][]string { return c.plan.Settings }

// Mark is how far an output is whole, by the path that its sink's Counts tell; nil
// where the checkpoint has none.
func (c *Checkpoint) Mark(path string) *sink.Mark { return c.state.Marks[path] }

// Live yields the addresses that gave a reply so far, in host byte order, some
// more than once. What went wrong on the way is written to failed.
func (c *Checkpoint) Live(failed *error) iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for a := range c.file.Answers(failed) {
			for _, target := range a.Targets {
				if !yield(target) {
					return
				}
			}
		}
	}
}

// Close gives the lock back.
func (c *Checkpoint) Close() error { return c.file.Close() }

// identity is what makes two configurations those of one sweep, by the names of
// flags: what is probed, and of what there are records. How fast and by which way
// probes are sent may change from run to run.
func (p *Plan) identity() map[string]string {
	c := p.config
	where := ""
	if c.Where != nil {
		where = c.Where.String()
	}
	sum := sha256.New()
	for _, r := range p.selection.Set.Ranges() {
		fmt.Fprintf(sum, "%d-%d,", r.First, r.Last)
	}
	return map[string]string{
		"targets": fmt.Sprintf("%d addresses of %d named, digest %s",
			p.selection.Set.Len(), p.selection.Named, hex.EncodeToString(sum.Sum(nil)[:4])),
		"seed":            fmt.Sprint(c.Seed),
		"shard":           c.Shard.String(),
		"probe":           strings.Join(kindNames(c.Kinds), ","),
		"probes":          fmt.Sprint(c.Probes),
		"ttl":             fmt.Sprint(c.HopLimit),
		"size":            fmt.Sprint(c.Size),
		"payload-pattern": hex.EncodeToString(c.Pattern),
		"tos":             fmt.Sprint(c.TOS),
		"df":              fmt.Sprint(c.DontFragment),
		"replies":         string(c.Replies),
		"all":             fmt.Sprint(c.RecordAll),
		"where":           where,
		"max-results":     fmt.Sprint(c.MaxResults),
	}
}

// savedPlan is the plan as a checkpoint keeps it.
func (p *Plan) saved() savedPlan {
	s := savedPlan{Seed: p.config.Seed, Identity: p.identity(), Settings: p.config.Settings, Exclude: [][2]uint32{}}
	for _, t := range p.config.Targets {
		s.Targets = append(s.Targets, savedTarget{uint32(t.Range.First), uint32(t.Range.Last), t.Text})
	}
	for _, r := range p.config.Exclude.Ranges() {
		s.Exclude = append(s.Exclude, [2]uint32{uint32(r.First), uint32(r.Last)})
	}
	return s
}

// fits says whether a plan is the one that the checkpoint is of, and else what
// differs.
func (c *Checkpoint) fits(p *Plan) error {
	if !c.Resumes() {
		return nil
	}
	now := p.identity()
	var differences []string
	for _, name := range slices.Sorted(maps.Keys(now)) {
		if was := c.plan.Identity[name]; was != now[name] {
			differences = append(differences, fmt.Sprintf("%s is %s there, %s here", name, shown(was), shown(now[name])))
		}
	}
	if len(differences) == 0 {
		return nil
	}
	return fmt.Errorf("checkpoint %s: %w: %s: use another --checkpoint, or remove it to begin anew",
		c.Path(), ErrOtherSweep, strings.Join(differences, "; "))
}

func shown(value string) string {
	if value == "" {
		return "empty"
	}
	return value
}

// maxRun is the last run that a payload can name.
const maxRun = math.MaxUint16

// next is the state that a new run begins with.
func (c *Checkpoint) next(key [16]byte, rate uint64) (savedState, error) {
	boot, at := bootTime()
	s := savedState{Key: hex.EncodeToString(key[:]), Boot: boot, At: at, Rate: rate, Marks: map[string]*sink.Mark{}}
	if !c.Resumes() {
		return s, nil
	}
	was := c.state
	if was.Run == maxRun {
		return s, fmt.Errorf("checkpoint %s: the sweep was resumed %d times, more than its probes can tell", c.Path(), maxRun)
	}
	s.Key, s.Run, s.FirstRun, s.Low, s.Done, s.Account = was.Key, was.Run+1, was.FirstRun, was.Low, was.Done, was.Account
	if was.Marks != nil {
		s.Marks = was.Marks
	}
	if was.Boot != boot {
		s.FirstRun = s.Run
	}
	s.Account.Unaccounted += unaccounted(&was, boot, at)
	return s, nil
}

// unaccounted is how many probes the run that saved a state sent after that, at
// most.
func unaccounted(was *savedState, boot string, now int64) uint64 {
	most := was.Allowed
	// It had no more time than there was since then.
	if was.Boot == boot && was.Rate != 0 && now > was.At {
		const burst = 64
		seconds := float64(now-was.At) / 1e9
		most = min(most, uint64(seconds*float64(was.Rate))+burst)
	}
	return most
}

// bootTime is the kernel's name for this uptime, and how long it has been, in ns.
func bootTime() (id string, at int64) {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		text = nil // then no two runs are of one uptime
	}
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return "", 0 // cannot be: the clock is there since Linux 2.6.39
	}
	return string(bytes.TrimSpace(text)), ts.Nano()
}

// resume prepares a run with a checkpoint, and returns the sweep's key: the one
// given, if it begins with this run.
func (r *run) resume(key [16]byte) ([16]byte, error) {
	c := r.config.Checkpoint
	if r.config.Many {
		return key, fmt.Errorf("checkpoint %s: many answers to one probe cannot be kept: sweep without --checkpoint", c.Path())
	}
	r.saver = &saver{run: r, checkpoint: c, every: r.config.CheckpointEvery, rate: boundOf(r.config.Rate, 1), spare: new(checkpoint.Found)}
	var err error
	if r.saver.base, err = c.next(key, r.saver.rate); err != nil {
		return key, err
	}
	r.before = r.saver.base.Account
	saved, err := hex.DecodeString(r.saver.base.Key)
	if err != nil || copy(key[:], saved) != len(key) {
		return key, fmt.Errorf("checkpoint %s: it has no key", c.Path())
	}
	return key, nil
}

// restore makes the filter know what earlier runs got.
func (r *run) restore() error {
	c := r.config.Checkpoint
	var answers, refusals error
	errored, err := r.filter.Restore(c.file.Answers(&answers), c.file.Refusals(&refusals))
	if err := errors.Join(answers, refusals, err); err != nil {
		return fmt.Errorf("checkpoint %s: %w", c.Path(), err)
	}
	r.saver.base.Account.Stats.Errored, r.before.Stats.Errored = errored, errored
	return nil
}
