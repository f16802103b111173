// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xsweep/sweep/sink"
)

// sound is a summary with something in every counter, which adds up.
func sound() Summary {
	return Summary{
		Config: map[string]any{"all": true, "replies": AllReplies},
		Targets: TargetCounts{
			Named: 1000, Excluded: 100, Special: 50, OtherShards: 425,
			Skipped: map[string]uint64{"own": 1, "broadcast": 4}, Swept: 400, Unprobed: 20,
			Answered: 90, ErrorsOnly: 10, Both: 4, Silent: 300,
		},
		Probes: ProbeCounts{
			Due: 850, Handed: 802, Unsent: map[string]uint64{"skipped": 10, "stopped": 38},
			Accepted: 790, Unconfirmed: 2, Refused: map[string]uint64{"ENOBUFS": 7, "EPERM": 3},
		},
		Packets: PacketCounts{Judged: 150, Verdicts: map[string]uint64{
			"first": 80, "repeat": 15, "duplicate": 4, "error": 10, "error_duplicate": 4, "error_unchecked": 2,
			"forged": 8, "other": 26, "record_lost": 1,
		}},
		Records: RecordCounts{
			Offered: 115, Emitted: 110, Lost: 3, Suppressed: 2,
			Sinks: []sink.Counts{
				{Path: "a", Written: 100, Filtered: 5, BeyondLimit: 4, Failed: 1},
				{Path: "b", Written: 110},
			},
		},
	}
}

// Each identity is checked: a counter that is off by one is named, and so is
// nothing else.
func TestCheck(t *testing.T) {
	s := sound()
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	var zero Summary
	if err := zero.Check(); err != nil {
		t.Errorf("an empty summary: %v", err)
	}
	const (
		named    = "targets: named ="
		swept    = "targets: swept ="
		due      = "probes: due ="
		handed   = "probes: handed ="
		judged   = "packets: judged ="
		verdicts = "records: offered = what was asked for"
		both     = "targets: both:"
		offered  = "records: offered = emitted"
		sinkA    = "sink a: emitted ="
		sinkB    = "sink b: emitted ="
	)
	all := []string{named, swept, both, due, handed, judged, verdicts, offered, sinkA, sinkB}
	for name, tc := range map[string]struct {
		change func(*Summary)
		broken []string
	}{
		"named":        {func(s *Summary) { s.Targets.Named++ }, []string{named}},
		"excluded":     {func(s *Summary) { s.Targets.Excluded++ }, []string{named}},
		"special":      {func(s *Summary) { s.Targets.Special++ }, []string{named}},
		"other shards": {func(s *Summary) { s.Targets.OtherShards++ }, []string{named}},
		"skipped":      {func(s *Summary) { s.Targets.Skipped["own"]++ }, []string{named}},
		"a new skip":   {func(s *Summary) { s.Targets.Skipped["new"] = 1 }, []string{named}},
		"unprobed":     {func(s *Summary) { s.Targets.Unprobed++ }, []string{named}},
		"swept":        {func(s *Summary) { s.Targets.Swept++ }, []string{named, swept}},
		"answered":     {func(s *Summary) { s.Targets.Answered++ }, []string{swept}},
		"errors only":  {func(s *Summary) { s.Targets.ErrorsOnly++ }, []string{swept}},
		"silent":       {func(s *Summary) { s.Targets.Silent-- }, []string{swept}},
		"due":          {func(s *Summary) { s.Probes.Due++ }, []string{due}},
		"unsent":       {func(s *Summary) { s.Probes.Unsent["stopped"]-- }, []string{due}},
		"handed":       {func(s *Summary) { s.Probes.Handed++ }, []string{due, handed}},
		"accepted":     {func(s *Summary) { s.Probes.Accepted++ }, []string{handed}},
		"refused":      {func(s *Summary) { s.Probes.Refused["EINVAL"] = 1 }, []string{handed}},
		"unconfirmed":  {func(s *Summary) { s.Probes.Unconfirmed-- }, []string{handed}},
		"judged":       {func(s *Summary) { s.Packets.Judged-- }, []string{judged}},
		"forged":       {func(s *Summary) { s.Packets.Verdicts["forged"]++ }, []string{judged}},
		"record lost":  {func(s *Summary) { s.Packets.Verdicts["record_lost"]-- }, []string{judged}},
		"first":        {func(s *Summary) { s.Packets.Verdicts["first"]++ }, []string{judged, verdicts}},
		"repeat":       {func(s *Summary) { s.Packets.Verdicts["repeat"]++ }, []string{judged, verdicts}},
		"duplicate":    {func(s *Summary) { s.Packets.Verdicts["duplicate"]++ }, []string{judged, verdicts}},
		"only firsts":  {func(s *Summary) { s.Config["all"] = false }, []string{verdicts}},
		"an error":     {func(s *Summary) { s.Packets.Verdicts["error"]++ }, []string{judged, verdicts}},
		"an old error": {func(s *Summary) { s.Packets.Verdicts["error_duplicate"]++ }, []string{judged, verdicts}},
		"unchecked":    {func(s *Summary) { s.Packets.Verdicts["error_unchecked"]++ }, []string{judged, verdicts}},
		"positive":     {func(s *Summary) { s.Config["replies"] = PositiveReplies }, []string{verdicts}},
		"errors":       {func(s *Summary) { s.Config["replies"] = ErrorReplies }, []string{verdicts}},
		"both":         {func(s *Summary) { s.Targets.Both = 91 }, []string{both}},
		"offered":      {func(s *Summary) { s.Records.Offered++ }, []string{verdicts, offered}},
		"emitted":      {func(s *Summary) { s.Records.Emitted++ }, []string{offered, sinkA, sinkB}},
		"lost":         {func(s *Summary) { s.Records.Lost++ }, []string{offered}},
		"suppressed":   {func(s *Summary) { s.Records.Suppressed-- }, []string{offered}},
		"written":      {func(s *Summary) { s.Records.Sinks[1].Written-- }, []string{sinkB}},
		"filtered":     {func(s *Summary) { s.Records.Sinks[0].Filtered++ }, []string{sinkA}},
		"beyond limit": {func(s *Summary) { s.Records.Sinks[0].BeyondLimit++ }, []string{sinkA}},
		"failed":       {func(s *Summary) { s.Records.Sinks[0].Failed++ }, []string{sinkA}},
	} {
		t.Run(name, func(t *testing.T) {
			s := sound()
			tc.change(&s)
			err := s.Check()
			if err == nil {
				t.Fatal("it still adds up")
			}
			var broken []string
			for _, identity := range all {
				if strings.Contains(err.Error(), identity) {
					broken = append(broken, identity)
				}
			}
			if diff := cmp.Diff(tc.broken, broken); diff != "" {
				t.Errorf("broken identities (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLosses(t *testing.T) {
	s := sound()
	want := []string{
		"10 probes were refused by the device (ENOBUFS 7, EPERM 3)",
		"1 replies were lost: there was no room for their records",
		"3 records were lost between kernel and program",
		"1 records could not be written to a",
	}
	if diff := cmp.Diff(want, s.Losses()); diff != "" {
		t.Errorf("losses (-want +got):\n%s", diff)
	}
	// What is unsent, silent, forged or cut by a limit is no loss.
	s.Probes.Refused, s.Packets.Verdicts["record_lost"], s.Records.Lost, s.Records.Sinks[0].Failed = nil, 0, 0, 0
	if losses := s.Losses(); len(losses) != 0 {
		t.Errorf("losses without any: %q", losses)
	}
}

// The keys that tools may rely on are there also when nothing is counted, with
// empty objects where there are no names.
func TestSummaryJSON(t *testing.T) {
	plan, err := NewPlan(Config{Targets: named(t, "240.0.0.0/30"), Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	s := plan.Summary()
	if err := s.Check(); err != nil {
		t.Error(err)
	}
	b, err := s.JSON()
	if err != nil {
		t.Fatal(err)
	}
	if b[len(b)-1] != '\n' {
		t.Error("no line feed at the end")
	}
	var got map[string]any
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	for object, keys := range map[string]string{
		"":            "version command config seed started ended interrupted targets probes packets records devices transmitter rate rtt ttl initial_ttl kinds",
		"targets":     "named excluded special skipped swept answered errors_only both silent",
		"probes":      "due handed unsent accepted refused unconfirmed",
		"packets":     "judged verdicts extensions",
		"records":     "offered emitted lost suppressed sinks",
		"rate":        "asked mean peak_second stalls",
		"transmitter": "used why threads measured",
		"rtt":         "count min p50 p90 p99 p999 max mean",
	} {
		o := got
		if object != "" {
			o, _ = got[object].(map[string]any)
		}
		for key := range strings.FieldsSeq(keys) {
			if _, ok := o[key]; !ok {
				t.Errorf("no key %q in %q", key, object)
			}
		}
	}
	for _, path := range [][2]string{{"targets", "skipped"}, {"probes", "unsent"}, {"probes", "refused"}, {"packets", "verdicts"}, {"packets", "extensions"}} {
		if _, ok := got[path[0]].(map[string]any)[path[1]].(map[string]any); !ok {
			t.Errorf("%s.%s is not an object", path[0], path[1])
		}
	}
	for _, key := range []string{"devices", "ttl", "initial_ttl", "kinds"} {
		if _, ok := got[key].(map[string]any); !ok {
			t.Errorf("%s is not an object", key)
		}
	}
}
