// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"xsweep/sweep/pace"
	"xsweep/sweep/reply"
	"xsweep/sweep/sink"
)

// Summary is a sweep's account. docs/accounting.md defines every key.
type Summary struct {
	Version     string         `json:"version"`
	Command     []string       `json:"command"`
	Config      map[string]any `json:"config"`
	Seed        uint64         `json:"seed"`
	Started     time.Time      `json:"started"`
	Ended       time.Time      `json:"ended"`
	Interrupted bool           `json:"interrupted"`
	// Runs is how many runs it adds up over: 1 for a sweep that was not resumed.
	Runs int `json:"runs"`
	// Error says what ended the sweep early; empty if nothing did.
	Error string `json:"error,omitempty"`

	Targets     TargetCounts                 `json:"targets"`
	Probes      ProbeCounts                  `json:"probes"`
	Packets     PacketCounts                 `json:"packets"`
	Records     RecordCounts                 `json:"records"`
	Devices     map[string]DeviceCounts      `json:"devices"`
	Transmitter TransmitterChoice            `json:"transmitter"`
	Rate        RateCounts                   `json:"rate"`
	RTT         reply.RTT                    `json:"rtt"`
	TTL         map[string]uint64            `json:"ttl"`
	InitialTTL  map[string]float64           `json:"initial_ttl"`
	Kinds       map[string]map[string]uint64 `json:"kinds"`
}

// TargetCounts counts distinct addresses.
type TargetCounts struct {
	Named       uint64            `json:"named"`
	Excluded    uint64            `json:"excluded"`
	Special     uint64            `json:"special"`
	OtherShards uint64            `json:"other_shards"`
	Skipped     map[string]uint64 `json:"skipped"`
	Swept       uint64            `json:"swept"`
	Unprobed    uint64            `json:"unprobed"`
	Answered    uint64            `json:"answered"`
	ErrorsOnly  uint64            `json:"errors_only"`
	// Both of the targets that answered had an error come for them too.
	Both   uint64 `json:"both"`
	Silent uint64 `json:"silent"`
}

// ProbeCounts counts probes from plan to device.
type ProbeCounts struct {
	Due      uint64            `json:"due"`
	Handed   uint64            `json:"handed"`
	Unsent   map[string]uint64 `json:"unsent"`
	Accepted uint64            `json:"accepted"`
	Refused  map[string]uint64 `json:"refused"`
	// Unconfirmed probes were given to the kernel, which does not tell whether
	// the device took them.
	Unconfirmed uint64 `json:"unconfirmed"`
	Retries     uint64 `json:"retries"`
	// Again of those due were sent before: a resumed sweep begins again where
	// replies may still have been under way.
	Again uint64 `json:"again"`
	// UnaccountedAtMost is how many probes killed runs sent at most after they were
	// last saved. No other count has them.
	UnaccountedAtMost uint64 `json:"unaccounted_at_most"`
}

// PacketCounts counts what the reply filter saw.
type PacketCounts struct {
	Judged   uint64            `json:"judged"`
	Verdicts map[string]uint64 `json:"verdicts"`
	// Extensions counts errors whose attached objects could not be read, by
	// what was wrong with those.
	Extensions map[string]uint64 `json:"extensions"`
}

// RecordCounts counts records from the filter to the sinks.
type RecordCounts struct {
	Offered    uint64        `json:"offered"`
	Emitted    uint64        `json:"emitted"`
	Lost       uint64        `json:"lost"`
	Suppressed uint64        `json:"suppressed"`
	Sinks      []sink.Counts `json:"sinks"`
}

// DeviceCounts is what a device counted during the sweep. Unexplained is what
// it sent beyond the accepted probes: other programs' frames.
type DeviceCounts struct {
	Tx          uint64 `json:"tx"`
	Rx          uint64 `json:"rx"`
	TxDropped   uint64 `json:"tx_dropped"`
	Unexplained int64  `json:"unexplained"`
}

// RateCounts is in packets per second. Asked is "max" where no number was
// asked for.
type RateCounts struct {
	Asked      any     `json:"asked"`
	Mean       float64 `json:"mean"`
	PeakSecond float64 `json:"peak_second"`
	Stalls     uint64  `json:"stalls"`
	// Held is for how many ns sinks slowed sending, of all threads together.
	Held int64 `json:"held"`
}

// askedRate is how the summary shows a rate.
func askedRate(r pace.Rate) any {
	if r == pace.Max {
		return "max"
	}
	return uint64(r)
}

// Check compares the counters by every identity of docs/accounting.md and
// returns an error that names each one that does not hold.
func (s *Summary) Check() error {
	var errs []error
	equal := func(name string, left, right uint64) {
		if left != right {
			errs = append(errs, fmt.Errorf("%s: %d is not %d", name, left, right))
		}
	}
	t, p, r := &s.Targets, &s.Probes, &s.Records
	equal("targets: named = excluded + special + other_shards + skipped + swept + unprobed",
		t.Named, t.Excluded+t.Special+t.OtherShards+total(t.Skipped)+t.Swept+t.Unprobed)
	equal("targets: swept = answered + errors_only + silent", t.Swept, t.Answered+t.ErrorsOnly+t.Silent)
	if t.Both > t.Answered {
		errs = append(errs, fmt.Errorf("targets: both: %d is more than answered, %d", t.Both, t.Answered))
	}
	equal("probes: due = handed + unsent", p.Due, p.Handed+total(p.Unsent))
	equal("probes: handed = accepted + refused + unconfirmed", p.Handed, p.Accepted+total(p.Refused)+p.Unconfirmed)
	equal("packets: judged = sum of all verdicts", s.Packets.Judged, total(s.Packets.Verdicts))
	equal("records: offered = what was asked for of first, repeat, duplicate, error, error_unchecked, error_duplicate",
		r.Offered, s.offered())
	equal("records: offered = emitted + lost + suppressed", r.Offered, r.Emitted+r.Lost+r.Suppressed)
	for _, c := range r.Sinks {
		equal(fmt.Sprintf("sink %s: emitted = written + filtered + beyond_limit + failed", c.Path),
			r.Emitted, c.Written+c.Filtered+c.BeyondLimit+c.Failed)
	}
	if len(errs) == 0 {
		return nil
	}
	return fmt.Errorf("the counters do not add up, please report this: %w", errors.Join(errs...))
}

// offered is how many records there must be, by the verdicts and what was asked
// for.
func (s *Summary) offered() (n uint64) {
	all, _ := s.Config["all"].(bool)
	replies := Replies(fmt.Sprint(s.Config["replies"])) // a string, if it was read from a checkpoint
	v := s.Packets.Verdicts
	if replies != ErrorReplies {
		n += v["first"]
		if all {
			n += v["repeat"] + v["duplicate"]
		}
	}
	if replies == ErrorReplies || replies == AllReplies {
		n += v["error"] + v["error_unchecked"]
		if all {
			n += v["error_duplicate"]
		}
	}
	return n
}

// Losses says in words what the sweep lost for good: records, results, or
// probes that the device refused. It is empty if nothing was.
func (s *Summary) Losses() []string {
	var losses []string
	if n := total(s.Probes.Refused); n > 0 {
		losses = append(losses, fmt.Sprintf("%d probes were refused by the device (%s)", n, describeCounts(s.Probes.Refused)))
	}
	if n := s.Packets.Verdicts["record_lost"]; n > 0 {
		losses = append(losses, fmt.Sprintf("%d replies were lost: there was no room for their records", n))
	}
	if n := s.Records.Lost; n > 0 {
		losses = append(losses, fmt.Sprintf("%d records were lost between kernel and program", n))
	}
	for _, c := range s.Records.Sinks {
		if c.Failed > 0 {
			path := c.Path
			if path == "-" {
				path = "standard output"
			}
			losses = append(losses, fmt.Sprintf("%d records could not be written to %s", c.Failed, path))
		}
	}
	return losses
}

// JSON gives the summary as indented JSON with a line feed at its end.
func (s *Summary) JSON() ([]byte, error) {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the summary: %w", err)
	}
	return append(b, '\n'), nil
}

func total(counts map[string]uint64) uint64 {
	var n uint64
	for _, c := range counts {
		n += c
	}
	return n
}

// describeCounts lists counts by name: "ENOBUFS 3, EPERM 1".
func describeCounts(counts map[string]uint64) string {
	var text string
	for i, name := range slices.Sorted(maps.Keys(counts)) {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%s %d", name, counts[name])
	}
	return text
}
