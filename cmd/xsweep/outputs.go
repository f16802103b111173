// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"xsweep/sweep"
	"xsweep/sweep/sink"
)

// outputs are where results go: standard output if nothing else was named.
func (f *sweepFlags) outputs() []string {
	if len(f.output) == 0 {
		return []string{"-"}
	}
	return f.output
}

// sinkConfigs decide what is written where: all that can be wrong before
// anything is opened.
func (f *sweepFlags) sinkConfigs() ([]sink.Config, error) {
	var asked sink.Config
	var err error
	if f.format != "" {
		if asked.Format, asked.Compression, err = sink.ParseEncoding(f.format); err != nil {
			return nil, fmt.Errorf("--format: %w", err)
		}
	}
	var fields []sink.Field
	if f.fields != "" {
		if fields, err = sink.ParseFields(f.fields); err != nil {
			return nil, fmt.Errorf("--fields: %w", err)
		}
	}
	var configs []sink.Config
	used := false
	for _, path := range f.outputs() {
		if path == "" {
			return nil, errors.New("--output: the name of the file is empty")
		}
		c := sink.Config{Path: path, Limit: f.config.MaxResults, Force: f.force, Checkpointed: f.checkpoint != "", Fields: fields}
		told := false
		c.Format, c.Compression, told, err = sink.FormatOfPath(path)
		if f.format != "" && (!told || err != nil || len(f.outputs()) == 1) {
			c.Format, c.Compression, err, used = asked.Format, asked.Compression, nil, true
		}
		if err != nil {
			return nil, err
		}
		if c.Fields == nil && c.Format == sink.Text && f.config.Replies != sweep.PositiveReplies {
			c.Fields = []sink.Field{sink.Addr, sink.Kind, sink.From} // an address alone would look alive
		}
		configs = append(configs, c)
	}
	if f.format != "" && !used {
		return nil, fmt.Errorf("--format %s: the names of all outputs tell their formats: leave it out", f.format)
	}
	if f.liveSet != "" && f.config.Replies == sweep.ErrorReplies {
		return nil, errors.New("--live-set: there are no records of live hosts with --replies errors: use positive or all")
	}
	return configs, nil
}

// metadata is what an output tells of the sweep that it is from.
func (f *sweepFlags) metadata() (map[string]string, error) {
	plan, err := sweep.NewPlan(f.config)
	if err != nil {
		return nil, err
	}
	s := plan.Summary()
	config, err := json.Marshal(s.Config)
	if err != nil {
		return nil, fmt.Errorf("encode the configuration: %w", err)
	}
	return map[string]string{
		"xsweep.version": version(), "xsweep.seed": fmt.Sprint(s.Seed), "xsweep.config": string(config),
		"xsweep.command": strings.Join(os.Args, " "), "xsweep.targets": fmt.Sprint(plan.Len()),
	}, nil
}

// opened are a sweep's outputs.
type opened struct {
	sinks  []sink.Sink
	stream bool // one of them goes to who may read slowly
}

// open opens all outputs, or goes on with them where the checkpoint says.
func (f *sweepFlags) open(configs []sink.Config, stdout io.Writer, ck *sweep.Checkpoint) (o opened, err error) {
	defer func() {
		if err != nil {
			o.discard()
		}
	}()
	metadata, err := f.metadata()
	if err != nil {
		return o, err
	}
	complete := false
	mark := func(string) *sink.Mark { return nil }
	if ck != nil && ck.Resumes() {
		mark = ck.Mark
		_, complete = ck.Complete()
	}
	for _, c := range configs {
		c.Metadata = metadata
		if c.Path == "-" {
			s, err := sink.OpenStream(stdout, c, mark(c.Path))
			if err != nil {
				return o, err
			}
			o.sinks, o.stream = append(o.sinks, s), true
			continue
		}
		s, err := sink.Open(c, mark(c.Path))
		if err != nil {
			return o, err
		}
		o.sinks = append(o.sinks, s)
		o.stream = o.stream || !sink.IsFile(c.Path)
	}
	if f.liveSet == "" {
		return o, nil
	}
	from := mark(f.liveSet)
	if complete && from != nil {
		o.sinks = append(o.sinks, sink.OpenClosed(f.liveSet, f.force, *from))
		return o, nil
	}
	live, err := sink.NewLiveSet(f.liveSet, f.force, f.checkpoint != "")
	if err != nil {
		return o, err
	}
	o.sinks = append(o.sinks, live)
	if from != nil {
		var failed error
		live.Continue(*from)
		live.Seed(ck.Live(&failed))
		return o, failed
	}
	return o, nil
}

// discard leaves things as they were: the sweep did not begin.
func (o *opened) discard() {
	for _, s := range o.sinks {
		if d, ok := s.(interface{ Discard() }); ok {
			d.Discard()
		}
	}
}
