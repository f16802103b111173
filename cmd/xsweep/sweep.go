// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"xsweep/loader"
	"xsweep/sweep"
	"xsweep/sweep/pace"
	"xsweep/sweep/probe"
	"xsweep/sweep/sink"
	"xsweep/sweep/target"
	"xsweep/sweep/where"
)

const sweepHelp = `Probe every address of the targets once, in scattered order, and print those
that answer, one a line. With --replies errors or all, print too whose probes
somebody on the way sent back an error for, and who that was.

Targets are addresses, prefixes (192.0.2.0/24), ranges (192.0.2.1-192.0.2.9,
192.0.2.1-9) and host names, as arguments or in files (-f; # starts a comment).
Special-purpose ranges inside a wider target are skipped; a target that lies
wholly inside one is meant, and is swept.

Results go to standard output, or with -o to files, whose names tell the format.
A file has its name when it is complete; until then it ends in .partial. With
--checkpoint a sweep that was killed, interrupted or cut off goes on where it
stood when the same command is given again, or --resume, and writes each host
once.

Data goes to standard output, everything else to standard error. Ctrl-C stops
sending, waits the cooldown and sums up; a second one skips the cooldown.

Exit status: 0 done; 1 failed while running, or something was lost; 2 bad usage
or input, nothing was sent; 130 interrupted.`

const sweepExamples = `  xsweep sweep 192.0.2.0/24
  xsweep sweep --probe echo,timestamp --replies all --format csv 192.0.2.0/24
  xsweep sweep --rate 100k -f targets.txt --exclude-file no.txt -o live.csv
  xsweep sweep --probes 3 --format jsonl --summary run.json 198.51.100.0/24
  xsweep sweep --where 'rtt < 5ms && hops > 3' --fields addr,rtt,hops 192.0.2.0/24
  xsweep sweep --checkpoint sweep.ckpt -o live.parquet --live-set live.roaring 192.0.2.0/24
  xsweep sweep --resume sweep.ckpt
  xsweep sweep --dry-run --summary - --shard 3/16 --seed 42 0.0.0.0/0
  xsweep lab -- xsweep sweep --rate 100k 198.18.0.0/16`

// sweepFlags are the flags of the sweep command.
type sweepFlags struct {
	config sweep.Config

	files, excludes, excludeFiles []string
	seed                          string
	shard, tx, xdp                string
	probe, replies                string
	ttl, size, tos                int
	dscp, pattern                 string
	cooldown                      time.Duration

	output             []string
	format, fields     string
	where, liveSet     string
	force              bool
	backpressure       bool
	onSinkError        string
	checkpoint, resume string
	summary            string
	quiet              bool
	verbose            int
	allowLoss          bool
	dryRun             bool

	changed func(flag string) bool // it was given
}

func newSweepCommand(env *environment) *cobra.Command {
	f := &sweepFlags{config: sweep.Config{Rate: sweep.DefaultRate}}
	c := &cobra.Command{
		Use:     "sweep [flags] TARGET...",
		Short:   "Find the live hosts of networks",
		Long:    sweepHelp,
		Example: sweepExamples,

		ValidArgsFunction: completeTargets,
		RunE: func(c *cobra.Command, args []string) error {
			return runSweep(c.Context(), env, f, c.Flags(), args)
		},
	}
	f.register(c.Flags())
	f.changed = c.Flags().Changed
	return c
}

func (f *sweepFlags) register(flags *pflag.FlagSet) {
	flags.SortFlags = false
	c := &f.config

	flags.StringArrayVarP(&f.files, "file", "f", nil, "read targets from `FILE`, - is standard input; may be repeated")
	flags.StringArrayVar(&f.excludes, "exclude", nil, "leave out `TARGET`; may be repeated")
	flags.StringArrayVar(&f.excludeFiles, "exclude-file", nil, "leave out the targets in `FILE`; may be repeated")
	flags.StringVar(&f.seed, "seed", "", "`NUMBER` that decides the order (default: a random one)")
	flags.StringVar(&f.shard, "shard", "1/1", "sweep part `I/N` of the order, from 1/N to N/N")
	c.Probes = 1
	flags.Var(flagValue[int]{&c.Probes, parseInt, strconv.Itoa, "count"}, "probes", "probes that each target gets")
	flags.DurationVar(&c.ProbeInterval, "probe-interval", sweep.DefaultProbeInterval, "least time between two probes to one target")
	flags.StringVar(&f.probe, "probe", probe.Echo.String(), "`KINDS` of probes: echo, timestamp or mask, or several with commas")
	flags.IntVar(&f.ttl, "ttl", sweep.DefaultHopLimit, "hop limit of probes, 1 to 255")
	flags.IntVar(&f.size, "size", sweep.DefaultSize, fmt.Sprintf("bytes of ICMP data of echo requests, up to what the device's MTU allows; below %d replies do not tell RTT and attempt", probe.PayloadLen))
	flags.StringVar(&f.pattern, "payload-pattern", "", "fill that data with these `HEX` digits, again and again")
	flags.IntVar(&f.tos, "tos", 0, "type of service octet of probes, 0 to 255")
	flags.StringVar(&f.dscp, "dscp", "", "differentiated services code point of probes, by `NAME` (EF, AF41, CS6, LE) or number")
	flags.BoolVar(&c.DontFragment, "df", false, "forbid routers to fragment probes")
	flags.BoolVar(&c.Many, "many", false, "take answers to a probe from any address, one from each; implied where all targets are broadcast or multicast addresses")

	flags.Var(flagValue[pace.Rate]{&c.Rate, pace.ParseRate, pace.Rate.String, "rate"}, "rate",
		"packets per second, such as 500, 10k, 1.5M or max")
	flags.StringVar(&f.tx, "tx", string(sweep.TxAuto), "how to send: auto, packet, raw or xdp")
	flags.Var(flagValue[int]{&c.Threads, parseThreads, showInt, "count"}, "tx-threads",
		"threads that send (default: what the rate needs, at most one a transmit queue and one CPU less than there are)")
	flags.Var(flagValue[int]{&c.Batch, parseInt, showInt, "frames"}, "batch",
		"frames sent at once: up to 64 at rate max, else up to 16 (default: by the rate)")
	flags.StringVar(&f.xdp, "xdp", loader.Auto.String(), "how to attach the reply filter: auto, native or generic")
	flags.StringVarP(&c.Interface, "interface", "i", "", "send through this `DEVICE` (default: as the routes say)")
	flags.Var(flagValue[netip.Addr]{&c.Source, parseSource, showAddr, "address"}, "source", "send from this address (default: as the routes say)")
	flags.Var(flagValue[net.HardwareAddr]{&c.GatewayMAC, parseMAC, net.HardwareAddr.String, "mac"}, "gateway-mac",
		"send frames to this Ethernet address (default: the gateway's)")

	flags.DurationVar(&f.cooldown, "cooldown", sweep.DefaultCooldown, "wait so long for late replies")
	flags.DurationVar(&c.MaxRuntime, "max-runtime", 0, "stop sending after so long (default: no limit)")
	flags.Var(flagValue[uint64]{&c.MaxResults, parseCount, showCount, "count"}, "max-results", "stop after so many results (default: no limit)")
	flags.BoolVar(&f.allowLoss, "allow-loss", false, "exit with 0 even if records were lost or probes refused")

	flags.StringArrayVarP(&f.output, "output", "o", nil, "write results to `FILE`: .txt, .csv or .jsonl, also with .gz or .zst, or .parquet; - is standard output (default); may be repeated")
	flags.StringVar(&f.format, "format", "", "`FORMAT` of the output, or of those of several whose names do not tell: text, csv or jsonl, also with .gz or .zst, or parquet (default text)")
	flags.StringVar(&f.fields, "fields", "", "columns to write, of "+strings.Join(sink.FieldNames(), ", "))
	flags.StringVar(&f.replies, "replies", string(sweep.PositiveReplies), "what to write: positive, errors or all")
	flags.BoolVar(&c.RecordAll, "all", false, "write every one of these, not only a target's first reply and the first of equal errors")
	flags.StringVar(&f.where, "where", "", "write only records for which `EXPR` is true, such as 'rtt < 5ms && hops > 3'")
	flags.StringVar(&f.liveSet, "live-set", "", "write the live addresses to `FILE` as a Roaring bitmap")
	flags.BoolVar(&f.force, "force", false, "replace files that are there")
	flags.BoolVar(&f.backpressure, "backpressure", false, "send slower where results cannot be written as fast as they come, instead of losing some (default: if all go to files)")
	flags.StringVar(&f.onSinkError, "on-sink-error", string(sweep.StopOnSinkError), "when results cannot be written: stop, or continue without that output")
	flags.StringVar(&f.checkpoint, "checkpoint", "", "save the sweep to `FILE` now and then; if it has one already, go on with it")
	flags.DurationVar(&c.CheckpointEvery, "checkpoint-every", sweep.DefaultCheckpointEvery, "how often to save it")
	flags.StringVar(&f.resume, "resume", "", "go on with the sweep that was saved to `FILE`, as it was begun")
	flags.StringVar(&f.summary, "summary", "", "write the summary as JSON to `FILE`, - is standard output")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "no status line and no summary on standard error")
	flags.CountVarP(&f.verbose, "verbose", "v", "say what was chosen, and why; twice (-vv): every step")
	flags.BoolVar(&f.dryRun, "dry-run", false, "print the targets in order and send nothing; with --summary - only count them")
}

// parseThreads reads a number of threads: none would mean the default.
func parseThreads(text string) (int, error) {
	n, err := parseInt(text)
	if err == nil && (n < 1 || n > pace.MaxThreads) {
		err = fmt.Errorf("must be 1 to %d", pace.MaxThreads)
	}
	return n, err
}

func showAddr(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// showInt leaves out the default in help where zero stands for one.
func showInt(n int) string { return showCount(uint64(n)) }

func showCount(n uint64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatUint(n, 10)
}

// complete checks the flags and reads the targets: all that can be wrong
// before anything is opened.
func (f *sweepFlags) complete(ctx context.Context, env *environment, args []string, ck *sweep.Checkpoint) error {
	c := &f.config
	var err error
	if f.quiet && f.verbose > 0 {
		return errors.New("--quiet and --verbose exclude each other: give one")
	}
	if c.Rate == 0 {
		return errors.New("--rate: must be at least 1")
	}
	for _, n := range []struct {
		flag            string
		value, min, max int
	}{
		{"probes", c.Probes, 1, loader.MaxAttempts},
		{"batch", c.Batch, 0, pace.Burst},
		{"ttl", f.ttl, 1, 255},
		{"size", f.size, 0, probe.MaxDataLen},
		{"tos", f.tos, 0, 255},
	} {
		if n.value < n.min || n.value > n.max {
			return fmt.Errorf("--%s %d: must be %d to %d", n.flag, n.value, n.min, n.max)
		}
	}
	for flag, d := range map[string]time.Duration{
		"cooldown": f.cooldown, "probe-interval": c.ProbeInterval, "max-runtime": c.MaxRuntime,
	} {
		if d < 0 {
			return fmt.Errorf("--%s %v: must not be negative", flag, d)
		}
	}
	// None, where zero would mean the default.
	if c.Cooldown = f.cooldown; c.Cooldown == 0 {
		c.Cooldown = -1
	}
	if c.ProbeInterval == 0 {
		c.ProbeInterval = -1
	}
	if c.Shard, err = target.ParseShard(f.shard); err != nil {
		return fmt.Errorf("--shard: %w", err)
	}
	if c.Tx, err = sweep.ParseTx(f.tx); err != nil {
		return fmt.Errorf("--tx: %w", err)
	}
	if c.XDP, err = loader.ParseXDPMode(f.xdp); err != nil {
		return fmt.Errorf("--xdp: %w", err)
	}
	if c.Replies, err = sweep.ParseReplies(f.replies); err != nil {
		return fmt.Errorf("--%w", err)
	}
	if err := f.completeProbes(); err != nil {
		return err
	}
	// Programs that read JSON numbers as floating point keep 53 bits of them.
	c.Seed = rand.Uint64N(1 << 53)
	if f.seed != "" {
		if c.Seed, err = strconv.ParseUint(f.seed, 0, 64); err != nil {
			return fmt.Errorf("--seed %q: must be a whole number from 0 to 2^64-1", f.seed)
		}
	}
	if c.OnSinkError, err = sweep.ParseOnSinkError(f.onSinkError); err != nil {
		return fmt.Errorf("--on-sink-error: %w", err)
	}
	if f.where != "" {
		if c.Where, err = where.Compile(f.where); err != nil {
			return explainWhere(err)
		}
	}
	if err := f.checkPaths(); err != nil {
		return err
	}
	if ck != nil && ck.Resumes() {
		if f.seed == "" {
			c.Seed = ck.Seed()
		}
		if f.resume != "" {
			c.Targets, c.Exclude = ck.Targets(), ck.Exclude()
			return nil
		}
	}
	if c.Targets, err = readTargets(ctx, env, args, f.files); err != nil {
		return err
	}
	excluded, err := readTargets(ctx, env, f.excludes, f.excludeFiles)
	if err != nil {
		return fmt.Errorf("exclude: %w", err)
	}
	c.Exclude = target.SetOf(excluded)
	return nil
}

func runSweep(ctx context.Context, env *environment, f *sweepFlags, flags *pflag.FlagSet, args []string) error {
	typed := func(flag string) bool { return env.settings.typed(flag) }
	ck, err := f.openCheckpoint(flags, typed, args)
	if err != nil {
		return usageError(err)
	}
	if ck != nil {
		defer ck.Close()
		f.config.Checkpoint = ck
	}
	if err := f.complete(ctx, env, args, ck); err != nil {
		return usageError(err)
	}
	resumes := ck != nil && ck.Resumes()
	if resumes && len(ck.Settings()["force"]) > 0 {
		f.force = true // it was meant when the sweep began; its outputs replace others at its end
	}
	configs, err := f.sinkConfigs()
	if err != nil {
		return usageError(err)
	}
	f.config.Settings = f.settings(flags)
	if err := checkOutputs(ck, f.config.Settings); err != nil {
		return usageError(err)
	}
	summary, err := openSummary(env, f.summary)
	if err != nil {
		return usageError(err)
	}
	if f.dryRun {
		return dryRun(env, f, summary)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	status := startStatus(env, &f.config, f.quiet)
	defer status.end()
	outputs, err := f.open(configs, status.guard(env.stdout), ck)
	if err != nil {
		return usageError(err)
	}
	f.config.Log = env.logger(status, f.verbose, f.quiet)
	f.config.SkipCooldown = onInterrupt(cancel, func(text string) { f.config.Log.Warn(text) })
	if f.config.Backpressure = f.backpressure; !f.changed("backpressure") {
		f.config.Backpressure = !outputs.stream
	}
	complete := false
	if resumes {
		_, complete = ck.Complete()
	}
	result, runErr := sweep.Run(ctx, f.config, outputs.sinks...)
	status.end()
	if start := (*sweep.StartError)(nil); errors.As(runErr, &start) {
		outputs.discard()
		return runErr
	}
	if complete {
		f.config.Log.Warn(fmt.Sprintf("checkpoint %s: nothing is left to do: the sweep is complete; to sweep anew, use another one or remove it", ck.Path()))
	}
	return f.conclude(env, result, runErr, summary)
}

// conclude checks and writes the summary and decides how the sweep went.
func (f *sweepFlags) conclude(env *environment, result sweep.Summary, runErr error, summary *summaryFile) error {
	// Whoever reads only the first lines has all he wanted: that is no failure,
	// and no more words are wanted either.
	gone := readerGone(runErr)
	if gone {
		runErr = nil
	}
	err := errors.Join(runErr, result.Check())
	result.Version, result.Command, result.Error = version(), os.Args, ""
	if err != nil {
		result.Error = err.Error()
	}
	err = errors.Join(err, summary.write(&result))
	lost := ""
	if losses := result.Losses(); len(losses) > 0 && !gone {
		lost = "lost: " + strings.Join(losses, "; ")
	}
	if !f.quiet && !gone {
		env.sumUp(&result)
	}
	switch {
	case err != nil && lost != "":
		return oneLine(fmt.Errorf("%w; %s", err, lost))
	case err != nil:
		return oneLine(err)
	case lost != "":
		env.say(lost)
	}
	if ck := f.config.Checkpoint; ck != nil && !f.quiet && !gone {
		if _, complete := ck.Complete(); !complete {
			env.say(fmt.Sprintf("not complete: `xsweep sweep --resume %s` goes on", ck.Path()))
		}
	}
	switch {
	case result.Interrupted:
		return exitStatus(exitInterrupted)
	case lost != "" && !f.allowLoss:
		return exitStatus(exitFailed)
	}
	return nil
}

// oneLine joins the lines of joined errors.
func oneLine(err error) error {
	return fmt.Errorf("%s", strings.ReplaceAll(err.Error(), "\n", "; "))
}

// onInterrupt lets the first signal that asks for an end call stop and the
// second close the channel that it returns. A third ends the program at once:
// something must be stuck, such as a reader of our output that does not read.
func onInterrupt(stop func(), say func(string)) <-chan struct{} {
	signals := make(chan os.Signal, 3)
	// A shell lets its background jobs ignore SIGINT; whoever sends it all the
	// same means it. What nohup has us ignore stays ignored.
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(signals, syscall.SIGHUP)
	}
	second := make(chan struct{})
	go func() {
		<-signals
		stop()
		say("interrupted: waiting for late replies; once more ends it now")
		<-signals
		close(second)
		<-signals
		os.Exit(exitInterrupted)
	}()
	return second
}
