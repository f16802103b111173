// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"

	"xsweep/internal/lab"
)

// hopTargets is HOP_TARGETS of hop.bpf.c: the addresses of a /16.
const hopTargets = 1 << 16

// passage is struct passage of hop.bpf.c.
type passage struct{ OutNs, BackNs uint64 }

// hop notes when probes and replies pass the middle of a chain.
type hop struct {
	objects hopObjects
	links   []link.Link
}

// noting is by what a hop tells probes apart.
type noting int

const (
	byTarget noting = iota // as a sweep does; see passages
	byIndex                // as a benchmark does; see probes
)

// programs are those of the devices to the sender and to the responder.
func (n noting) programs(o *hopObjects) (out, back *ebpf.Program) {
	if n == byIndex {
		return o.EachOut, o.EachBack
	}
	return o.HopOut, o.HopBack
}

// newHop makes the chain's hop forward and note.
func newHop(chain *lab.Chain, by noting) (*hop, error) {
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, fmt.Errorf("lift the limit on locked memory: %w", err)
	}
	spec, err := loadHop()
	if err != nil {
		return nil, err
	}
	h := &hop{}
	err = chain.AtHop(func(toSender, toResponder int) error {
		if err := errors.Join(spec.Variables[hopVarToSender].Set(int32(toSender)), spec.Variables[hopVarToResponder].Set(int32(toResponder))); err != nil {
			return fmt.Errorf("tell the hop its devices: %w", err)
		}
		if err := spec.LoadAndAssign(&h.objects, nil); err != nil {
			return fmt.Errorf("load the hop's programs: %w", err)
		}
		out, back := by.programs(&h.objects)
		for _, p := range []struct {
			program *ebpf.Program
			device  int
		}{{out, toSender}, {back, toResponder}} {
			l, err := link.AttachXDP(link.XDPOptions{Program: p.program, Interface: p.device, Flags: link.XDPDriverMode})
			if err != nil {
				return fmt.Errorf("attach the hop's programs: %w", err)
			}
			h.links = append(h.links, l)
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, h.close())
	}
	return h, nil
}

// passages reads how long each target's reply took beyond the hop, by the
// last 16 bits of the target; 0 is unknown.
func (h *hop) passages() ([]time.Duration, error) {
	keys, values := make([]uint32, hopTargets), make([]passage, hopTargets)
	var cursor ebpf.MapBatchCursor
	n, err := h.objects.Passages.BatchLookup(&cursor, keys, values, nil)
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil, fmt.Errorf("read what passed the hop: %w", err)
	}
	took := make([]time.Duration, hopTargets)
	for i, v := range values[:n] {
		if v.OutNs != 0 && v.BackNs > v.OutNs {
			took[keys[i]] = time.Duration(v.BackNs - v.OutNs)
		}
	}
	return took, nil
}

func (h *hop) close() error {
	var errs []error
	for _, l := range h.links {
		errs = append(errs, l.Close())
	}
	return errors.Join(append(errs, h.objects.Close())...)
}
