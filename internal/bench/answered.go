// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"xsweep/internal/lab"
	"xsweep/loader"
	"xsweep/sweep/target"
)

// headerWords is HEADER_WORDS of answered.bpf.c.
const headerWords = 6

// answeredFrames sends one ready-made probe, for a host that answers, again and
// again from inside the kernel, and drops the answers: the least that anything can
// do that sends live frames of which all are answered.
type answeredFrames struct {
	*fixedLiveFrames
	to   target.Addr
	drop *ebpf.Program
}

// newAnsweredFrames makes a probe with so many bytes of data for a live host.
// Answers that come back to the sender's device count.
func newAnsweredFrames(to target.Addr, dataLen int) (*answeredFrames, error) {
	template, err := newTemplate(dataLen)
	if err != nil {
		return nil, err
	}
	f, err := newLiveFrame(template, to)
	if err != nil {
		return nil, err
	}
	spec, err := loadAnswered()
	if err != nil {
		return nil, err
	}
	var headers [headerWords]uint64
	for i := range headers {
		headers[i] = binary.LittleEndian.Uint64(f.frame[8*i:])
	}
	if err := spec.Variables[answeredVarHeaders].Set(headers); err != nil {
		return nil, fmt.Errorf("tell the program its frame: %w", err)
	}
	var objects answeredObjects
	if err := spec.LoadAndAssign(&objects, nil); err != nil {
		return nil, fmt.Errorf("load the programs that send frames and drop their answers: %w", err)
	}
	f.program, f.objects = objects.XsweepAgain, &objects
	f.arrived = func(s lab.Stats) uint64 { return s.Answered - s.RepliesRefused }
	return &answeredFrames{f, to, objects.XsweepDrop}, f.direct(objects.Device)
}

// send is that of fixedLiveFrames. The lab's device must have no program; it has
// none afterwards.
func (a *answeredFrames) send(l *lab.Lab, threads int, n uint32) (perSecond float64, err error) {
	device, err := net.InterfaceByName(lab.SenderDevice)
	if err != nil {
		return 0, fmt.Errorf("find the lab's device: %w", err)
	}
	dropping, err := link.AttachXDP(link.XDPOptions{Program: a.drop, Interface: device.Index, Flags: link.XDPDriverMode})
	if err != nil {
		return 0, fmt.Errorf("attach the program that drops answers: %w", err)
	}
	perSecond, err = a.fixedLiveFrames.send(l, threads, n)
	return perSecond, errors.Join(err, dropping.Close())
}

// sendJudged is the same by one thread, with the judge of benchmarks in place of
// the program that drops: to it all answers but the first are duplicates.
func (a *answeredFrames) sendJudged(l *lab.Lab, n uint32) (perSecond float64, err error) {
	device, err := net.InterfaceByName(lab.SenderDevice)
	if err != nil {
		return 0, fmt.Errorf("find the lab's device: %w", err)
	}
	judge, err := loader.LoadBench(loader.BenchConfig{
		Key: benchKey, Flows: []loader.Flow{{Source: lab.SenderAddr.Netip()}}, Targets: []netip.Addr{a.to.Netip()}, Threads: 1,
		MessageLen: len(a.frame) - atICMP, Window: 1,
	})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, judge.Close()) }()
	if _, err := judge.Attach(device.Name, device.Index, loader.Native); err != nil {
		return 0, err
	}
	if err := judge.Begin(loader.BenchTrial{End: 1}); err != nil {
		return 0, err
	}
	if perSecond, err = a.fixedLiveFrames.send(l, 1, n); err != nil {
		return 0, err
	}
	counts, err := judge.Counts()
	if err != nil {
		return 0, err
	}
	if again := counts.Verdicts[loader.BenchDuplicate]; again < uint64(n)/2 {
		return 0, fmt.Errorf("of %d answers and more the judge took only %d for answers to its probe: verdicts %v", n, again, counts.Verdicts)
	}
	return perSecond, nil
}
