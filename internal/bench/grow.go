// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"xsweep/internal/lab"
	"xsweep/loader"
	"xsweep/sweep"
	"xsweep/sweep/checkpoint"
	"xsweep/sweep/probe"
	"xsweep/sweep/target"
)

// growBatch is how many answers are added to a checkpoint at once.
const growBatch = 1 << 20

// grownCheckpoint is a checkpoint that was made of a young one.
type grownCheckpoint struct {
	place, of uint64 // of the sweep's sequence
	hosts     uint64 // that it knows of
	live      uint64 // that the sweep will have found at its end
}

// growCheckpoint makes of the checkpoint of a sweep that has just begun one that
// has come to so many percent, as if it had gone on without a fault in the lab that
// c describes. All that the account checks is as the sweep would have written it;
// histograms stay those of its beginning.
func growCheckpoint(path, prefixText string, c lab.Config, percent uint64) (g grownCheckpoint, err error) {
	file, err := checkpoint.Open(path)
	if err != nil {
		return g, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	plan, err := sweep.NewPlan(sweep.Config{Targets: []target.Target{{Range: prefix(prefixText), Text: prefixText}}, Seed: 1})
	if err != nil {
		return g, err
	}
	state, err := decodeState(file.State())
	if err != nil {
		return g, err
	}
	from, err := state.place()
	if err != nil {
		return g, err
	}
	g.of = plan.Len()
	g.place = g.of / 100 * percent
	if from >= g.place {
		return g, fmt.Errorf("the checkpoint is at place %d already, beyond %d", from, g.place)
	}
	if err := file.Continue(); err != nil {
		return g, err
	}
	var found checkpoint.Found
	waiting := 0
	for k := range g.of {
		addr, _ := plan.At(k)
		if !c.Host(addr).Live {
			continue
		}
		g.live++
		if k < g.place {
			g.hosts++
		}
		if k < from || k >= g.place {
			continue
		}
		found.Answer(uint32(addr), probe.Echo.Type(), 1)
		state.hosts++
		if waiting++; waiting == growBatch {
			// The state is still that of before: what follows it in the log counts
			// only with the last one.
			if err := file.Save(&found, file.State()); err != nil {
				return g, err
			}
			found.Reset()
			waiting = 0
		}
	}
	text, err := state.at(g.place, g.place-from)
	if err != nil {
		return g, err
	}
	return g, file.Save(&found, text)
}

// savedState is a sweep's state as its checkpoint has it.
type savedState struct {
	fields map[string]any
	hosts  uint64 // that were added
}

func decodeState(text []byte) (*savedState, error) {
	s := &savedState{}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber() // counts have 64 bits
	if err := decoder.Decode(&s.fields); err != nil {
		return nil, fmt.Errorf("read the state of a checkpoint: %w", err)
	}
	return s, nil
}

// place is where the sweep stands, all before that being done.
func (s *savedState) place() (uint64, error) {
	var known struct {
		Low  uint64
		Done []struct{ First, Next uint64 }
	}
	text, err := json.Marshal(s.fields)
	if err == nil {
		err = json.Unmarshal(text, &known)
	}
	if err != nil {
		return 0, fmt.Errorf("read the state of a checkpoint: %w", err)
	}
	if len(known.Done) != 1 || known.Done[0].First != 0 || known.Done[0].Next != known.Low {
		return 0, fmt.Errorf("the checkpoint is to go on from place %d, but has done %v: it did not settle", known.Low, known.Done)
	}
	return known.Low, nil
}

// at is the state once so many more probes were sent and the hosts were found.
func (s *savedState) at(place, sent uint64) ([]byte, error) {
	s.fields["low"] = place
	s.fields["done"] = []any{map[string]uint64{"first": 0, "next": place}}
	var errs []error
	for _, count := range []struct {
		more uint64
		path []any
	}{
		{sent, []any{"account", "accepted"}},
		{sent, []any{"account", "swept"}},
		{s.hosts, []any{"account", "emitted"}},
		{s.hosts, []any{"account", "kept"}},
		{s.hosts, []any{"account", "stats", "Judged"}},
		{s.hosts, []any{"account", "stats", "Verdicts", int(loader.First)}},
		{s.hosts, []any{"account", "stats", "Replies", 0}},
	} {
		errs = append(errs, addTo(s.fields, count.more, count.path...))
	}
	marks, _ := s.fields["marks"].(map[string]any)
	for name := range marks {
		errs = append(errs, addTo(marks, s.hosts, name, "counts", "written"))
	}
	text, err := json.Marshal(s.fields)
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, fmt.Errorf("make the state of a checkpoint: %w", err)
	}
	return text, nil
}

// addTo adds to a number inside decoded JSON. Its path is of keys and indexes.
func addTo(in any, more uint64, path ...any) error {
	step, rest := path[0], path[1:]
	get, set := func() any { return nil }, func(any) {}
	switch c := in.(type) {
	case map[string]any:
		if key, ok := step.(string); ok {
			get, set = func() any { return c[key] }, func(v any) { c[key] = v }
		}
	case []any:
		if k, ok := step.(int); ok && k < len(c) {
			get, set = func() any { return c[k] }, func(v any) { c[k] = v }
		}
	}
	if len(rest) > 0 {
		return addTo(get(), more, rest...)
	}
	number, ok := get().(json.Number)
	if !ok {
		return fmt.Errorf("it has no number %v", step)
	}
	was, err := number.Int64()
	if err != nil {
		return err
	}
	set(uint64(was) + more)
	return nil
}
