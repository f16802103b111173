// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"xsweep/internal/route"
	"xsweep/loader"
	"xsweep/sweep/pace"
	"xsweep/sweep/sink"
	"xsweep/sweep/transmit"
)

// StartError is an error that came before the first probe: nothing was sent.
type StartError struct{ Err error }

func (e *StartError) Error() string { return e.Err.Error() }
func (e *StartError) Unwrap() error { return e.Err }

// ErrLink says that the device went down, lost its carrier or vanished while
// the sweep was under way.
var ErrLink = errors.New("the sweep ended early")

// ErrDetached says that somebody else took the reply filter off the device while
// the sweep was under way, so that replies went past it.
var ErrDetached = errors.New("the reply filter was taken off the device by somebody else")

// Run sweeps, hands every record to each of the sinks, closes them, and returns the
// account of it.
//
// The end of ctx stops sending; replies are still waited for during the
// cooldown. An error that wraps a [StartError] means that nothing was sent and
// that there is no summary. With any other error the summary is complete, and
// so it is if [Summary.Check] finds that it does not add up.
//
// With a [Checkpoint] that has a sweep, Run goes on with it, and the summary adds up
// over all its runs; if nothing is left to do, the summary is the last run's.
func Run(ctx context.Context, c Config, sinks ...sink.Sink) (Summary, error) {
	plan, err := NewPlan(c)
	if err != nil {
		return Summary{}, &StartError{err}
	}
	if c.Checkpoint != nil {
		if err := c.Checkpoint.fits(plan); err != nil {
			return Summary{}, &StartError{err}
		}
		if s, ok := c.Checkpoint.Complete(); ok {
			return s, publishAgain(sinks)
		}
	}
	r := &run{config: plan.config, plan: plan}
	defer r.close()
	r.logPhase(Preparing)
	if err := r.prepare(ctx, sinks); err != nil {
		return Summary{}, &StartError{err}
	}
	r.sweep(ctx)
	s, err := r.finish()
	m := r.config.Monitor
	m.mu.Lock()
	m.sum = &s
	m.mu.Unlock()
	return s, err
}

// publishAgain gives outputs their names that a killed run completed.
func publishAgain(sinks []sink.Sink) error {
	var errs []error
	for _, s := range sinks {
		if d, ok := s.(sink.Durable); ok {
			errs = append(errs, d.Publish())
		}
	}
	return errors.Join(errs...)
}

// run is one sweep under way.
type run struct {
	config    Config
	plan      *Plan
	route     *route.Plan
	filter    *loader.Reply
	clock     pace.Clock
	utOffset  int64 // what makes CLOCK_MONOTONIC nanoseconds since a midnight UT
	stop      *pace.Stop
	kernel    *loader.Transmit  // if the transmitter xdp may be used
	cpus      []int             // that it sends on, one a thread
	contest   *transmit.Contest // if xdp and packet are to be measured
	senders   []*sender
	ledger    *ledger
	pressure  pressure
	allowance allowance
	saver     *saver  // with a checkpoint
	before    account // of earlier runs
	gate      gate
	collector *collector
	link      <-chan route.LinkEvent
	unwatch   context.CancelFunc
	counters  route.Counters // of the device, when the run began

	// Guarded by the monitor's lock.
	phase                 Phase
	started, sendingEnded time.Time
	last                  loader.ReplyStats

	peak        peak
	interrupted bool
	filled      atomic.Bool // MaxResults records were emitted

	choiceLock sync.Mutex
	choice     TransmitterChoice

	causeLock sync.Mutex
	cause     error // what ended the sweep early, if it was a failure
}

// enough stops the sweep because it has all the results that were asked for.
func (r *run) enough() {
	r.filled.Store(true)
	r.stop.Set()
}

// fail stops the sweep for an error. The first one is kept.
func (r *run) fail(err error) {
	r.causeLock.Lock()
	defer r.causeLock.Unlock()
	if r.cause == nil {
		r.cause = err
	}
	r.stop.Set()
}

func (r *run) failure() error {
	r.causeLock.Lock()
	defer r.causeLock.Unlock()
	return r.cause
}

// enter begins a phase.
func (r *run) enter(p Phase) time.Time {
	r.logPhase(p)
	m := r.config.Monitor
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	switch p {
	case Sending:
		r.started = now
		m.run = r
	case CoolingDown:
		r.sendingEnded = now
	}
	r.phase = p
	return now
}

// sweep sends, then waits for what is late.
func (r *run) sweep(ctx context.Context) {
	r.peak.at = r.enter(Sending)
	if r.saver != nil {
		r.saver.begin()
		defer r.saver.stop()
	}
	close(r.gate.begin)
	sent := make(chan struct{})
	go func() {
		r.gate.done.Wait()
		close(sent)
	}()
	var runtime <-chan time.Time
	if r.config.MaxRuntime > 0 {
		timer := time.NewTimer(r.config.MaxRuntime)
		defer timer.Stop()
		runtime = timer.C
	}
	second := time.NewTicker(time.Second)
	defer second.Stop()
	interrupt, link := ctx.Done(), r.link
	for sending := true; sending; {
		select {
		case <-sent:
			sending = false
		case <-interrupt:
			r.interrupted = true
			interrupt = nil
			r.stop.Set()
		case <-runtime:
			r.stop.Set()
		case event, open := <-link:
			if !open {
				link = nil
				continue
			}
			r.linkChanged(event)
		case now := <-second.C:
			r.checkAttached()
			p := r.config.Monitor.Progress()
			r.config.Monitor.mu.Lock()
			r.peak.add(now, p.Accepted+p.Unconfirmed)
			r.config.Monitor.mu.Unlock()
		}
	}
	r.enter(CoolingDown)
	if r.saver != nil {
		r.saver.sample() // of what was handed over before the cooldown begins
	}
	cooldown := time.NewTimer(r.config.Cooldown)
	defer cooldown.Stop()
	for r.failure() == nil && !r.filled.Load() {
		select {
		case <-cooldown.C:
			return
		case <-r.config.SkipCooldown:
			return
		case <-interrupt:
			r.interrupted = true
			interrupt = nil
		case event, open := <-link:
			if !open {
				link = nil
				continue
			}
			r.linkChanged(event)
		}
	}
}

// logPhase tells that one phase ends and the next begins.
func (r *run) logPhase(next Phase) {
	if next > Preparing {
		r.config.Log.Debug("phase ends", "phase", r.phase.String())
	}
	r.config.Log.Debug("phase begins", "phase", next.String(), "due", r.plan.Len()*uint64(r.config.passes()), "rate", r.config.Rate.String())
}

// linkChanged ends the sweep when the device can no longer send or receive.
func (r *run) linkChanged(event route.LinkEvent) {
	name := r.route.Interface.Name
	switch {
	case event.Err != nil:
		r.fail(fmt.Errorf("%w: %s cannot be watched: %w", ErrLink, name, event.Err))
	case event.State != route.LinkUp:
		r.fail(fmt.Errorf("%w: %s is %s: bring it up and sweep again", ErrLink, name, linkWords(event.State)))
	}
}

// checkAttached ends the sweep if its replies are not judged any more.
func (r *run) checkAttached() {
	if name := r.route.Interface.Name; !r.filter.Attached() && deviceExists(r.route.Interface.Index) {
		r.fail(fmt.Errorf("%w: %s: sweep again, and look for what detaches XDP programs there", ErrDetached, name))
	}
}

func linkWords(s route.LinkState) string {
	switch s {
	case route.LinkNoCarrier:
		return "without carrier"
	case route.LinkRemoved:
		return "gone"
	}
	return s.String()
}

// close frees everything, however far the run has come.
func (r *run) close() {
	if r.stop != nil {
		r.stop.Set()
	}
	if r.gate.begin != nil && r.phase == Preparing {
		r.gate.abort.Store(true)
		close(r.gate.begin)
	}
	r.gate.done.Wait()
	if r.saver != nil {
		r.saver.stop()
	}
	r.config.Monitor.release(r)
	for _, s := range r.senders {
		if s.tx != nil {
			_ = s.tx.Close() // nothing is lost: sockets only send
		}
	}
	if r.kernel != nil {
		_ = r.kernel.Close()
	}
	if r.unwatch != nil {
		r.unwatch()
		for range r.link { // until the watcher has ended
		}
	}
	if r.filter != nil {
		_ = r.filter.Close()
		if r.collector != nil {
			r.collector.stop()
		}
	}
	if r.stop != nil {
		_ = r.stop.Close()
	}
}
