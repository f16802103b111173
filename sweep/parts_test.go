// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"testing"
	"time"

	"xsweep/sweep/probe"
	"xsweep/sweep/target"
)

// Parts cover each attempt's order once, from its beginning to its end, in parts
// of whole batches.
func TestPartsDealt(t *testing.T) {
	for name, c := range map[string]Config{
		"one":               {Targets: named(t, "240.0.0.0/32")},
		"less than a batch": {Targets: named(t, "240.0.0.0/30"), Probes: 3},
		"a shard":           {Targets: named(t, "240.0.0.0/20"), Probes: 2, Shard: target.Shard{Index: 2, Count: 3}},
		"many":              {Targets: named(t, "240.0.0.0/5"), Probes: 2},
		"several kinds":     {Targets: named(t, "240.0.0.0/24"), Probes: 2, Kinds: []probe.Kind{probe.Mask, probe.Echo}},
	} {
		t.Run(name, func(t *testing.T) {
			plan := newPlan(t, c)
			d := newParts(plan, 10, 0, 0)
			if len(d.ends) > maxParts {
				t.Errorf("%d parts", len(d.ends))
			}
			kinds := plan.config.Kinds
			for pass := range plan.config.Probes * len(kinds) {
				attempt, kind := pass/len(kinds)+1, kinds[pass%len(kinds)]
				for number, next := 0, uint64(0); next < plan.Len(); number++ {
					p, ok := d.deal()
					if !ok || p.number != number || int(p.pass) != pass || int(p.attempt) != attempt || p.kind != kind ||
						p.first != next || p.next <= p.first {
						t.Fatalf("pass %d, part %d from %d: got %+v, %v", pass, number, next, p, ok)
					}
					if next = p.next; next < plan.Len() && (p.next-p.first)%10 != 0 {
						t.Errorf("part %d has %d targets", number, p.next-p.first)
					}
				}
			}
			if p, ok := d.deal(); ok {
				t.Errorf("%+v is left", p)
			}
		})
	}
}

// A part of a later pass is due an interval after the one before was through.
func TestPartsDue(t *testing.T) {
	d := newParts(newPlan(t, Config{Targets: named(t, "240.0.0.0/28"), Probes: 3, ProbeInterval: time.Second}), 8, 0, 0)
	for _, p := range []part{{number: 1, pass: 1}, {number: 1, pass: 2}} {
		if _, known := d.due(p); known {
			t.Errorf("pass %d is due before the one before was made", p.pass)
		}
		before := p
		before.pass--
		d.through(before, int64(p.pass)*100)
		if at, known := d.due(p); !known || at != int64(p.pass)*100+int64(time.Second) {
			t.Errorf("pass %d: due at %d, %v", p.pass, at, known)
		}
	}
	if at, known := d.due(part{number: 0, pass: 0}); at != 0 || !known {
		t.Error("the first pass has to wait")
	}
}
