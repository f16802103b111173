// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Result is all that a benchmark found out: what --summary writes.
type Result struct {
	Version     string         `json:"version"`
	Command     []string       `json:"command"`
	Config      map[string]any `json:"config"`
	Started     time.Time      `json:"started"`
	Ended       time.Time      `json:"ended"`
	Interrupted bool           `json:"interrupted"`
	Environment Environment    `json:"environment"`
	// Ceiling is what the sender does at most; nil where it could not be measured.
	Ceiling *Ceiling `json:"ceiling,omitempty"`
	Trials  []Trial  `json:"trials"`
	// NDR and PDR are what the searches found, one a size.
	NDR []Throughput `json:"ndr,omitempty"`
	PDR []Throughput `json:"pdr,omitempty"`
	// Limiter is set where the target limits its answers.
	Limiter *Limiter `json:"limiter,omitempty"`
	Verdict string   `json:"verdict"`
	Error   string   `json:"error,omitempty"`
}

// JSON is the result in JSON, indented.
func (r *Result) JSON() ([]byte, error) {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(text, '\n'), nil
}

// Throughput is what a search found for one goal: the load lies between Lower,
// which reached the goal, and Upper, which did not.
type Throughput struct {
	Goal  float64 `json:"goal"` // loss ratio
	Size  int     `json:"size"` // bytes of ICMP data
	Lower uint64  `json:"lower"`
	Upper uint64  `json:"upper"` // 0: no load was too high
	// Limit says what ended the search where no load was too high: generator or
	// max-rate; or what was found where every load was: min-rate.
	Limit string `json:"limit,omitempty"`
	// Conditional is the rate of answers at Lower, the conditional throughput of
	// RFC 9971.
	Conditional float64 `json:"conditional"`
}

// Answered says whether anybody answered.
func (r *Result) Answered() bool { return answers(r.Trials) }

// answers says whether any of the trials had an answer in time.
func answers(trials []Trial) bool {
	for _, t := range trials {
		if t.Answered > 0 || t.Verdicts["warmup"] > 0 || t.Late > 0 {
			return true
		}
	}
	return false
}

// Conclude says in one sentence what came out.
func (r *Result) Conclude() {
	r.Verdict = r.conclude()
}

func (r *Result) conclude() string {
	switch {
	case len(r.Trials) == 0 && r.Interrupted:
		return "interrupted before the first trial"
	case len(r.Trials) == 0:
		return "no trial was run"
	}
	last := &r.Trials[len(r.Trials)-1]
	switch {
	case answers(r.Trials):
	case r.Interrupted:
		return "interrupted before any answer came"
	default:
		var errors uint64
		for _, t := range r.Trials {
			errors += t.Errors
		}
		if errors > 0 {
			return fmt.Sprintf("the target did not answer: only errors came, %d of them", errors)
		}
		return "the target did not answer a single probe"
	}
	if n := mute(r.Trials); n > 0 && !r.Interrupted {
		return fmt.Sprintf("the target stopped answering: no answer came in the last %d of %d trials", n, len(r.Trials))
	}
	if dead := silent(r.Trials); len(dead) > 0 {
		return fmt.Sprintf("of %d targets %d did not answer: %s", len(last.Targets), len(dead), join(dead))
	}
	if l := r.Limiter; l != nil && !r.Interrupted {
		return fmt.Sprintf("the target limits its answers to %.0f a second, with a bucket of %.0f: this is a limit, not its capacity", l.Rate, l.Burst)
	}
	if r.Interrupted {
		return "interrupted: what was measured so far is incomplete"
	}
	if len(r.NDR)+len(r.PDR) > 0 {
		return bySize(r.sizes(), r.concludeSearch)
	}
	if len(r.Trials) > 1 {
		return bySize(r.sizes(), func(size int) string { return concludeSeveral(r.ofSize(size)) })
	}
	if !last.Valid {
		return "not valid: " + last.Reason
	}
	switch {
	case last.Recovery != nil:
		return fmt.Sprintf("after the overload probes were lost for another %v", time.Duration(*last.Recovery).Round(time.Microsecond))
	case last.Lost == 0:
		return fmt.Sprintf("no loss at %.0f probes a second", last.RateSent) + tooFew(last.Sent)
	}
	if cut := died(last); cut > 0 {
		return fmt.Sprintf("the target stopped answering %.1f s after the first probe that counts", cut)
	}
	late := ""
	if last.Late > 0 {
		late = fmt.Sprintf("; %d answers came later than the drain time, and count as lost: use a longer --drain", last.Late)
	}
	return fmt.Sprintf("%.4g %% lost at %.0f probes a second%s", 100*last.LossRatio(), last.RateSent, late)
}

// ceilingNote says how near the generator's limit is to what the sender does at
// most, where the generator is what limits.
func (r *Result) ceilingNote(limit string) string {
	if limit != "generator" || r.Ceiling == nil {
		return ""
	}
	return fmt.Sprintf(" (into a loop that drops it sends %.0f)", r.Ceiling.Rate)
}

// sizes are those of the trials, in their order.
func (r *Result) sizes() (sizes []int) {
	for _, t := range r.Trials {
		if !slices.Contains(sizes, t.Size) {
			sizes = append(sizes, t.Size)
		}
	}
	return sizes
}

func (r *Result) ofSize(size int) (trials []Trial) {
	for _, t := range r.Trials {
		if t.Size == size {
			trials = append(trials, t)
		}
	}
	return trials
}

// bySize says of each size what came out.
func bySize(sizes []int, conclude func(size int) string) string {
	if len(sizes) == 1 {
		return conclude(sizes[0])
	}
	var parts []string
	for _, size := range sizes {
		parts = append(parts, fmt.Sprintf("%d bytes: %s", size, conclude(size)))
	}
	return strings.Join(parts, "; ")
}

// concludeSearch says what a search found for its strictest goal.
func (r *Result) concludeSearch(size int) string {
	for _, found := range slices.Concat(r.NDR, r.PDR) {
		if found.Size != size {
			continue
		}
		var sent uint64 // in its longest trial
		for _, t := range r.ofSize(size) {
			if t.Valid && t.Purpose == "search" && uint64(t.RateOffered) == found.Lower {
				sent = max(sent, t.Sent)
			}
		}
		return found.sentence() + r.ceilingNote(found.Limit) + tooFew(sent)
	}
	return "the search found nothing that it could say"
}

// statement is how many probes it takes to speak of a tenth of a percent.
const statement = 1000

// tooFew says that a trial without loss had too few probes to say much; 0 is not
// known.
func tooFew(sent uint64) string {
	if sent == 0 || sent >= statement {
		return ""
	}
	return fmt.Sprintf(", but %d probes cannot tell a loss below %.2g %%: use a longer --duration", sent, 100/float64(sent))
}

// sentence is the throughput in words.
func (t *Throughput) sentence() string {
	switch {
	case t.Limit == "not found":
		return "the search found nothing that it could say"
	case t.Limit == "min-rate":
		return fmt.Sprintf("%s even at the lowest rate tried, %d a second", t.more(), t.Upper)
	case t.Upper == 0 && t.Limit == "generator":
		return fmt.Sprintf("%s up to %d probes a second, the most that this machine sends: the target can do more, or they are limited together", t.less(), t.Lower)
	case t.Upper == 0:
		return fmt.Sprintf("%s up to %d probes a second, the highest rate asked for", t.less(), t.Lower)
	}
	return fmt.Sprintf("%s up to %d probes a second, %s from %d on", t.less(), t.Lower, t.more(), t.Upper)
}

// less and more are what is below and above the goal, in words.
func (t *Throughput) less() string {
	if t.Goal == 0 {
		return "no loss"
	}
	return fmt.Sprintf("at most %.3g %% lost", 100*t.Goal)
}

func (t *Throughput) more() string {
	if t.Goal == 0 {
		return "loss"
	}
	return "more"
}

// concludeSeveral names the highest load of a curve that lost nothing.
func concludeSeveral(trials []Trial) string {
	best, worst, invalid, sent := 0.0, 0.0, 0, uint64(0)
	for _, t := range trials {
		switch {
		case !t.Valid:
			invalid++
		case t.Lost == 0:
			best, sent = max(best, t.RateOffered), max(sent, t.Sent)
		case worst == 0 || t.RateOffered < worst:
			worst = t.RateOffered
		}
	}
	note := ""
	if invalid > 0 {
		note = fmt.Sprintf("; %d of %d trials are not valid", invalid, len(trials))
	}
	switch {
	case worst == 0 && best == 0:
		return "no trial was valid" + note
	case worst == 0:
		return fmt.Sprintf("no loss at any load, up to %.0f probes a second%s%s", best, note, tooFew(sent))
	case best == 0:
		return fmt.Sprintf("loss at every load, from %.0f probes a second on%s", worst, note)
	}
	return fmt.Sprintf("no loss at up to %.0f probes a second, loss from %.0f on%s%s", best, worst, note, tooFew(sent))
}

// silent are the targets that never answered, where others did.
func silent(trials []Trial) []netip.Addr {
	answered := map[netip.Addr]uint64{}
	var order []netip.Addr
	for _, t := range trials {
		for _, r := range t.Targets {
			if _, ok := answered[r.Addr]; !ok {
				order = append(order, r.Addr)
			}
			answered[r.Addr] += r.Answered
		}
	}
	var dead []netip.Addr
	for _, a := range order {
		if answered[a] == 0 {
			dead = append(dead, a)
		}
	}
	if len(dead) == len(order) {
		return nil
	}
	return dead
}

// mute is how many trials at the end had no answer at all.
func mute(trials []Trial) (n int) {
	for _, t := range slices.Backward(trials) {
		if t.Sent == 0 || answers([]Trial{t}) {
			break
		}
		if t.Purpose != "limiter" { // who answers nothing of four times what it can is alive
			n++
		}
	}
	return n
}

// died is after how many seconds a target gave its last answer, if it was silent
// for the last ones of a trial; else 0. Seconds are noted some milliseconds late.
func died(t *Trial) float64 {
	at := 0.0
	for _, s := range t.Seconds {
		if s.Answered > 0 {
			at = s.At
		}
	}
	n := len(t.Seconds)
	if n == 0 || t.Seconds[n-1].At-at < 1.9 {
		return 0
	}
	// The silence at the end says it better than the second that it began in.
	if exact := t.Seconds[n-1].At - float64(t.Outage)/1e9; exact > at-1.1 && exact < at {
		return exact
	}
	return at
}

func join(addrs []netip.Addr) string {
	const most = 5
	var words []string
	for i, a := range addrs {
		if i == most {
			words = append(words, fmt.Sprintf("and %d more", len(addrs)-most))
			break
		}
		words = append(words, a.String())
	}
	return strings.Join(words, ", ")
}
