// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"xsweep/internal/route"
	"xsweep/loader"
	"xsweep/sweep/checkpoint"
	"xsweep/sweep/pace"
)

// DefaultCheckpointEvery is how often a sweep with a checkpoint is saved.
const DefaultCheckpointEvery = 2 * time.Second

// minCheckpointEvery is the least time between two checkpoints.
const minCheckpointEvery = 10 * time.Millisecond

// saver saves where a run stands, now and then and at its end.
type saver struct {
	run        *run
	checkpoint *Checkpoint
	base       savedState // what the run began with
	every      time.Duration
	begun      bool // a first state was saved: the checkpoint is of this sweep
	quit       chan struct{}
	work       sync.WaitGroup

	sampling sync.Mutex // guards the ledger's samples and the rate
	rate     uint64     // the highest asked for so far; 0: no bound
	taken    uint64     // probes when it was saved last
	spare    *checkpoint.Found
}

// recordLag is how long a packet may be on its way from its time of arrival to
// where a reader of the ring sees its record, with much to spare.
const recordLag = 10 * time.Millisecond

// ahead is for how many intervals a run may send before its next state is saved:
// a disk that is slow for a while shall not be felt.
const ahead = 4

// first begins a new checkpoint, or goes on with the one there is, and saves what
// the run begins with.
func (k *saver) first() error {
	file := k.checkpoint.file
	if k.checkpoint.Resumes() {
		k.run.config.Log.Warn(fmt.Sprintf("going on with %s, from place %d of %d", file.Path(), k.base.Low, k.run.plan.due()),
			"checkpoint", file.Path(), "run", k.base.Run, "from", k.base.Low)
		if err := file.Continue(); err != nil {
			return err
		}
	} else {
		plan, err := json.Marshal(k.run.plan.saved())
		if err != nil {
			return fmt.Errorf("checkpoint %s: %w", file.Path(), err)
		}
		if err := file.Begin(plan); err != nil {
			return err
		}
	}
	err := k.save(saving{})
	k.begun = err == nil
	return err
}

// begin lets the saver work by itself.
func (k *saver) begin() {
	k.quit = make(chan struct{})
	k.work.Add(2)
	go func() {
		defer k.work.Done()
		tick := time.NewTicker(min(sampleEvery, max(k.every/8, time.Millisecond)))
		defer tick.Stop()
		for {
			select {
			case <-k.quit:
				return
			case <-tick.C:
				k.sample()
			}
		}
	}()
	go func() {
		defer k.work.Done()
		// Somewhat sooner than asked for: what waits in rings and between two samples
		// is probed again too.
		tick := time.NewTicker(k.every - min(k.every/8, 2*collectEvery))
		defer tick.Stop()
		for {
			select {
			case <-k.quit:
				return
			case <-tick.C:
				if err := k.save(saving{}); err != nil {
					k.run.fail(err)
					return
				}
			}
		}
	}()
}

// stop ends what begin began.
func (k *saver) stop() {
	if k.quit != nil {
		close(k.quit)
		k.work.Wait()
		k.quit = nil
	}
}

// sample notes where the sweep stands.
func (k *saver) sample() {
	k.sampling.Lock()
	defer k.sampling.Unlock()
	k.run.ledger.sample(k.run.clock.Now(), func(sender int) uint64 {
		s := k.run.senders[sender]
		if !s.open.Load() {
			return 0
		}
		return s.tx.Handed()
	})
}

func (k *saver) lowWater(now int64) uint64 {
	k.sampling.Lock()
	defer k.sampling.Unlock()
	return k.run.ledger.lowWater(now)
}

// saving says what is special about a save.
type saving struct {
	ended    bool     // the run sends nothing any more, and all records are through
	complete *Summary // the sweep has nothing left to do
}

// save makes durable where the run stands. What it has got is taken before what
// it has sent, so that no reply is known whose probe is not.
func (k *saver) save(s saving) error {
	r, now := k.run, k.run.clock.Now()
	if !s.ended {
		now = r.collector.settled() - int64(recordLag)
	}
	low := max(k.lowWater(now), k.base.Low)
	snapshot := r.collector.snapshot(k.spare)
	standing := r.ledger.standing()
	boot, at := bootTime() // before what was sent is counted: what comes then is not in the account
	own := r.account(time.Now())
	own.count(&standing)
	if err := r.countStats(&own, &snapshot); err != nil {
		return err
	}
	r.countDevice(&own, s.ended)
	state := k.base
	state.Boot, state.At = boot, at
	state.Saved = time.Now().UTC()
	state.Source = r.route.Source.String()
	state.Account = k.total(&own)
	state.Low, state.Marks, state.Complete, state.Summary = low, snapshot.marks, s.complete != nil, s.complete
	state.Done = append(spans(nil), k.base.Done...)
	for _, done := range standing.done {
		state.Done = state.Done.add(done)
	}
	// Places from low on are begun again. What this run has been through of them is
	// then probed twice.
	if handled := k.base.Low + own.handled(); handled > low {
		state.Account.Again += handled - low
	}
	taken := total64(standing.taken)
	state.Rate = k.bound()
	if !s.ended {
		state.Allowed = k.allowed(state.Rate, taken)
	}
	text, err := json.Marshal(&state)
	if err != nil {
		return fmt.Errorf("checkpoint %s: %w", k.checkpoint.Path(), err)
	}
	r.collector.sync()
	// An output that has failed ends the sweep. What it lacks no checkpoint may hold:
	// a resumed sweep shall bring it again.
	saved := r.collector.goOn || r.collector.works()
	if saved {
		err = k.checkpoint.file.Save(snapshot.found, text)
	}
	if saved = saved && err == nil; !saved {
		r.collector.putBack(snapshot.found)
	}
	snapshot.found.Reset()
	k.spare = snapshot.found
	if !saved {
		return err
	}
	r.collector.committed()
	r.allowance.limit.Store(taken + state.Allowed)
	k.taken, k.checkpoint.state = taken, state
	return nil
}

// countDevice adds what the device has counted. What others have sent is known
// once nothing more is sent by this run.
func (r *run) countDevice(a *account, ended bool) {
	name := r.route.Interface.Name
	now, err := route.ReadCounters(r.route.Interface.Index)
	if err != nil {
		return // it is gone, which ends the sweep
	}
	a.countDevice(name, now, r.counters)
	if d := a.Devices[name]; !ended {
		d.Unexplained = 0
		a.Devices[name] = d
	}
}

// total is the account of all runs together.
func (k *saver) total(own *account) account {
	all := k.base.Account
	all.add(own)
	return all
}

// allowed is how many probes may be sent until the state after this one is saved.
func (k *saver) allowed(rate, taken uint64) uint64 {
	intervals := ahead * k.every.Seconds()
	if rate != 0 {
		return uint64(float64(rate)*intervals) + pace.Burst
	}
	const most = 32_000_000 // packets a second: more than any device takes
	if k.taken == 0 {
		return uint64(most * max(intervals, 1))
	}
	return max(ahead*(taken-min(k.taken, taken)), most) // some may have been taken back
}

// bound is the highest rate that was asked for so far; 0 is none.
func (k *saver) bound() uint64 {
	k.sampling.Lock()
	defer k.sampling.Unlock()
	return k.rate
}

// setRate tells that probes are sent at a rate from now on.
func (k *saver) setRate(rate pace.Rate) {
	k.sampling.Lock()
	defer k.sampling.Unlock()
	k.rate = boundOf(rate, k.rate)
}

// boundOf is a bound of two rates; 0 is none.
func boundOf(rate pace.Rate, before uint64) uint64 {
	if rate == pace.Max || before == 0 {
		return 0
	}
	return max(uint64(rate), before)
}

func total64(counts []uint64) (n uint64) {
	for _, c := range counts {
		n += c
	}
	return n
}

// countStats adds what the filter has counted. Of verdicts that there are records
// of, those count that the sinks were given: others wait in a ring, and if the
// run is killed, they were never seen.
func (r *run) countStats(a *account, s *snapshot) error {
	m := r.config.Monitor
	m.mu.Lock()
	stats, err := r.filter.Stats()
	m.mu.Unlock()
	if err != nil {
		return err
	}
	for v := range stats.Verdicts {
		if r.recordsOf(loader.Verdict(v)) {
			stats.Verdicts[v] = s.verdicts[v]
		}
	}
	stats.Judged = total64(stats.Verdicts[:])
	a.Stats = stats
	a.Emitted, a.Kept, a.Lost, a.Extensions = s.emitted, s.kept-r.before.Kept, s.lost, s.extensions
	return nil
}

// recordsOf says whether the filter makes a record of each packet of a verdict.
func (r *run) recordsOf(v loader.Verdict) bool {
	first, failed := r.config.recordsFirst() || r.saver != nil, r.config.recordsErrors() || r.saver != nil
	switch v {
	case loader.First:
		return first
	case loader.Repeat, loader.Duplicate:
		return first && r.config.RecordAll
	case loader.Error, loader.ErrorUnchecked:
		return failed
	case loader.ErrorDuplicate:
		return failed && r.config.RecordAll
	}
	return false
}

// wanted says whether a record is for the sinks: with a checkpoint the filter
// makes some that are for that alone.
func (c Config) wanted(v loader.Verdict) bool {
	switch v {
	case loader.First, loader.Repeat, loader.Duplicate:
		return c.recordsFirst()
	}
	return c.recordsErrors()
}
