// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"xsweep/loader"
	"xsweep/sweep"
	"xsweep/sweep/bench"
	"xsweep/sweep/pace"
	"xsweep/sweep/target"
)

const benchHelp = `Measure how many echo requests a second a host answers, and at what latency.

Probes are sent open loop: no answer is waited for. Every probe has an index of
its own, and an XDP program judges every answer, so that loss, duplicates,
reordering and late answers are exact. A trial in which this machine fell behind
is marked as not valid and never held against the target.

This is a load test. Targets outside of loopback, link-local addresses and the
subnets of this machine need --i-am-authorised, which says that their owner
agrees; not so benchmarking addresses (198.18.0.0/15) where this machine has one.
Without it 10k probes a second are the most for anybody else's machine unless you
choose a higher rate yourself.

Without a mode it runs one trial at --rate. Modes: --search finds NDR (the highest
rate without loss) and PDR (with 0.1 % and 0.5 % of it, or as --loss says), then
measures latencies at 10, 50 and 90 % of NDR, and finds out whether the target only
limits its answers; --sweep runs trials at one rate after the other; --soak holds
--rate and reports each second; --recovery overloads the target, then measures
how long at --rate probes are still lost. docs/benchmarking.md explains them.

Tables go to standard output, everything else to standard error. Ctrl-C stops
sending, waits the drain time and sums up; a second one ends the wait.

Exit status: 0 done; 1 failed while running, nobody answered, or no trial was
valid; 2 bad usage or input, nothing was sent; 130 interrupted.`

const benchExamples = `  xsweep bench --rate 20k --duration 2s 192.0.2.7
  xsweep bench --tx packet --rate 5k --duration 1s --summary run.json 192.0.2.7 192.0.2.8
  xsweep bench --tx packet --search --max-rate 20k --duration 200ms -o report.html 192.0.2.7
  xsweep bench --tx packet --sweep 2k:10k:4k --duration 500ms 192.0.2.7
  xsweep bench --tx packet --rate 5k --soak 2s 192.0.2.7
  xsweep bench --tx packet --rate 5k --recovery 2 --duration 1s 192.0.2.7
  xsweep lab --responder kernel -- xsweep bench --tx packet --rate 10k --duration 1s 198.18.2.7`

// benchFlags are the flags of the bench command.
type benchFlags struct {
	config     bench.Config
	tx, xdp    string
	size       string
	source     string
	rate       pace.Rate
	duration   time.Duration
	warmup     time.Duration
	burst      int
	authorised bool
	ceiling    bool
	modest     bool // nobody chose the highest rate of the search

	search           bool
	loss             string
	minRate, maxRate pace.Rate
	trials           int
	width            float64
	sweep            string
	soak             time.Duration
	recovery         float64

	goals []float64
	loads []uint64
	view  *benchView

	output  []string
	format  string
	force   bool
	summary string
	quiet   bool
	verbose int

	sizes   []int
	changed func(flag string) bool
}

func newBenchCommand(env *environment) *cobra.Command {
	f := &benchFlags{rate: sweep.DefaultRate, minRate: 100, maxRate: searchRate, width: 0.005}
	c := &cobra.Command{
		Use:     "bench [flags] TARGET...",
		Short:   "Measure how well a host answers",
		Long:    benchHelp,
		Example: benchExamples,

		ValidArgsFunction: completeTargets,
		RunE: func(c *cobra.Command, args []string) error {
			return runBench(c.Context(), env, f, args)
		},
	}
	f.register(c.Flags())
	f.changed = c.Flags().Changed
	c.AddCommand(newCompareCommand(env))
	return c
}

func (f *benchFlags) register(flags *pflag.FlagSet) {
	flags.SortFlags = false
	c := &f.config
	flags.Var(flagValue[pace.Rate]{&f.rate, pace.ParseRate, pace.Rate.String, "rate"}, "rate", "probes per second, over all targets, such as 500, 10k or 1.5M")
	flags.DurationVar(&f.duration, "duration", bench.DefaultDuration, "how long a trial sends probes that count")
	flags.DurationVar(&f.warmup, "warmup", bench.DefaultWarmup, "how long it sends others before")
	flags.DurationVar(&c.Drain, "drain", bench.DefaultDrain, "how long late answers are waited for")
	flags.BoolVar(&f.search, "search", false, "find the highest rates without loss (NDR) and with little of it (PDR)")
	flags.StringVar(&f.loss, "loss", "0,0.1%,0.5%", "`RATIOS` of loss to search for")
	flags.Var(flagValue[pace.Rate]{&f.minRate, pace.ParseRate, pace.Rate.String, "rate"}, "min-rate", "lowest rate of a search")
	flags.Var(flagValue[pace.Rate]{&f.maxRate, pace.ParseRate, pace.Rate.String, "rate"}, "max-rate", "highest rate of a search; 10k, unless asked for more, where others could be disturbed")
	flags.IntVar(&f.trials, "trials", 3, "how many trials decide about a rate of a search")
	flags.Var(flagValue[float64]{&f.width, parseRatio, showRatio, "ratio"}, "width", "how far apart the bounds may be that a search finds")
	flags.StringVar(&f.sweep, "sweep", "", "run a trial at each rate of `A:B:STEP`, from A to B")
	flags.DurationVar(&f.soak, "soak", 0, "hold the rate so long, and report each second")
	flags.Float64Var(&f.recovery, "recovery", 0, "send `FACTOR` times the rate for the duration, then measure how long the rate loses probes")
	flags.Var(flagValue[int]{&f.burst, parseInt, showInt, "count"}, "burst", "send so many at once, and so many again when the rate allows (default: evenly)")
	flags.StringVar(&f.size, "size", strconv.Itoa(bench.DefaultSize), "`BYTES` of ICMP data of probes, or several with commas, or rfc2544 for its set of frame sizes")
	flags.StringVar(&f.tx, "tx", string(bench.TxAuto), "how to send: auto, packet or xdp")
	flags.Var(flagValue[int]{&c.Threads, parseThreads, showInt, "count"}, "tx-threads", "threads that send (default 1)")
	c.PacingError = bench.DefaultPacingError
	flags.Var(flagValue[float64]{&c.PacingError, parseRatio, showRatio, "ratio"}, "max-pacing-error", "how far the rate may be off in a valid trial")
	flags.BoolVar(&f.ceiling, "ceiling", true, "measure first what this machine sends at most, into a loop that drops it")
	flags.StringVar(&f.xdp, "xdp", loader.Auto.String(), "how to attach the judge: auto, native or generic")
	flags.StringVarP(&c.Interface, "interface", "i", "", "send through this `DEVICE` (default: as the routes say)")
	flags.StringVar(&f.source, "source", "", "send from these `ADDRESSES`: one, or several with commas, ranges or prefixes (default: as the routes say)")
	flags.Var(flagValue[int]{&c.Flows, parseInt, showInt, "count"}, "flows", "vary source address and ICMP identifier, so many ways (default: as many as sources are named)")
	flags.Var(flagValue[net.HardwareAddr]{&c.GatewayMAC, parseMAC, net.HardwareAddr.String, "mac"}, "gateway-mac", "send frames to this Ethernet address (default: the gateway's)")
	flags.BoolVar(&f.authorised, "i-am-authorised", false, "the owners of the targets agree to a load test: any target, and no ceiling of 10k probes a second for searches")
	flags.StringArrayVarP(&f.output, "output", "o", nil, "write a report to `FILE`: .html for a page, .hgrm for the last trial's latencies as HdrHistogram's percentiles, .hlog for all trials' as its log; may be repeated")
	flags.StringVar(&f.format, "format", "text", "what goes to standard output: text, or hgrm or hlog as with --output")
	flags.BoolVar(&f.force, "force", false, "replace files that are there")
	flags.StringVar(&f.summary, "summary", "", "write all results as JSON to `FILE`, - is standard output")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "nothing on standard error but errors")
	flags.CountVarP(&f.verbose, "verbose", "v", "say what was chosen, and why; twice (-vv): every step")
}

// maxDrain is longer than any answer takes, and a wait that a signal must not end.
const maxDrain = 5 * time.Minute

// rfc2544 are the sizes of ICMP data that make frames of RFC 2544, section 9.1:
// without header and frame check sequence. The smallest has no room for the
// payload and is two bytes longer.
var rfc2544 = []int{20, 82, 210, 466, 978, 1234, 1472}

// parseSizes reads one size, several with commas, or rfc2544.
func parseSizes(text string) ([]int, error) {
	if text == "rfc2544" {
		return rfc2544, nil
	}
	var sizes []int
	for word := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil || n < bench.MinSize {
			return nil, fmt.Errorf("%q: must be bytes, at least %d, or rfc2544", word, bench.MinSize)
		}
		if slices.Contains(sizes, n) {
			return nil, fmt.Errorf("%q: %d stands there twice", text, n)
		}
		sizes = append(sizes, n)
	}
	return sizes, nil
}

// parseSources reads addresses, ranges and prefixes with commas between.
func parseSources(ctx context.Context, text string) ([]netip.Addr, error) {
	var sources []netip.Addr
	for word := range strings.SplitSeq(text, ",") {
		if word = strings.TrimSpace(word); word == "" {
			continue
		}
		targets, err := target.Parse(ctx, nil, word)
		if err != nil {
			return nil, fmt.Errorf("%q must be addresses, ranges or prefixes of IPv4", word)
		}
		for _, t := range targets {
			for a := uint64(t.Range.First); a <= uint64(t.Range.Last); a++ {
				if len(sources) == bench.MaxFlows {
					return nil, fmt.Errorf("%q: more than %d addresses", text, bench.MaxFlows)
				}
				if source := target.Addr(a).Netip(); !slices.Contains(sources, source) {
					sources = append(sources, source)
				}
			}
		}
	}
	return sources, nil
}

// parseRatio reads a share, such as 0.5% or 0.005.
func parseRatio(text string) (float64, error) {
	number, scale := text, 1.0
	if cut, ok := strings.CutSuffix(text, "%"); ok {
		number, scale = cut, 100
	}
	ratio, err := strconv.ParseFloat(number, 64)
	if ratio /= scale; err != nil || !(ratio >= 0 && ratio <= 1) {
		return 0, fmt.Errorf("%q must be a share, such as 0.5%% or 0.005", text)
	}
	return ratio, nil
}

func showRatio(ratio float64) string { return strconv.FormatFloat(100*ratio, 'g', 6, 64) + "%" }

// complete checks the flags and reads the targets.
func (f *benchFlags) complete(ctx context.Context, env *environment, args []string) error {
	c := &f.config
	var err error
	if f.quiet && f.verbose > 0 {
		return errors.New("--quiet and --verbose exclude each other: give one")
	}
	if c.Tx, err = bench.ParseTx(f.tx); err != nil {
		return fmt.Errorf("--tx %w", err)
	}
	if c.XDP, err = loader.ParseXDPMode(f.xdp); err != nil {
		return fmt.Errorf("--xdp: %w", err)
	}
	if f.sizes, err = parseSizes(f.size); err != nil {
		return fmt.Errorf("--size %w", err)
	}
	switch {
	case f.rate == pace.Max:
		return errors.New("--rate max: a benchmark sends at exact rates: give a number")
	case f.duration <= 0:
		return fmt.Errorf("--duration %v: must be above 0", f.duration)
	case f.warmup < 0:
		return fmt.Errorf("--warmup %v: must not be negative", f.warmup)
	case c.Drain <= 0 || c.Drain > maxDrain:
		return fmt.Errorf("--drain %v: must be above 0, and at most %v", c.Drain, maxDrain)
	}
	if err := f.checkReports(); err != nil {
		return err
	}
	if err := f.completeMode(); err != nil {
		return err
	}
	if c.Sources, err = parseSources(ctx, f.source); err != nil {
		return fmt.Errorf("--source %w", err)
	}
	if f.changed("flows") && (c.Flows < 1 || c.Flows > bench.MaxFlows) {
		return fmt.Errorf("--flows %d: must be 1 to %d", c.Flows, bench.MaxFlows)
	}
	if c.Flows > 0 && c.Flows < len(c.Sources) {
		return fmt.Errorf("--flows %d: there are %d source addresses: use as many flows at least", c.Flows, len(c.Sources))
	}
	targets, err := readTargets(ctx, env, args, nil)
	if err != nil {
		return err
	}
	if len(targets) == 0 {
		return errors.New("no targets: name one or more addresses")
	}
	set := target.SetOf(targets)
	if set.Len() > loader.MaxBenchTargets {
		return fmt.Errorf("%d targets: a benchmark has at most %d", set.Len(), loader.MaxBenchTargets)
	}
	for _, r := range set.Ranges() {
		for a := uint64(r.First); a <= uint64(r.Last); a++ {
			c.Targets = append(c.Targets, target.Addr(a).Netip())
		}
	}
	return f.checkManners()
}

// checkManners refuses to load strangers, and takes a modest ceiling where none was
// chosen.
func (f *benchFlags) checkManners() error {
	own, err := bench.OwnSubnets()
	if err != nil {
		return err
	}
	if f.search && !f.authorised && !f.changed("max-rate") && !bench.Dedicated(f.config.Targets, own) {
		f.maxRate, f.modest = max(bench.PoliteRate, f.minRate), true
	}
	f.config.MaxRate = f.highest()
	if f.authorised {
		return nil
	}
	if a, ok := bench.Foreign(f.config.Targets, own); ok {
		return fmt.Errorf("%v is not in a subnet of this machine, and a benchmark is a load test: if its owner agrees, give --i-am-authorised", a)
	}
	return nil
}

func runBench(ctx context.Context, env *environment, f *benchFlags, args []string) error {
	if err := f.complete(ctx, env, args); err != nil {
		return usageError(err)
	}
	summary, err := openSummary(env, f.summary)
	if err != nil {
		return usageError(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f.view = newBenchView(env, f.quiet)
	defer f.view.end()
	f.config.Log = env.logger(f.view, f.verbose, f.quiet)
	f.config.Progress = f.view.progress
	if f.soak > 0 {
		f.config.Second = f.view.second
	}
	f.config.Skip = onInterrupt(cancel, func(text string) { f.config.Log.Warn(text) })
	result := &bench.Result{Version: version(), Command: os.Args, Config: f.describe(), Started: time.Now().UTC()}
	runErr := f.run(ctx, result)
	f.view.end()
	if start := (*sweep.StartError)(nil); errors.As(runErr, &start) {
		return runErr
	}
	return f.conclude(env, result, runErr, summary)
}

// run runs the trials, one size after the other.
func (f *benchFlags) run(ctx context.Context, result *bench.Result) error {
	for _, size := range f.sizes {
		c := f.config
		c.Size, c.Largest = size, slices.Max(f.sizes)
		session, err := bench.Open(ctx, c)
		if err != nil && len(result.Trials) == 0 {
			return &sweep.StartError{Err: err}
		}
		if err != nil {
			return err
		}
		if len(result.Trials) == 0 {
			result.Environment = session.Environment()
			result.Ceiling = f.measureCeiling(ctx, session)
		}
		if ctx.Err() != nil {
			result.Interrupted = true
			return session.Close()
		}
		err = f.mode(ctx, session, result)
		if err = errors.Join(err, session.Close()); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
	}
	return nil
}

// describe is the configuration as the summary shows it.
func (f *benchFlags) describe() map[string]any {
	var targets []string
	for _, a := range f.config.Targets {
		targets = append(targets, a.String())
	}
	return map[string]any{
		"targets": targets, "rate": uint64(f.rate), "duration": f.duration.String(), "warmup": f.warmup.String(), "drain": f.config.Drain.String(),
		"search": f.search, "loss": f.goals, "min_rate": uint64(f.minRate), "max_rate": uint64(f.maxRate), "trials": f.trials, "width": f.width,
		"sweep": f.sweep, "soak": f.soak.String(), "recovery": f.recovery, "max_pacing_error": f.config.PacingError,
		"sizes": f.sizes, "burst": f.burst, "tx": f.config.Tx, "tx_threads": max(f.config.Threads, 1), "xdp": f.config.XDP.String(), "interface": f.config.Interface,
		"flows": f.config.Flows, "source": f.source,
	}
}

// conclude writes the results and decides how the benchmark went.
func (f *benchFlags) conclude(env *environment, result *bench.Result, runErr error, summary *summaryFile) error {
	result.Ended = time.Now().UTC()
	valid := false
	for i := range result.Trials {
		result.Interrupted = result.Interrupted || result.Trials[i].Interrupted()
		valid = valid || result.Trials[i].Valid
	}
	if runErr != nil {
		result.Error = runErr.Error()
	}
	result.Conclude()
	text, err := result.JSON()
	if err == nil {
		err = summary.writeText(text)
	}
	err = errors.Join(err, f.writeReports(result))
	switch {
	case f.format != "text":
		err = errors.Join(err, reports["."+f.format](result, env.stdout))
	case f.summary != "-":
		err = errors.Join(err, printBench(env.stdout, result))
	}
	switch err = errors.Join(runErr, err); {
	case readerGone(err):
		return nil
	case err != nil:
		return oneLine(err)
	case result.Interrupted:
		return exitStatus(exitInterrupted)
	case !valid || !result.Answered():
		if f.summary == "-" {
			env.say(result.Verdict)
		}
		return exitStatus(exitFailed)
	}
	return nil
}
