// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"xsweep/internal/lab"
	"xsweep/sweep/target"
)

const labHelp = `Run a command in a network made for it, with somebody at the far end to probe.

The command sees one device, lab0 (198.18.0.1/30, gateway 198.18.0.2), and
everything behind it is simulated: nothing leaves the machine. The lab ends
with the command's exit status, and takes everything that the command started
with it.

Responders:
  simnet   answers ICMP echo for any IPv4 address that has a live host. Which
           hosts live, their TTLs and their losses follow from --seed.
  kernel   Linux answers for all of 198.18.0.0/15. With --hops N it does so
           behind N Linux routers, 198.19.255.1 to 198.19.255.N. The last one has
           other routes for some prefixes:
             198.19.64.0/24  unreachable: host unreachable
             198.19.65.0/24  prohibited: administratively prohibited
             198.19.66.0/24  a blackhole: silence
             198.19.67.0/24  an MTU of 1280 bytes: fragmentation needed
             198.19.68.0/24  none at all: network unreachable

--truth prints the addresses that a sweep inside such a lab must find and runs
nothing; it needs no privilege. It takes what sweep takes as a target. With
--loss it depends on how many probes each address gets: say so with --probes.`

const labExamples = `  xsweep lab -- xsweep sweep 198.18.0.0/16
  xsweep lab --responder kernel -- ping -c 3 198.18.77.77
  xsweep lab --responder kernel --hops 3 -- ping -c 1 -t 2 198.18.77.77
  xsweep lab --live 0.1 --seed 7 -- xsweep sweep --rate 300k 240.0.0.0/12
  xsweep lab --live 0.1 --seed 7 --truth 240.0.0.0/12
  xsweep lab -- bash                       a shell inside`

// labFlags are the flags of the lab command as they are typed.
type labFlags struct {
	responder             string
	live, loss, duplicate float64
	seed                  uint64
	queues, mtu, hops     int
	truth                 string
	probes                int
}

func newLabCommand(env *environment) *cobra.Command {
	var f labFlags
	c := &cobra.Command{
		Use:     "lab [flags] -- COMMAND [ARG...]",
		Short:   "Run a command in a simulated network",
		Long:    labHelp,
		Example: labExamples,
		RunE: func(c *cobra.Command, argv []string) error {
			config, err := f.config(c.Flags().Changed)
			if err != nil {
				return usageError(err)
			}
			switch {
			case f.truth != "" && len(argv) > 0:
				return usageError(errors.New("--truth runs nothing: leave it or the command out"))
			case f.truth != "":
				return printTruth(c.Context(), env.stdout, config, f.truth, f.probes)
			case len(argv) == 0:
				return usageError(errors.New("no command to run in the lab: write it behind --, as in `xsweep lab -- xsweep sweep 198.18.0.0/16`"))
			}
			return runInLab(c.Context(), env, config, argv)
		},
	}
	flags := c.Flags()
	flags.SetInterspersed(false) // what stands behind the command is the command's
	flags.StringVar(&f.responder, "responder", "simnet", "who answers: simnet or kernel")
	flags.Float64Var(&f.live, "live", 1, "fraction of the addresses that have a live host (simnet)")
	flags.Float64Var(&f.loss, "loss", 0, "fraction of the probes to live hosts that get lost (simnet)")
	flags.Float64Var(&f.duplicate, "duplicate", 0, "fraction of the hosts that answer each probe twice (simnet)")
	flags.Uint64Var(&f.seed, "seed", 0, "decides which hosts live and which probes get lost (simnet)")
	flags.IntVar(&f.queues, "queues", 0, "receive and transmit queues of lab0 (default: one a CPU)")
	flags.IntVar(&f.mtu, "mtu", 1500, "largest IP packet that the links take, in `bytes`")
	flags.IntVar(&f.hops, "hops", 0, "`number` of routers between lab0 and the responder (kernel)")
	flags.StringVar(&f.truth, "truth", "", "print which addresses of this `TARGET` will answer, and run nothing")
	flags.IntVar(&f.probes, "probes", 1, "probes that each address gets (with --truth)")
	return c
}

// config checks the flags and turns them into the lab's configuration.
func (f labFlags) config(changed func(flag string) bool) (lab.Config, error) {
	responder, err := lab.ParseResponder(f.responder)
	if err != nil || responder == lab.Sink {
		return lab.Config{}, fmt.Errorf("--responder %q: must be simnet or kernel", f.responder)
	}
	config := lab.Config{Responder: responder, Seed: f.seed, Queues: f.queues, MTU: f.mtu, Hops: f.hops}
	if responder == lab.Simnet {
		config.Live, config.Loss, config.Duplicate = f.live, f.loss, f.duplicate
	} else {
		for _, flag := range []string{"live", "loss", "duplicate"} {
			if changed(flag) {
				return lab.Config{}, fmt.Errorf("--%s: the kernel answers for every address, always and once: use --responder simnet", flag)
			}
		}
	}
	if f.mtu == 0 { // which would stand for the default
		return lab.Config{}, errors.New("--mtu 0: must be at least 1280")
	}
	if err := config.Validate(); err != nil {
		return lab.Config{}, fmt.Errorf("--%w", err) // it begins with the name of the field, which is the flag's
	}
	if f.probes < 1 {
		return lab.Config{}, fmt.Errorf("--probes %d: must be at least 1", f.probes)
	}
	if changed("probes") && f.truth == "" {
		return lab.Config{}, errors.New("--probes: only with --truth; a command chooses its own number of probes")
	}
	if changed("truth") && f.truth == "" {
		return lab.Config{}, errors.New("--truth: empty: name an address, a prefix or a range")
	}
	return config, nil
}

// runInLab runs a command in a lab of its own. Its status, where it is not 0,
// comes back as an exitStatus.
func runInLab(ctx context.Context, env *environment, config lab.Config, argv []string) (err error) {
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
	if err == nil && status != 0 {
		err = exitStatus(status)
	}
	return err
}

// printTruth prints the addresses of text that answer, one a line.
func printTruth(ctx context.Context, w io.Writer, config lab.Config, text string, probes int) error {
	targets, err := target.Parse(ctx, net.DefaultResolver, text)
	if err != nil {
		return usageError(fmt.Errorf("--truth: %w", err))
	}
	set := target.Select(targets, target.Set{}).Set
	err = writeAddrs(w, config.Truth(set, probes))
	if errors.Is(err, syscall.EPIPE) {
		return nil // whoever read has enough
	}
	if err != nil {
		return fmt.Errorf("print the truth of %s: %w", strings.TrimSpace(text), err)
	}
	return nil
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
