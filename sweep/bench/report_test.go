// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"net/netip"
	"strings"
	"testing"
)

// The verdict says in one sentence what came out, whatever it was.
func TestConclude(t *testing.T) {
	all := []TargetResult{{Sent: 5000, Answered: 5000}}
	good := Trial{Valid: true, RateOffered: 5000, RateSent: 5000, Sent: 5000, Answered: 5000, Targets: all}
	lossy := Trial{Valid: true, RateOffered: 8000, RateSent: 8000, Sent: 8000, Answered: 7992, Lost: 8, Targets: all}
	invalid := Trial{Reason: "the device refused 3 frames", RateOffered: 9000, Sent: 10, Answered: 10, Targets: all}
	short := Trial{Valid: true, RateSent: 500, Sent: 50, Answered: 50, Targets: all}
	recovery := uint64(1_500_000)
	recovered := good
	recovered.Recovery = &recovery
	died := lossy
	for i, answered := range []uint64{10, 9, 0, 0} {
		died.Seconds = append(died.Seconds, Second{At: float64(i + 1), Sent: 10, Answered: answered})
	}
	died.Lost, died.Answered = 21, 19
	late := lossy // noted some milliseconds late
	late.Seconds = []Second{{At: 1.00997, Sent: 10, Answered: 7}, {At: 2.0007, Sent: 10}, {At: 3.00002, Sent: 10}}
	precise := died
	precise.Outage = 2_700_000_000
	dead := Trial{Valid: true, RateOffered: 2000, RateSent: 2000, Sent: 1000, Lost: 1000, Targets: []TargetResult{{Sent: 1000}}}
	large, few := good, good
	large.Size, few.Sent, few.Answered, few.Purpose = 64, 50, 50, "search"
	mixed := good
	mixed.Targets = append(all, TargetResult{Addr: netip.MustParseAddr("192.0.2.9"), Sent: 5})
	for want, r := range map[string]Result{
		"no trial was run":                                                       {},
		"no loss at 5000 probes a second":                                        {Trials: []Trial{good}},
		"0.1 % lost at 8000 probes a second":                                     {Trials: []Trial{lossy}},
		"not valid: the device refused 3 frames":                                 {Trials: []Trial{invalid}},
		"after the overload probes were lost for another 1.5ms":                  {Trials: []Trial{recovered}},
		"the target stopped answering 2.0 s after the first probe that counts":   {Trials: []Trial{died}},
		"the target stopped answering 1.0 s after the first probe that counts":   {Trials: []Trial{late}},
		"the target stopped answering 1.3 s after the first probe that counts":   {Trials: []Trial{precise}},
		"the target stopped answering: no answer came in the last 2 of 4 trials": {Trials: []Trial{good, good, dead, dead}},
		"0 bytes: no loss at any load, up to 5000 probes a second; 64 bytes: no loss at any load, up to 5000 probes a second": {
			Trials: []Trial{good, large}},
		"0 bytes: no loss up to 5000 probes a second, loss from 5020 on; 64 bytes: loss even at the lowest rate tried, 100 a second": {
			Trials: []Trial{good, large}, NDR: []Throughput{{Lower: 5000, Upper: 5020}, {Size: 64, Upper: 100, Limit: "min-rate"}}},
		"no loss up to 5000 probes a second, the highest rate asked for, but 50 probes cannot tell a loss below 2 %: use a longer --duration": {
			Trials: []Trial{few, few}, NDR: []Throughput{{Lower: 5000, Limit: "max-rate"}}},
		"no loss up to 5000 probes a second, the most that this machine sends: the target can do more, or they are limited together (into a loop that drops it sends 70000)": {
			Trials: []Trial{good, good}, NDR: []Throughput{{Lower: 5000, Limit: "generator"}}, Ceiling: &Ceiling{Rate: 70_000}},
		"of 2 targets 1 did not answer: 192.0.2.9":                                     {Trials: []Trial{mixed}},
		"the target did not answer a single probe":                                     {Trials: []Trial{{Sent: 10, Lost: 10}}},
		"the target did not answer: only errors came, 7 of them":                       {Trials: []Trial{{Sent: 10, Lost: 10, Errors: 7}}},
		"interrupted: what was measured so far is incomplete":                          {Trials: []Trial{good}, Interrupted: true, NDR: []Throughput{{Limit: "not found"}}},
		"no loss at up to 5000 probes a second, loss from 8000 on":                     {Trials: []Trial{good, lossy}},
		"no loss at any load, up to 5000 probes a second; 1 of 2 trials are not valid": {Trials: []Trial{good, invalid}},
		"loss at every load, from 8000 probes a second on":                             {Trials: []Trial{lossy, lossy}},
		"no loss at 500 probes a second, but 50 probes cannot tell a loss below 2 %: use a longer --duration": {
			Trials: []Trial{short}},
		"no loss up to 5000 probes a second, loss from 5020 on": {
			Trials: []Trial{good, lossy}, NDR: []Throughput{{Lower: 5000, Upper: 5020}}},
		"at most 0.5 % lost up to 5000 probes a second, more from 5020 on": {
			Trials: []Trial{good, lossy}, PDR: []Throughput{{Goal: 0.005, Lower: 5000, Upper: 5020}}},
		"loss even at the lowest rate tried, 100 a second": {
			Trials: []Trial{lossy, lossy}, NDR: []Throughput{{Upper: 100, Limit: "min-rate"}}},
		"no loss up to 5000 probes a second, the highest rate asked for": {
			Trials: []Trial{good, good}, NDR: []Throughput{{Lower: 5000, Limit: "max-rate"}}},
		"no loss up to 5000 probes a second, the most that this machine sends: the target can do more, or they are limited together": {
			Trials: []Trial{good, good}, NDR: []Throughput{{Lower: 5000, Limit: "generator"}}},
		"the target limits its answers to 1000 a second, with a bucket of 50: this is a limit, not its capacity": {
			Trials: []Trial{good, good}, NDR: []Throughput{{Lower: 1000, Upper: 1005}}, Limiter: &Limiter{1000, 50}},
	} {
		if r.Conclude(); r.Verdict != want {
			t.Errorf("%q, want %q", r.Verdict, want)
		}
	}
}

// What breaks an identity is found.
func TestTrialCheck(t *testing.T) {
	whole := Trial{Sent: 10, Answered: 7, Lost: 3, Late: 1, RTT: Latency{Count: 7}, RTTScheduled: Latency{Count: 7}, Targets: []TargetResult{{Sent: 10, Answered: 7}}}
	if err := whole.Check(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Trial){
		"sent":              func(r *Trial) { r.Sent++ },
		"late":              func(r *Trial) { r.Late = 4 },
		"latency":           func(r *Trial) { r.RTT.Count-- },
		"scheduled latency": func(r *Trial) { r.RTTScheduled.Count++ },
		"targets answered":  func(r *Trial) { r.Targets = []TargetResult{{Sent: 10, Answered: 8}} },
		"targets sent":      func(r *Trial) { r.Targets = []TargetResult{{Sent: 9, Answered: 7}} },
	} {
		broken := whole
		change(&broken)
		if broken.Check() == nil {
			t.Errorf("%s: adds up", name)
		}
	}
}

// Each way in which the generator can fail makes a trial that is not valid, with a
// reason that says so; a few frames that others have dropped do not.
func TestTrialValid(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Trial)
		reason string // empty: the trial is valid
	}{
		"nothing":              {func(*Trial) {}, ""},
		"nothing sent":         {func(t *Trial) { t.Sent, t.Answered, t.Lost, t.RateSent = 0, 0, 0, 0 }, "nothing was sent"},
		"stuck in the warm-up": {func(t *Trial) { t.Sent, t.Answered, t.Lost, t.RateSent = 0, 0, 0, 500 }, "sent 500 probes a second instead of 10000, and did not get through the warm-up"},
		"refused":              {func(t *Trial) { t.Generator.Refused = map[string]uint64{"ENOBUFS": 3} }, "refused 3 frames"},
		"dropped on the way":   {func(t *Trial) { t.Generator.TxDropped = 50 }, "sending device dropped 50 frames"},
		"dropped, sent again":  {func(t *Trial) { t.Generator.TxDropped, t.Generator.Retries = 50, 50 }, ""},
		"dropped on receiving": {func(t *Trial) { t.Generator.RxDropped = 5 }, "receiving device dropped 5 frames"},
		"somebody's":           {func(t *Trial) { t.Generator.RxDropped = 4 }, ""},
		"backlog":              {func(t *Trial) { t.Generator.BacklogDropped = 5 }, "5 frames found the receive queue of a CPU full"},
		"too slow":             {func(t *Trial) { t.RateSent = 9900 }, "sent 9900 probes a second instead of 10000"},
		"too fast":             {func(t *Trial) { t.RateSent = 10_200 }, "sent 10200 probes a second"},
		"others' CPU":          {func(t *Trial) { t.RateSent, t.Generator.CPUWait = 9000, 0.25 }, "others had its CPU for 25 % of the time"},
		"own CPU":              {func(t *Trial) { t.RateSent, t.Generator.CPU = 9000, 0.99 }, "its CPU can do no more"},
		"bursts":               {func(t *Trial) { t.Burst, t.RateSent = 1000, 10_200 }, ""},
		"bursts, too slow":     {func(t *Trial) { t.Burst, t.RateSent = 1000, 9700 }, "sent 9700 probes a second"},
		"overtaken":            {func(t *Trial) { t.Verdicts["overtaken"] = 1 }, "the window moved past 1 answers"},
	} {
		trial := Trial{
			RateOffered: 10_000, RateSent: 10_000, Sent: 100_000, Answered: 99_900, Lost: 100, Generator: Generator{Threads: 1}, Verdicts: map[string]uint64{},
		}
		c.change(&trial)
		trial.check(DefaultPacingError)
		if trial.Valid != (c.reason == "") || !strings.Contains(trial.Reason, c.reason) {
			t.Errorf("%s: valid %t, reason %q, want %q", name, trial.Valid, trial.Reason, c.reason)
		}
	}
}

// Only familiar addresses may be loaded without being asked, and only dedicated ones
// without measure.
func TestForeign(t *testing.T) {
	own := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.18.7.0/30")}
	if _, foreign := Foreign(addrs("198.18.0.1"), own[:1]); !foreign || Dedicated(addrs("198.18.0.1"), own[:1]) {
		t.Error("benchmarking addresses are nobody's where this machine has none")
	}
	for text, want := range map[string]bool{
		"127.0.0.1": false, "169.254.3.4": false, "198.18.0.0": false, "198.19.255.255": false, "192.0.2.200": false,
		"192.0.3.1": true, "198.20.0.0": true, "10.0.0.1": true,
	} {
		if _, foreign := Foreign(addrs("127.0.0.1", text), own); foreign != want {
			t.Errorf("%s: foreign %t", text, foreign)
		}
		if want := strings.HasPrefix(text, "198.18.0") || strings.HasPrefix(text, "198.19") || text == "127.0.0.1"; Dedicated(addrs("127.0.0.1", text), own) != want {
			t.Errorf("%s: dedicated %t", text, !want)
		}
	}
}
