// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Behaviour is how a live host of simnet answers. docs/lab.md describes each.
type Behaviour uint8

// The behaviours: enum behaviour of bpf/include/simnet.h.
const (
	Normal           Behaviour = iota // answers every kind of request
	EchoOnly                          // only echo requests
	TimestampOnly                     // only timestamp requests
	MaskOnly                          // only address mask requests
	SilentHost                        // nothing
	Unreachable                       // a router answers for it
	Redirect                          // its first probe is redirected, then as Normal
	SourceQuench                      // its first probe is too much, then as Normal
	ParameterProblem                  // somebody finds fault with its probes
	PathMTU                           // probes that must not be fragmented and are too big do not reach it
	Broken                            // its answers, or errors about it, have a flaw
	NumBehaviours
)

var behaviourNames = [NumBehaviours]string{
	Normal:           "host",
	EchoOnly:         "echo",
	TimestampOnly:    "timestamp",
	MaskOnly:         "mask",
	SilentHost:       "silent",
	Unreachable:      "unreachable",
	Redirect:         "redirect",
	SourceQuench:     "source-quench",
	ParameterProblem: "parameter-problem",
	PathMTU:          "mtu",
	Broken:           "broken",
}

func (b Behaviour) String() string {
	if b < NumBehaviours {
		return behaviourNames[b]
	}
	return fmt.Sprintf("Behaviour(%d)", uint8(b))
}

// Weights say how many of the live hosts behave in which way, in proportion to
// each other. All zero stands for Normal hosts alone.
type Weights [NumBehaviours]uint16

// allBehaviours names every behaviour in [ParseWeights].
const allBehaviours = "all"

// ParseWeights reads behaviours with weights, such as host=50,silent=20. Without
// a weight a behaviour has 1, and all stands for those that are not named beside
// it. Errors are one line.
func ParseWeights(text string) (Weights, error) {
	var w Weights
	named := map[string]bool{}
	var rest uint16
	for item := range strings.SplitSeq(text, ",") {
		name, number, weighted := strings.Cut(strings.TrimSpace(item), "=")
		b := slices.Index(behaviourNames[:], name)
		if b < 0 && name != allBehaviours {
			return Weights{}, fmt.Errorf("behaviour %q: must be %s or %s", name, strings.Join(behaviourNames[:], ", "), allBehaviours)
		}
		if named[name] {
			return Weights{}, fmt.Errorf("behaviour %q: is named twice", name)
		}
		named[name] = true
		weight := uint64(1)
		if weighted {
			var err error
			if weight, err = strconv.ParseUint(number, 10, 16); err != nil {
				return Weights{}, fmt.Errorf("behaviour %s: weight %q must be a whole number from 0 to 65535", name, number)
			}
		}
		if name == allBehaviours {
			rest = uint16(weight)
		} else {
			w[b] = uint16(weight)
		}
	}
	for b, name := range behaviourNames {
		if !named[name] {
			w[b] = rest
		}
	}
	if w == (Weights{}) {
		return Weights{}, fmt.Errorf("behaviour %q: one weight at least must not be 0", text)
	}
	return w, nil
}

// uniform says that every host behaves normally.
func (w Weights) uniform() bool {
	w[Normal] = 0
	return w == Weights{}
}

// thresholds are the shares of all behaviours up to each, out of 2^32.
func (w Weights) thresholds() [NumBehaviours]uint64 {
	if w.uniform() {
		w[Normal] = 1
	}
	var total, sum uint64
	for _, weight := range w {
		total += uint64(weight)
	}
	var t [NumBehaviours]uint64
	for b, weight := range w {
		sum += uint64(weight)
		t[b] = sum << 32 / total
	}
	return t
}

// countsArrivals says that what becomes of some probes depends on how many came
// before.
func (c Config) countsArrivals() bool {
	return c.Loss != 0 || c.Behaviours[Redirect] != 0 || c.Behaviours[SourceQuench] != 0
}
