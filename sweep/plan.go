// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"errors"
	"fmt"
	"iter"

	"xsweep/sweep/sink"
	"xsweep/sweep/target"
)

// Plan is what a sweep will probe, in which order: the part that is the same
// on any machine.
type Plan struct {
	config    Config
	selection target.Selection
	order     *target.Order
}

// ErrNothing says that nothing is left to sweep.
var ErrNothing = errors.New("nothing is left to sweep")

// NewPlan judges the configuration and lays out the order.
func NewPlan(c Config) (*Plan, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	p := &Plan{config: c, selection: target.Select(c.Targets, c.Exclude)}
	if p.selection.Set.Empty() {
		return nil, nothingLeft(p.selection)
	}
	p.order = target.NewOrder(p.selection.Set, c.Seed)
	return p, nil
}

// Len is the number of targets in the plan's shard.
func (p *Plan) Len() uint64 { return p.config.Shard.Len(p.order.Len()) }

// due is how many probes the configuration asks for.
func (p *Plan) due() uint64 { return p.Len() * uint64(p.config.passes()) }

// At is the target that comes k-th in the plan's shard, and its index in the
// whole order.
func (p *Plan) At(k uint64) (addr target.Addr, index uint64) {
	index = p.config.Shard.At(k)
	return p.order.At(index), index
}

// All yields the targets of the plan's shard in their order.
func (p *Plan) All() iter.Seq[target.Addr] {
	return func(yield func(target.Addr) bool) {
		for k := range p.Len() {
			if addr, _ := p.At(k); !yield(addr) {
				return
			}
		}
	}
}

// Summary counts the targets and probes of a sweep that sends nothing.
func (p *Plan) Summary() Summary {
	s := p.newSummary()
	s.Probes.Unsent["dry_run"] = s.Probes.Due
	s.Targets.Unprobed = p.Len()
	return s
}

func (p *Plan) newSummary() Summary {
	return Summary{
		Config: p.config.describe(),
		Seed:   p.config.Seed,
		Targets: TargetCounts{
			Named:       p.selection.Named,
			Excluded:    p.selection.Excluded,
			Special:     p.selection.Special,
			OtherShards: p.order.Len() - p.Len(),
			Skipped:     map[string]uint64{},
		},
		Probes: ProbeCounts{
			Due:     p.due(),
			Unsent:  map[string]uint64{},
			Refused: map[string]uint64{},
		},
		Packets:     PacketCounts{Verdicts: map[string]uint64{}, Extensions: map[string]uint64{}},
		Records:     RecordCounts{Sinks: []sink.Counts{}},
		Rate:        RateCounts{Asked: askedRate(p.config.Rate)},
		Devices:     map[string]DeviceCounts{},
		Transmitter: TransmitterChoice{Measured: map[Tx]uint64{}},
		TTL:         map[string]uint64{},
		InitialTTL:  map[string]float64{},
		Kinds:       map[string]map[string]uint64{},
	}
}

func nothingLeft(s target.Selection) error {
	return fmt.Errorf("%w: of %d addresses named, %d are excluded and %d lie in special-purpose ranges "+
		"(name such a range by itself to sweep it)", ErrNothing, s.Named, s.Excluded, s.Special)
}
