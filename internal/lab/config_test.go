// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestValidate(t *testing.T) {
	for _, tc := range []struct {
		name    string
		config  Config
		problem string // empty: none
	}{
		{"zero", Config{}, ""},
		{"all", Config{Live: 1, Loss: 0.5, Duplicate: 0.01, Seed: 1, Queues: 4, MeterRate: 1000}, ""},
		{"kernel", Config{Responder: Kernel, Queues: maxQueues}, ""},
		{"sink with meter", Config{Responder: Sink, MeterRate: maxMeterRate}, ""},
		{"no such responder", Config{Responder: 4}, "responder 4"},
		{"live above 1", Config{Live: 1.01}, "live 1.01"},
		{"negative loss", Config{Loss: -0.1}, "loss -0.1"},
		{"duplicate not a number", Config{Duplicate: math.NaN()}, "duplicate NaN"},
		{"kernel with live", Config{Responder: Kernel, Live: 1}, "kernel responder has no such setting"},
		{"sink with loss", Config{Responder: Sink, Loss: 0.1}, "sink responder has no such setting"},
		{"behaviours", Config{Live: 1, Behaviours: Weights{Broken: 1}}, ""},
		{"kernel with behaviours", Config{Responder: Kernel, Behaviours: Weights{Normal: 1}}, "behaviour: the kernel responder has no such setting"},
		{"addresses", Config{Addresses: MaxAddresses}, ""},
		{"negative addresses", Config{Addresses: -1}, "addresses -1: must be from 1 to 240"},
		{"too many addresses", Config{Addresses: MaxAddresses + 1}, "addresses 241"},
		{"addresses behind routers", Config{Responder: Kernel, Hops: 1, Addresses: 2}, "addresses 2: not with routers"},
		{"negative queues", Config{Queues: -1}, "queues -1"},
		{"too many queues", Config{Queues: maxQueues + 1}, "queues 4097"},
		{"meter too fast", Config{MeterRate: maxMeterRate + 1}, "meter rate 1000000001"},
		{"kernel with hops", Config{Responder: Kernel, Hops: maxRouters, MTU: maxKernelMTU}, ""},
		{"too many hops", Config{Responder: Kernel, Hops: maxRouters + 1}, "hops 9: must be from 0 to 8"},
		{"negative hops", Config{Responder: Kernel, Hops: -1}, "hops -1: must be from 0 to 8"},
		{"simnet with hops", Config{Hops: 1}, "hops 1: the simnet responder has no routers"},
		{"narrow links", Config{MTU: minMTU - 1}, "mtu 1279: must be from 1280 to 3500 with the simnet responder"},
		{"negative mtu", Config{MTU: -1}, "mtu -1: must be from 1280"},
		{"wide simnet", Config{MTU: maxSimnetMTU}, ""},
		{"too wide for XDP", Config{Responder: Sink, MTU: maxSimnetMTU + 1}, "mtu 3501: must be from 1280 to 3500 with the sink responder"},
		{"too wide for kernel", Config{Responder: Kernel, MTU: maxKernelMTU + 1}, "mtu 9001: must be from 1280 to 9000 with the kernel responder"},
		{"limits", Config{Live: 1, Capacity: Bucket{1, 1}, Limiter: Bucket{1e9, 1e6}, Outage: Outage{2, 1}, PerProbe: true}, ""},
		{"no rate", Config{Capacity: Bucket{0, 1}}, "capacity 0:1"},
		{"no burst", Config{Limiter: Bucket{1, 0}}, "limiter 1:0"},
		{"always out and more", Config{Outage: Outage{1, 2}}, "outage 1ns:2ns"},
		{"sink with capacity", Config{Responder: Sink, Capacity: Bucket{1, 1}}, "capacity: the sink responder has no such setting"},
		{"kernel with limits", Config{Responder: Kernel, ICMPLimit: Bucket{1, 1}, ICMPRateLimit: time.Millisecond}, ""},
		{"simnet with a limit of Linux", Config{ICMPLimit: Bucket{1, 1}}, "icmp-limit: the simnet responder has no such setting"},
		{"negative icmp-ratelimit", Config{Responder: Kernel, ICMPRateLimit: -time.Second}, "icmp-ratelimit -1s"},
		{"delays", Config{Responder: Delay, Live: 1, Loss: 0.1, Delay: &Distribution{}, Queue: Queue{1, 1}, Reorder: 1, Capacity: Bucket{1, 1}, MTU: maxSimnetMTU}, ""},
		{"simnet with delay", Config{Delay: &Distribution{}}, "delay: the simnet responder sends at once"},
		{"sink with queue", Config{Responder: Sink, Queue: Queue{1, 1}}, "queue: the sink responder sends at once"},
		{"reorder above 1", Config{Responder: Delay, Reorder: 1.5}, "reorder 1.5: must be a fraction from 0 to 1"},
		{"queue without room", Config{Responder: Delay, Queue: Queue{1, 0}}, "queue 1:0"},
		{"kernel with meter", Config{Responder: Kernel, MeterRate: 1}, "kernel responder has no meter"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := tc.config.Validate()
			if tc.problem == "" && err != nil {
				t.Errorf("refused: %v", err)
			}
			if tc.problem != "" && (err == nil || !strings.Contains(err.Error(), tc.problem)) {
				t.Errorf("got %v, want an error with %q", err, tc.problem)
			}
		})
	}
}

func TestResponderNames(t *testing.T) {
	for _, r := range []Responder{Simnet, Kernel, Sink, Delay} {
		if got, err := ParseResponder(r.String()); err != nil || got != r {
			t.Errorf("%s reads back as %s, %v", r, got, err)
		}
	}
	if _, err := ParseResponder("nobody"); err == nil {
		t.Error("nobody is a responder")
	}
}

func TestThreshold(t *testing.T) {
	for p, want := range map[float64]uint64{0: 0, 0.5: 1 << 31, 1: 1 << 32} {
		if got := threshold(p); got != want {
			t.Errorf("threshold(%v) = %d, want %d", p, got, want)
		}
	}
}
