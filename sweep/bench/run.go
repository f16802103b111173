// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"xsweep/internal/route"
	"xsweep/loader"
	"xsweep/sweep/pace"
	"xsweep/sweep/transmit"
)

const (
	// carrierTimeout is how long the device may take to come back after the judge
	// was attached.
	carrierTimeout = 10 * time.Second
	// lookEvery is how often a trial under way is looked at.
	lookEvery = 10 * time.Millisecond
	// overtime is how much longer than it should a trial may send what counts, and
	// warmupOvertime what does not.
	overtime       = 1.1
	warmupOvertime = 4
	// patience is how long after the warm-up the first answer may come.
	patience = 500 * time.Millisecond
	// settled is how long after the last answer a trial that has all may end.
	settled = 100 * time.Millisecond
)

// ErrDetached says that somebody took the judge off the device.
var ErrDetached = errors.New("the judge was taken off the device by somebody else")

// ErrSilent says that nobody answered the warm-up, so that there is nothing to
// search for.
var ErrSilent = errors.New("the targets do not answer")

// running is a trial under way.
type running struct {
	s       *Session
	load    Load
	warm    uint64 // probes of the warm-up, all threads
	total   uint64 // with them
	base    uint64
	stop    *pace.Stop
	kernel  *loader.Transmit
	senders []*sender
	trial   Trial

	first, last mark // of what counts
	turned      mark // at the end of an overload
	switched    uint64
	began       int64
	ended       int64 // of the sending
	line        *timeline
	draining    bool
}

// mark is how many probes were handed over at some time.
type mark struct {
	at     int64
	handed uint64
}

// Trial sends one load and tells what became of it. The end of ctx ends the
// sending. An error means that there is no trial; one that could not be as
// asked for is not valid.
func (s *Session) Trial(ctx context.Context, load Load) (Trial, error) {
	if !s.judge.Attached() {
		return Trial{}, ErrDetached
	}
	threads := uint64(s.config.Threads)
	whole := func(d time.Duration, rate float64) uint64 {
		n := uint64(rate*d.Seconds() + 0.5)
		return (n + threads - 1) / threads * threads
	}
	r := &running{s: s, load: load, warm: whole(load.Warmup, float64(load.Rate))}
	r.total = r.warm + whole(load.Duration, float64(load.Rate))
	if load.Overload > 0 {
		r.switched = r.warm + whole(load.Duration, float64(load.Rate)*load.Overload)
		r.total = r.switched + whole(load.Duration, float64(load.Rate))
	}
	if r.total == r.warm {
		return Trial{}, fmt.Errorf("%v at %d probes a second are less than one probe", load.Duration, load.Rate)
	}
	// The judge counts flows from the base on.
	flows := threads * uint64(len(s.targets)) * uint64(len(s.template.Flows()))
	r.base = (s.next + flows - 1) / flows * flows
	s.next = r.base + r.total
	r.line = newTimeline(r)
	defer r.close()
	if err := r.prepare(); err != nil {
		return Trial{}, err
	}
	before, err := route.ReadCounters(s.route.Interface.Index)
	if err != nil {
		return Trial{}, err
	}
	idle := readBusy()
	r.trial.Started = time.Now().UTC()
	err = r.send(ctx)
	r.ended = s.clock.Now()
	elapsed := float64(max(r.ended-r.began, 1))
	spent := readBusy().since(idle) // before the threads end
	r.trial.Generator.CPU, r.trial.Generator.CPUWait = float64(spent.ran)/elapsed, float64(spent.waited)/elapsed
	if err != nil {
		return Trial{}, err
	}
	r.drain(ctx)
	after, err := route.ReadCounters(s.route.Interface.Index)
	if err != nil {
		return Trial{}, err
	}
	g := &r.trial.Generator
	g.RxDropped = after.RxDropped + after.RxMissed - before.RxDropped - before.RxMissed
	g.TxDropped = after.TxDropped - before.TxDropped
	g.BacklogDropped = readBusy().since(idle).missed
	if !s.judge.Attached() {
		return Trial{}, ErrDetached
	}
	return r.sumUp()
}

// prepare loads the transmitter and starts the threads, which wait.
func (r *running) prepare() (err error) {
	s := r.s
	if r.stop, err = pace.NewStop(); err != nil {
		return err
	}
	trial := loader.BenchTrial{
		Base: r.base, Measured: r.base + r.warm, End: r.base + r.total, DrainNS: uint64(s.config.Drain),
	}
	if r.load.Burst == 0 && r.load.Overload == 0 && !r.load.Unpaced {
		trial.Interval = s.interval(r.load.Rate)
	}
	if err := s.judge.Begin(trial); err != nil {
		return err
	}
	if s.tx == TxXDP {
		if r.kernel, err = s.loadKernel(); err != nil {
			return err
		}
	}
	var ready sync.WaitGroup
	for thread := range s.config.Threads {
		w := &sender{running: r, thread: thread, begin: make(chan struct{}), done: make(chan struct{})}
		r.senders = append(r.senders, w)
		ready.Add(1)
		go w.work(&ready)
	}
	ready.Wait()
	for _, w := range r.senders {
		if w.err != nil {
			return w.err
		}
	}
	return nil
}

// interval is the time between two probes of a thread, in 2^-16 ns. xdp keeps
// its own to 2^-8, and the schedule is the one that is kept.
func (s *Session) interval(rate uint64) uint64 {
	threads := uint64(s.config.Threads)
	if s.tx == TxXDP {
		return (threads << 8) * uint64(time.Second) / rate << 8
	}
	return uint64(float64(threads)*float64(time.Second)/float64(rate)*(1<<16) + 0.5)
}

// send lets the threads go and looks after them until all is sent.
func (r *running) send(ctx context.Context) error {
	r.began = r.s.clock.Now()
	var all sync.WaitGroup
	for _, w := range r.senders {
		close(w.begin)
		all.Go(func() { <-w.done })
	}
	sent := make(chan struct{})
	go func() { all.Wait(); close(sent) }()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	interrupt := ctx.Done()
	counted := r.load.Duration
	if r.load.Overload > 0 {
		counted *= 2
	}
	most := int64(float64(counted)*overtime) + int64(200*time.Millisecond)
	if r.load.Unpaced {
		most = int64(counted)
	}
	warming := warmupOvertime*int64(r.load.Warmup) + int64(time.Second)
	silentSince := int64(0)
	for looks := 0; ; looks++ {
		select {
		case <-sent:
			for _, w := range r.senders {
				if w.err != nil && !errors.Is(w.err, transmit.ErrStopped) {
					return w.err
				}
			}
			return nil
		case <-interrupt:
			interrupt = nil
			r.trial.interrupted = true
			r.stop.Set()
		case <-look.C:
			now, handed := r.s.clock.Now(), r.handed()
			r.note(now, handed)
			if r.first.at == 0 && now-r.began > warming || r.first.at != 0 && now-r.first.at > most {
				r.stop.Set() // it fell behind, which will show
			}
			if silentSince == 0 && handed >= r.warm {
				silentSince = now
			}
			if r.warm > 0 && silentSince > 0 && now-silentSince > int64(min(patience, r.s.config.Drain)) && !r.trial.silent {
				if c, err := r.s.judge.Counts(); err == nil && c.Verdicts[loader.BenchWarmup]+c.Verdicts[loader.BenchAnswered] == 0 {
					r.trial.silent = true
					r.stop.Set()
				}
			}
			if looks%10 == 9 {
				r.tell(now, handed)
			}
		}
	}
}

// note takes a reading of what was handed over.
func (r *running) note(now int64, handed uint64) {
	switch {
	case handed < r.warm:
	case r.first.at == 0:
		r.first = mark{now, handed}
	case handed < r.total:
		r.last = mark{now, handed}
	}
	if r.switched > 0 && handed >= r.switched && r.turned.at == 0 {
		r.turned = mark{now, handed}
	}
	r.line.note(now)
}

// tell reports progress.
func (r *running) tell(now int64, handed uint64) {
	if r.s.config.Progress == nil {
		return
	}
	p := Progress{Load: r.load, Elapsed: time.Duration(now - r.began), Draining: r.draining, Warming: handed < r.warm}
	if handed > r.warm {
		p.Sent = handed - r.warm
	}
	if c, err := r.s.judge.Stats(); err == nil {
		p.Answered, p.Duplicate = c.Verdicts[loader.BenchAnswered], c.Verdicts[loader.BenchDuplicate]
		l := newLatency(&c.Sent)
		p.P50, p.P99 = l.P50, l.P99
	}
	r.s.config.Progress(p)
}

// drain waits for late answers.
func (r *running) drain(ctx context.Context) {
	r.draining = true
	until := r.s.clock.Now() + int64(r.s.config.Drain)
	handed := r.handed()
	if handed == 0 {
		return // nothing can come
	}
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	complete := int64(0)
	for looks := 0; ; looks++ {
		select {
		case <-r.s.config.Skip:
			r.trial.interrupted = true
			return
		case <-look.C:
		}
		now := r.s.clock.Now()
		r.line.settle(now)
		if now >= until || r.trial.silent {
			return
		}
		if r.load.Settle {
			c, err := r.s.judge.Counts()
			switch {
			case err != nil || handed < r.warm || c.Verdicts[loader.BenchAnswered] < handed-r.warm:
			case complete == 0:
				complete = now
			case now-complete > int64(settled):
				return
			}
		}
		if looks%10 == 9 {
			r.tell(now, handed)
		}
		if ctx.Err() != nil {
			r.trial.interrupted = true
		}
	}
}

func (r *running) handed() (n uint64) {
	for _, w := range r.senders {
		if w.tx != nil {
			n += w.tx.Handed()
		}
	}
	return n
}

// close frees what the trial took. All threads end.
func (r *running) close() {
	if r.stop == nil {
		return
	}
	r.stop.Set()
	for _, w := range r.senders {
		w.abort()
		<-w.done
		if w.tx != nil {
			_ = w.tx.Close() // nothing is lost: it only sends
		}
	}
	if r.kernel != nil {
		_ = r.kernel.Close()
	}
	_ = r.stop.Close()
}
