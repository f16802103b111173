// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"time"

	"xsweep/loader"
	"xsweep/sweep/pace"
	"xsweep/sweep/probe"
	"xsweep/sweep/reply"
	"xsweep/sweep/target"
)

// Defaults of a Config.
const (
	DefaultRate          = pace.Rate(10_000)
	DefaultCooldown      = 8 * time.Second
	DefaultProbeInterval = time.Second
	DefaultHopLimit      = 64
	DefaultSize          = probe.PayloadLen
)

// Replies says which replies are recorded.
type Replies string

// The choices.
const (
	PositiveReplies Replies = "positive" // what says that a target lives
	ErrorReplies    Replies = "errors"   // what says why a probe did not get there
	AllReplies      Replies = "all"
)

// ParseReplies reads positive, errors or all.
func ParseReplies(text string) (Replies, error) {
	switch r := Replies(text); r {
	case PositiveReplies, ErrorReplies, AllReplies:
		return r, nil
	}
	return "", fmt.Errorf("replies %q: must be positive, errors or all", text)
}

// CarrierTimeout is how long a link may take to come back after the filter
// was attached.
const CarrierTimeout = 10 * time.Second

// Tx is the way that probes are sent.
type Tx string

// The ways.
const (
	TxAuto   Tx = "auto"   // what can serve, and is fast enough for the rate
	TxPacket Tx = "packet" // Ethernet frames through AF_PACKET
	TxRaw    Tx = "raw"    // IP packets that the kernel routes
	TxXDP    Tx = "xdp"    // Ethernet frames from inside the kernel
)

// ParseTx reads auto, packet, raw or xdp.
func ParseTx(text string) (Tx, error) {
	switch tx := Tx(text); tx {
	case TxAuto, TxPacket, TxRaw, TxXDP:
		return tx, nil
	}
	return "", fmt.Errorf("transmitter %q: must be auto, packet, raw or xdp", text)
}

// Config says what to sweep and how. Zero fields stand for the defaults.
type Config struct {
	// Targets is what to sweep; see target.Parse and target.ParseFile.
	Targets []target.Target
	// Exclude is what to leave out of it.
	Exclude target.Set
	// Seed chooses the order. Zero is a seed like any other.
	Seed uint64
	// Shard is the part of the order to sweep; zero is all of it.
	Shard target.Shard
	// Kinds are the kinds of probes that each target gets, in their order; none
	// stands for echo requests.
	Kinds []probe.Kind
	// Probes is how many probes of each kind each target gets; 0 means 1.
	Probes int
	// ProbeInterval is the least time between two probes to one target; 0 means
	// DefaultProbeInterval, and less than 0 none.
	ProbeInterval time.Duration

	// Rate is that of all threads together; 0 means DefaultRate.
	Rate pace.Rate
	// Batch is how many frames are sent at once; 0 leaves it to the pacer.
	Batch int
	// Threads is how many threads send; 0 means as many as the rate needs, one a
	// transmit queue at most, and one CPU is left to receive.
	Threads int
	// Tx is the way to send; empty means TxAuto.
	Tx Tx
	// XDP is how the reply filter is attached.
	XDP loader.XDPMode
	// HopLimit is the TTL of probes; 0 means DefaultHopLimit.
	HopLimit uint8
	// Size is how many bytes of ICMP data echo requests have; 0 means
	// DefaultSize, and less than 0 none. With less than probe.PayloadLen replies
	// do not tell which probe they answer, nor how long they took.
	Size int
	// Pattern fills that data, as probe.TemplateConfig says.
	Pattern []byte
	// TOS is the type of service octet of probes (RFC 2474: the DSCP in its upper
	// six bits).
	TOS uint8
	// DontFragment forbids routers to cut probes up.
	DontFragment bool

	// Interface, Source and GatewayMAC override what the routes say.
	Interface  string
	Source     netip.Addr
	GatewayMAC net.HardwareAddr

	// Cooldown is how long replies are waited for after the last probe; 0
	// means DefaultCooldown, and less than 0 not at all.
	Cooldown time.Duration
	// SkipCooldown ends the cooldown when it is closed.
	SkipCooldown <-chan struct{}
	// MaxRuntime ends sending after so long; 0 means no limit.
	MaxRuntime time.Duration
	// MaxResults ends sending after so many records; 0 means no limit. The
	// sink's own limit cuts the output.
	MaxResults uint64
	// Replies says of what there are records; zero means of positive replies.
	Replies Replies
	// RecordAll asks for records of every one of those, not only a target's first
	// reply and the first of equal errors.
	RecordAll bool
	// Many takes answers to a probe from any address, one from each: for targets
	// that stand for many hosts. It is implied where all targets are broadcast or
	// multicast addresses. It goes with echo requests alone.
	Many bool

	// Where decides which records the sinks get, but for a live set, which gets all;
	// nil is all. The others count as
	// filtered, and for the account like any.
	Where Filter
	// Backpressure slows sending down where sinks are slower than records come.
	// Without it records that find no room are lost, and counted.
	Backpressure bool
	// OnSinkError says what becomes of the sweep when a sink fails; empty means
	// StopOnSinkError.
	OnSinkError OnSinkError

	// Checkpoint, if set, is where the sweep is saved every CheckpointEvery (0
	// means DefaultCheckpointEvery) and at its end. If it has a sweep already, Run
	// goes on with that; it must be of the same targets and settings.
	Checkpoint      *Checkpoint
	CheckpointEvery time.Duration
	// Settings are kept in a new checkpoint for who goes on with it.
	Settings map[string][]string

	// untraced is for tests: xdp does as on kernels without tracepoints.
	untraced bool

	// Monitor, if set, can be asked for the sweep's progress at any time.
	Monitor *Monitor
	// Log, if set, is told what the user should know before the first probe
	// (slog.LevelWarn), what was decided on the way and why (LevelInfo), and what
	// was done when (LevelDebug). Each message can be understood without its
	// attributes. Nothing is logged per probe or reply; it may come from any
	// goroutine.
	Log *slog.Logger
}

// Filter chooses records. It is used by one goroutine at a time.
type Filter interface {
	// Match says whether a record is wanted.
	Match(r *reply.Record) (bool, error)
	// String is what it was made from, by which two are compared.
	String() string
}

// withDefaults fills in the zero fields.
func (c Config) withDefaults() Config {
	c.Probes = cmp.Or(c.Probes, 1)
	c.ProbeInterval = max(cmp.Or(c.ProbeInterval, DefaultProbeInterval), 0)
	c.Rate = cmp.Or(c.Rate, DefaultRate)
	c.Tx = cmp.Or(c.Tx, TxAuto)
	c.HopLimit = cmp.Or(c.HopLimit, DefaultHopLimit)
	c.Size = max(cmp.Or(c.Size, DefaultSize), 0)
	c.Replies = cmp.Or(c.Replies, PositiveReplies)
	if len(c.Kinds) == 0 {
		c.Kinds = []probe.Kind{probe.Echo}
	}
	c.Cooldown = max(cmp.Or(c.Cooldown, DefaultCooldown), 0)
	c.OnSinkError = cmp.Or(c.OnSinkError, StopOnSinkError)
	c.CheckpointEvery = cmp.Or(c.CheckpointEvery, DefaultCheckpointEvery)
	if c.Monitor == nil {
		c.Monitor = new(Monitor)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// validate judges a Config whose defaults are filled in.
func (c Config) validate() error {
	if len(c.Targets) == 0 {
		return errors.New("no targets: name addresses, prefixes or ranges to sweep")
	}
	if c.Probes < 1 || c.Probes > loader.MaxAttempts {
		return fmt.Errorf("%d probes a target: must be 1 to %d", c.Probes, loader.MaxAttempts)
	}
	if c.MaxRuntime < 0 {
		return fmt.Errorf("max runtime %v: must not be negative", c.MaxRuntime)
	}
	if _, err := ParseTx(string(c.Tx)); err != nil {
		return err
	}
	if err := c.Shard.Validate(); err != nil {
		return err
	}
	if _, err := ParseOnSinkError(string(c.OnSinkError)); err != nil {
		return err
	}
	if c.CheckpointEvery < minCheckpointEvery {
		return fmt.Errorf("a checkpoint every %v: must be %v at least", c.CheckpointEvery, minCheckpointEvery)
	}
	if err := c.validateProbes(); err != nil {
		return err
	}
	_, err := pace.New(c.pace())
	return err
}

// validateProbes judges what probes look like and what of their answers is asked
// for.
func (c Config) validateProbes() error {
	for i, k := range c.Kinds {
		if k >= probe.NumKinds || slices.Contains(c.Kinds[:i], k) {
			return fmt.Errorf("probes of %v: must be echo, timestamp or mask, each once", c.Kinds)
		}
	}
	if c.Size > probe.MaxDataLen {
		return fmt.Errorf("size %d: must be at most %d", c.Size, probe.MaxDataLen)
	}
	if _, err := ParseReplies(string(c.Replies)); err != nil {
		return err
	}
	return c.checkMany()
}

func (c Config) pace() pace.Config {
	return pace.Config{Rate: c.Rate, Threads: c.Threads, Batch: c.Batch}
}

// packetLen is the length of the longest probe in bytes, IP header included.
func (c Config) packetLen() int {
	longest := 0
	for _, k := range c.Kinds {
		longest = max(longest, probe.HeaderLen+k.DataLen(c.Size))
	}
	return longest
}

// checkMany says what keeps many answers to one probe from being told apart.
func (c Config) checkMany() error {
	switch {
	case !c.Many:
		return nil
	case len(c.Kinds) != 1 || c.Kinds[0] != probe.Echo:
		return errors.New("many answers to one probe: only those to echo requests tell whom it was for: use --probe echo")
	case c.Size < probe.PayloadLen:
		return fmt.Errorf("many answers to one probe: they tell whom it was for only with at least %d bytes of data: use a larger --size", probe.PayloadLen)
	case c.Replies == ErrorReplies:
		return errors.New("many answers to one probe are no errors: use --replies positive or all")
	}
	return nil
}

// passes is how many probes each target gets.
func (c Config) passes() int { return c.Probes * len(c.Kinds) }

// recordsFirst and recordsErrors say what there are records of.
func (c Config) recordsFirst() bool  { return c.Replies != ErrorReplies }
func (c Config) recordsErrors() bool { return c.Replies != PositiveReplies }
