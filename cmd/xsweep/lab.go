// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"net"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"xsweep/internal/lab"
	"xsweep/sweep/probe"
	"xsweep/sweep/reply"
	"xsweep/sweep/sink"
	"xsweep/sweep/target"
)

const labHelp = `Run a command in a network made for it, with somebody at the far end to probe.

The command sees one device, lab0 (198.18.0.1/30, gateway 198.18.0.2), and
everything behind it is simulated: nothing leaves the machine. The lab ends
with the command's exit status, and takes everything that the command started
with it.

Responders:
  simnet   plays a host for any IPv4 address that has a live one, and routers
            before it. Which hosts live, how they behave, their TTLs and their
            losses follow from --seed.
  delay    the same, but answers wait before they leave, for as long as --delay
            says, in a --queue, or until the next has left (--reorder).
  kernel   Linux answers for all of 198.18.0.0/15. With --hops N it does so
           behind N Linux routers, 198.19.255.1 to 198.19.255.N. The last one has
           other routes for some prefixes:
             198.19.64.0/24  unreachable: host unreachable
             198.19.65.0/24  prohibited: administratively prohibited
             198.19.66.0/24  a blackhole: silence
             198.19.67.0/24  an MTU of 1280 bytes: fragmentation needed
             198.19.68.0/24  none at all: network unreachable

Hosts answer echo, timestamp and address mask requests, unless --behaviour says
otherwise: names with weights, such as host=50,silent=20,unreachable, where all
stands for every behaviour that is not named:
  host                    answers every kind
  echo, timestamp, mask   answers this kind alone
  silent                  answers nothing
  unreachable             a router says that it cannot be reached
  redirect                a router redirects its first probe; then as host
  source-quench           a router finds the first probe too much; then as host
  parameter-problem       a router finds fault with every probe
  mtu                     probes with --df that are too big do not reach it
  broken                  its answers, or errors about it, have a flaw

--capacity, --limiter and --outage limit what is answered, for benchmarks: at
most RATE echo requests a second and BURST (64) at once, of all hosts together or
of each address; the rest is dropped. --outage 10s:1s answers nothing in the last
second of every ten. --stats FILE writes what the responder counted.

--truth prints the addresses that a sweep inside such a lab must find, with
--format csv or jsonl the records that it must write, and runs nothing; it needs
no privilege. It takes what sweep takes as a target. What comes back depends on
the sweep: --probe, --probes, --ttl, --size, --df, --replies, --all, --format and
--fields mean what they do there.`

const labExamples = `  xsweep lab -- xsweep sweep 198.18.0.0/16
  xsweep lab --responder kernel -- ping -c 3 198.18.77.77
  xsweep lab --responder kernel --hops 3 -- xsweep sweep --ttl 2 --replies errors 198.18.77.0/28
  xsweep lab --live 0.1 --seed 7 -- xsweep sweep --rate 300k 240.0.0.0/12
  xsweep lab --live 0.1 --seed 7 --truth 240.0.0.0/12
  xsweep lab --behaviour all --truth 198.18.0.0/16 --replies all --format csv
  xsweep lab --capacity 50k --stats lab.json -- xsweep sweep --rate 10k 198.18.0.0/20
  xsweep lab --responder delay --delay 1ms..3ms -- ping -c 5 198.18.77.77
  xsweep lab -- bash                       # a shell inside`

// labFlags are the flags of the lab command as they are typed.
type labFlags struct {
	responder             string
	live, loss, duplicate float64
	behaviour             string
	seed                  uint64
	queues, mtu, hops     int
	addresses             int
	perProbe              bool
	capacity, limiter     string
	outage, stats         string
	delay, queue          string
	reorder               float64
	icmpLimit             string
	icmpRateLimit         time.Duration
	truth                 truthFlags
}

// truthFlags say what --truth prints: the targets, and the sweep that they get.
type truthFlags struct {
	targets        string
	kinds, replies string
	ttl            int
	format, fields string
	sweep          lab.Sweep
}

// sweepFlagNames are those that say what sweep to print the truth of.
var sweepFlagNames = []string{"probes", "probe", "ttl", "size", "df", "replies", "all", "format", "fields"}

func newLabCommand(env *environment) *cobra.Command {
	var f labFlags
	c := &cobra.Command{
		Use:     "lab [flags] -- COMMAND [ARG...]",
		Short:   "Run a command in a simulated network",
		Long:    labHelp,
		Example: labExamples,

		ValidArgsFunction: completeCommand,
		RunE: func(c *cobra.Command, argv []string) error {
			config, err := f.config(c.Flags().Changed)
			if err != nil {
				return usageError(err)
			}
			switch {
			case f.truth.targets != "" && len(argv) > 0:
				return usageError(errors.New("--truth runs nothing: leave it or the command out"))
			case f.truth.targets != "":
				output, err := f.truth.complete(c.Flags().Changed)
				if err != nil {
					return usageError(err)
				}
				return printTruth(c.Context(), env.stdout, config, f.truth, output)
			case len(argv) == 0:
				return usageError(errors.New("no command to run in the lab: write it behind --, as in `xsweep lab -- xsweep sweep 198.18.0.0/16`"))
			}
			return runInLab(c.Context(), env, config, f.stats, argv)
		},
	}
	flags := c.Flags()
	flags.SetInterspersed(false) // what stands behind the command is the command's
	flags.StringVar(&f.responder, "responder", "simnet", "who answers: simnet, delay or kernel")
	flags.Float64Var(&f.live, "live", 1, "fraction of the addresses that have a live host (simnet)")
	flags.Float64Var(&f.loss, "loss", 0, "fraction of the probes to live hosts that get lost (simnet)")
	flags.Float64Var(&f.duplicate, "duplicate", 0, "fraction of the hosts that answer each probe twice (simnet)")
	flags.BoolVar(&f.perProbe, "per-probe", false, "draw --loss and --duplicate for each probe, by the index in it (simnet)")
	flags.StringVar(&f.capacity, "capacity", "", "echo requests a second that all hosts together answer, as `RATE[:BURST]` (simnet)")
	flags.StringVar(&f.limiter, "limiter", "", "echo requests a second that each address answers, as `RATE[:BURST]` (simnet)")
	flags.StringVar(&f.outage, "outage", "", "nothing comes through at the end of each time, `EVERY:FOR` (simnet)")
	flags.StringVar(&f.behaviour, "behaviour", "host", "`SPEC` of how live hosts behave (simnet)")
	flags.Uint64Var(&f.seed, "seed", 0, "decides which hosts live and which probes get lost (simnet)")
	flags.IntVar(&f.queues, "queues", 0, "receive and transmit queues of lab0 (default: one a CPU)")
	flags.IntVar(&f.addresses, "addresses", 1, "`number` of addresses of lab0: 198.18.0.1, then 198.18.0.16 and so on")
	flags.IntVar(&f.mtu, "mtu", 1500, "largest IP packet that the links take, in `bytes`")
	flags.IntVar(&f.hops, "hops", 0, "`number` of routers between lab0 and the responder (kernel)")
	flags.StringVar(&f.stats, "stats", "", "write what the responder counted to `FILE`, as JSON, at the end")
	flags.StringVar(&f.delay, "delay", "", "delay answers: 2ms, 1ms..3ms, normal:2ms,100us, exp:2ms or quantiles (`DIST`; delay)")
	flags.StringVar(&f.queue, "queue", "", "a server of answers with room for some, as `RATE:LENGTH` (delay)")
	flags.Float64Var(&f.reorder, "reorder", 0, "fraction of the answers that leave behind the next one (delay)")
	flags.StringVar(&f.icmpLimit, "icmp-limit", "", "echo replies a second that Linux sends, as `RATE[:BURST]` (kernel)")
	flags.DurationVar(&f.icmpRateLimit, "icmp-ratelimit", 0, "time between echo replies of Linux to one address (kernel)")
	t := &f.truth
	t.sweep = lab.DefaultSweep()
	flags.StringVar(&t.targets, "truth", "", "print what of this `TARGET` will answer, and run nothing")
	flags.IntVar(&t.sweep.Probes, "probes", t.sweep.Probes, "probes of each kind that each address gets (with --truth; so all below)")
	flags.StringVar(&t.kinds, "probe", probe.Echo.String(), "`KINDS` of probes: echo, timestamp and mask, in their order")
	flags.IntVar(&t.ttl, "ttl", int(t.sweep.HopLimit), "TTL of probes")
	flags.IntVar(&t.sweep.Size, "size", t.sweep.Size, "bytes of ICMP data of echo requests")
	flags.BoolVar(&t.sweep.DF, "df", false, "probes must not be fragmented")
	flags.StringVar(&t.replies, "replies", lab.PositiveReplies.String(), "what is printed: positive, errors or all")
	flags.BoolVar(&t.sweep.All, "all", false, "print every reply, not only the first of each target")
	flags.StringVar(&t.format, "format", sink.Text.String(), "text, csv or jsonl")
	flags.StringVar(&t.fields, "fields", "", "columns to print")
	for _, name := range sweepFlagNames {
		flags.Lookup(name).Annotations = map[string][]string{onlyWith: {"truth"}}
	}
	return c
}

// config checks the flags and turns them into the lab's configuration.
func (f labFlags) config(changed func(flag string) bool) (lab.Config, error) {
	responder, err := lab.ParseResponder(f.responder)
	if err != nil || responder == lab.Sink {
		return lab.Config{}, fmt.Errorf("--responder %q: must be simnet, delay or kernel", f.responder)
	}
	config := lab.Config{Responder: responder, Seed: f.seed, Queues: f.queues, MTU: f.mtu, Hops: f.hops, Addresses: f.addresses}
	if responder != lab.Kernel {
		config.Live, config.Loss, config.Duplicate = f.live, f.loss, f.duplicate
		if config.Behaviours, err = lab.ParseWeights(f.behaviour); err != nil {
			return lab.Config{}, fmt.Errorf("--%w", err)
		}
		if err := f.limits(&config); err != nil {
			return lab.Config{}, err
		}
	} else {
		for _, flag := range []string{"live", "loss", "duplicate", "behaviour", "per-probe", "capacity", "limiter", "outage", "delay", "queue", "reorder"} {
			if changed(flag) {
				return lab.Config{}, fmt.Errorf("--%s: the kernel answers for every address, always and once: use --responder simnet", flag)
			}
		}
	}
	if err := f.delays(&config, changed); err != nil {
		return lab.Config{}, err
	}
	if f.icmpLimit != "" {
		if config.ICMPLimit, err = lab.ParseBucket(f.icmpLimit); err != nil {
			return lab.Config{}, fmt.Errorf("--icmp-limit %w", err)
		}
	}
	config.ICMPRateLimit = f.icmpRateLimit
	if f.addresses < 1 { // 0 would stand for the default
		return lab.Config{}, fmt.Errorf("--addresses %d: must be from 1 to %d", f.addresses, lab.MaxAddresses)
	}
	if f.mtu == 0 { // which would stand for the default
		return lab.Config{}, errors.New("--mtu 0: must be at least 1280")
	}
	if err := config.Validate(); err != nil {
		return lab.Config{}, fmt.Errorf("--%w", err) // it begins with the name of the field, which is the flag's
	}
	if changed("truth") && f.truth.targets == "" {
		return lab.Config{}, errors.New("--truth: empty: name an address, a prefix or a range")
	}
	if flag := config.Timeless(); flag != "" && f.truth.targets != "" {
		return lab.Config{}, fmt.Errorf("--%s: what a sweep finds then depends on when or in which order it probes: leave it or --truth out", flag)
	}
	if f.stats != "" && f.truth.targets != "" {
		return lab.Config{}, errors.New("--stats: only with a command; --truth runs nothing")
	}
	if f.truth.targets == "" {
		for _, flag := range sweepFlagNames {
			if changed(flag) {
				return lab.Config{}, fmt.Errorf("--%s: only with --truth; a command chooses what it sends and writes itself", flag)
			}
		}
	}
	return config, nil
}

// limits reads how much the simulated network takes.
func (f labFlags) limits(config *lab.Config) (err error) {
	config.PerProbe = f.perProbe
	if f.capacity != "" {
		if config.Capacity, err = lab.ParseBucket(f.capacity); err != nil {
			return fmt.Errorf("--capacity %w", err)
		}
	}
	if f.limiter != "" {
		if config.Limiter, err = lab.ParseBucket(f.limiter); err != nil {
			return fmt.Errorf("--limiter %w", err)
		}
	}
	if f.outage != "" {
		if config.Outage, err = lab.ParseOutage(f.outage); err != nil {
			return fmt.Errorf("--outage %w", err)
		}
	}
	return nil
}

// delays reads what the delay responder does with answers.
func (f labFlags) delays(config *lab.Config, changed func(flag string) bool) (err error) {
	if changed("delay") {
		if config.Delay, err = lab.ParseDistribution(f.delay); err != nil {
			return fmt.Errorf("--delay %w", err)
		}
	}
	if changed("queue") {
		if config.Queue, err = lab.ParseQueue(f.queue); err != nil {
			return fmt.Errorf("--queue %w", err)
		}
	}
	config.Reorder = f.reorder
	return nil
}

// runInLab runs a command in a lab of its own. Its status, where it is not 0,
// comes back as an exitStatus.
func runInLab(ctx context.Context, env *environment, config lab.Config, statsPath string, argv []string) (err error) {
	stats, err := openStats(statsPath)
	if err != nil {
		return usageError(err)
	}
	defer stats.discard()
	// Caught before there is a lab, so that none is lost meanwhile. What nohup
	// has us ignore stays ignored, here and in the command; but a shell lets its
	// background jobs ignore SIGINT, and who sends it all the same means it.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGQUIT} {
		if !signal.Ignored(s) {
			signal.Notify(signals, s)
		}
	}
	defer signal.Stop(signals)
	config.Signals = signals

	l, err := lab.Start(config)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := l.Close(); err == nil {
			err = closeErr
		}
	}()
	// The signals say all that the end of ctx could.
	status, err := l.Exec(context.WithoutCancel(ctx), argv, nil, env.stdin, env.stdout, env.stderr)
	if err == nil {
		err = stats.write(l)
	}
	if err == nil && status != 0 {
		err = exitStatus(status)
	}
	return err
}

// complete checks the flags, fills in the sweep and says how its records are
// printed.
func (f *truthFlags) complete(changed func(flag string) bool) (output sink.Config, err error) {
	s := &f.sweep
	if s.Kinds, err = probe.ParseKinds(f.kinds); err != nil {
		return output, fmt.Errorf("--%w", err)
	}
	if f.ttl < 1 || f.ttl > math.MaxUint8 {
		return output, fmt.Errorf("--ttl %d: must be 1 to %d", f.ttl, math.MaxUint8)
	}
	s.HopLimit = uint8(f.ttl)
	if s.Replies, err = lab.ParseReplies(f.replies); err != nil {
		return output, fmt.Errorf("--%w", err)
	}
	if changed("size") && !slices.Contains(s.Kinds, probe.Echo) {
		return output, fmt.Errorf("--size %d: only echo requests have a size", s.Size)
	}
	if err := s.Validate(); err != nil {
		return output, fmt.Errorf("--%w", err) // it begins with the name of the flag
	}
	if output.Format, err = sink.ParseFormat(f.format); err != nil {
		return output, fmt.Errorf("--format: %w", err)
	}
	if f.fields != "" {
		if output.Fields, err = sink.ParseFields(f.fields); err != nil {
			return output, fmt.Errorf("--fields: %w", err)
		}
	} else if output.Format == sink.Text {
		output.Fields = []sink.Field{sink.Addr}
	} else {
		output.Fields = slices.DeleteFunc(sink.AllFields(), undetermined)
	}
	if i := slices.IndexFunc(output.Fields, undetermined); i >= 0 {
		return output, fmt.Errorf("--fields: field %q: nobody can know it beforehand: leave it out", output.Fields[i])
	}
	return output, nil
}

// undetermined says that a field is no part of the truth.
func undetermined(f sink.Field) bool {
	return f == sink.Time || f == sink.RTT || f == sink.ClockOffset
}

// printTruth prints what a sweep of the targets must write.
func printTruth(ctx context.Context, w io.Writer, config lab.Config, f truthFlags, output sink.Config) error {
	targets, err := target.Parse(ctx, net.DefaultResolver, f.targets)
	if err != nil {
		return usageError(fmt.Errorf("--truth: %w", err))
	}
	set := target.Select(targets, target.Set{}).Set
	s := f.sweep
	if output.Format == sink.Text && slices.Equal(output.Fields, []sink.Field{sink.Addr}) &&
		s.Replies == lab.PositiveReplies && !s.All {
		err = writeAddrs(w, config.Answering(set, s)) // a record a target; this is the quick way
	} else {
		err = writeRecords(sink.NewWriter(w, output), config.Records(set, s))
	}
	if errors.Is(err, syscall.EPIPE) {
		return nil // whoever read has enough
	}
	if err != nil {
		return fmt.Errorf("print the truth of %s: %w", strings.TrimSpace(f.targets), err)
	}
	return nil
}

// recordsBatch is the number of records that writeRecords writes at a time.
const recordsBatch = 512

func writeRecords(w *sink.Writer, records iter.Seq[reply.Record]) error {
	batch := make([]reply.Record, 0, recordsBatch)
	for r := range records {
		if batch = append(batch, r); len(batch) == cap(batch) {
			if err := w.Write(batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	if err := w.Write(batch); err != nil {
		return err
	}
	return w.Close()
}

// addrsBuffer is the number of bytes that writeAddrs writes at a time.
const addrsBuffer = 64 << 10

// writeAddrs writes addresses one a line. It is quick with neighbours, whose
// first three octets it spells out once.
func writeAddrs(w io.Writer, addrs iter.Seq[target.Addr]) error {
	var last [256]string
	for n := range last {
		last[n] = strconv.Itoa(n) + "\n"
	}
	buf := make([]byte, 0, addrsBuffer)
	var prefix []byte
	var network target.Addr
	for a := range addrs {
		if prefix == nil || a&^0xff != network {
			network = a &^ 0xff
			prefix = network.AppendTo(prefix[:0])
			prefix = prefix[:len(prefix)-1] // the last octet is 0
		}
		if len(buf)+len("255.255.255.255\n") > cap(buf) {
			if _, err := w.Write(buf); err != nil {
				return err
			}
			buf = buf[:0]
		}
		buf = append(buf, prefix...)
		buf = append(buf, last[a&0xff]...)
	}
	_, err := w.Write(buf)
	return err
}
