// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"context"
	"iter"
	"net"
	"sync"

	"xsweep/sweep/reply"
	"xsweep/sweep/sink"
	"xsweep/sweep/target"
)

// ParseTargets reads targets as the command line takes them: addresses,
// prefixes ("192.0.2.0/24"), ranges ("192.0.2.1-192.0.2.9", "192.0.2.1-9") and
// host names, which it looks up. See target.Parse.
func ParseTargets(ctx context.Context, texts ...string) ([]target.Target, error) {
	var targets []target.Target
	for _, text := range texts {
		more, err := target.Parse(ctx, net.DefaultResolver, text)
		if err != nil {
			return nil, err
		}
		targets = append(targets, more...)
	}
	return targets, nil
}

// Records sweeps, and yields the records as they come, some tenths of a second
// after their replies: it is [Run] for who wants to range over results. If the
// sweep fails, the last pair is an error and an empty record.
//
// Sending slows down to what the loop's body takes: Config.Backpressure is set.
// Whoever leaves the loop ends the sweep; when the loop is left, nothing runs any
// more. A Monitor has the account of the sweep then.
func Records(ctx context.Context, c Config) iter.Seq2[reply.Record, error] {
	return func(yield func(reply.Record, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		enough := make(chan struct{})
		end := sync.OnceFunc(func() { close(enough); cancel() })
		defer end()
		c.SkipCooldown = either(c.SkipCooldown, enough)
		c.Backpressure = true
		out := &lender{lent: make(chan []reply.Record), back: make(chan struct{})}
		var err error
		go func() {
			defer close(out.lent) // the last that it does
			_, err = Run(ctx, c, out)
		}()
		wanted := true
		for records := range out.lent {
			for i := 0; i < len(records) && wanted; i++ {
				wanted = yield(records[i], nil)
			}
			if !wanted {
				end()
			}
			out.back <- struct{}{}
		}
		if wanted && err != nil {
			yield(reply.Record{}, err)
		}
	}
}

// either is closed when a or b is. b must be closed some time.
func either(a, b <-chan struct{}) <-chan struct{} {
	if a == nil {
		return b
	}
	c := make(chan struct{})
	go func() {
		defer close(c)
		select {
		case <-a:
		case <-b:
		}
	}()
	return c
}

// lender is a sink that lends records to another goroutine until they are given
// back.
type lender struct {
	lent   chan []reply.Record
	back   chan struct{}
	counts sink.Counts
}

func (l *lender) Write(records []reply.Record) error {
	l.lent <- records
	<-l.back
	l.counts.Written += uint64(len(records))
	return nil
}

func (l *lender) Counts() sink.Counts {
	c := l.counts
	c.Path, c.Format = "records", "none"
	return c
}

func (l *lender) Close() error { return nil }
