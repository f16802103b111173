// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"
)

// FeatureState is what a probe found out.
type FeatureState uint8

// The states. Unknown means that the probe itself could not be made.
const (
	FeatureUnknown FeatureState = iota
	FeaturePresent
	FeatureMissing
)

// String gives the state's name as doctor prints it.
func (s FeatureState) String() string {
	switch s {
	case FeaturePresent:
		return "ok"
	case FeatureMissing:
		return "missing"
	}
	return "unknown"
}

// Feature is one thing that xsweep uses of the kernel, and whether it is there.
type Feature struct {
	Name  string // stable, in snake_case
	Title string // for people
	// Optional features are not needed to sweep: what is slower without them, or
	// comes with later transmitters.
	Optional bool
	State    FeatureState
	// Reason says why the state is what it is, Advice what to do about it. Both
	// are empty where the feature is present.
	Reason, Advice string
}

// featureProbe tries one feature. Its try returns nil, an error that wraps
// [ebpf.ErrNotSupported], or why it could not find out.
type featureProbe struct {
	name, title string
	optional    bool
	needs       []string // capabilities that the probe takes
	advice      string   // what would bring the feature
	try         func() error
}

// Capabilities that probes take (kernel, kernel/bpf/syscall.c).
var (
	needsBPF     = []string{"CAP_BPF"}
	needsXDP     = []string{"CAP_NET_ADMIN", "CAP_BPF"}
	needsTracing = []string{"CAP_BPF", "CAP_PERFMON"}
	needsRaw     = []string{"CAP_NET_RAW"}
)

var featureProbes = []featureProbe{
	{"xdp_program", "XDP programs", false, needsXDP, needsKernel("4.8", "CONFIG_BPF_SYSCALL"),
		func() error { return features.HaveProgramType(ebpf.XDP) }},
	{"xdp_link", "bpf_link for XDP", false, needsXDP, needsKernel("5.9", ""), tryXDPLink},
	{"ring_buffer", "ring buffer", false, needsBPF, needsKernel("5.8", ""),
		func() error { return features.HaveMapType(ebpf.RingBuf) }},
	{"array_of_maps", "array of maps", false, needsBPF, needsKernel("4.12", ""),
		func() error { return features.HaveMapType(ebpf.ArrayOfMaps) }},
	{"atomic_fetch_or", "atomic fetch-or", false, needsBPF, needsKernel("5.12 (arm64: 5.18)", ""), tryFetchOr},
	{"batch_update", "batch map updates", false, needsBPF, needsKernel("5.6", ""), tryBatchUpdate},
	{"btf", "BTF of programs", false, needsBPF, needsKernel("4.18", ""), tryBTF},
	{"reply_filter", "the reply filter loads", false, capabilityNames(), needsKernel(MinKernel, ""), tryReplyFilter},
	{"jit", "BPF JIT compiler", true, needsXDP,
		"filtering is slow without: `sudo sysctl net.core.bpf_jit_enable=1`, or a kernel with CONFIG_BPF_JIT", tryJIT},
	{"kernel_btf", "BTF of the kernel", true, nil, forXDP("a kernel with CONFIG_DEBUG_INFO_BTF"), tryKernelBTF},
	{"live_frames", "BPF_PROG_RUN, live frames", true, needsXDP, forXDP(needsKernel("5.18", "")), tryLiveFrames},
	{"tracepoint_xdp_devmap_xmit", "tracepoint xdp_devmap_xmit", true, needsTracing, forXDP("a kernel with CONFIG_DEBUG_INFO_BTF"),
		func() error { return tryTracepoint("xdp_devmap_xmit") }},
	{"tracepoint_xdp_redirect_err", "tracepoint xdp_redirect_err", true, needsTracing, forXDP("a kernel with CONFIG_DEBUG_INFO_BTF"),
		func() error { return tryTracepoint("xdp_redirect_err") }},
	{"af_xdp", "AF_XDP sockets", true, needsRaw, later("a kernel with CONFIG_XDP_SOCKETS"), tryAFXDP},
}

func capabilityNames() []string {
	var names []string
	for _, c := range Capabilities {
		names = append(names, c.Name)
	}
	return names
}

func needsKernel(release, option string) string {
	text := "use kernel " + release + " or later"
	if option != "" {
		text += " with " + option
	}
	return text
}

// TransmitFeatures are the names of what the transmitter xdp needs in order to
// be chosen automatically.
var TransmitFeatures = []string{"kernel_btf", "live_frames", "tracepoint_xdp_devmap_xmit", "tracepoint_xdp_redirect_err"}

func forXDP(advice string) string {
	return "only the transmitter xdp needs it: " + strings.TrimPrefix(advice, "use ")
}

func later(advice string) string {
	return "only later transmitters need it: " + strings.TrimPrefix(advice, "use ")
}

// ProbeFeatures tries what xsweep uses of the kernel, by loading tiny programs
// and maps and, last of what a sweep needs, the reply filter itself. Nothing
// is attached, and nothing is left behind. It takes well under a second and
// needs no privilege: what a probe was refused is of unknown state.
func ProbeFeatures() []Feature {
	// As for the reply filter: kernels before 5.11. If it fails, the probes tell.
	_ = rlimit.RemoveMemlock()
	missing, _ := MissingCapabilities()
	found := make([]Feature, 0, len(featureProbes))
	for _, p := range featureProbes {
		found = append(found, p.judge(p.try(), missing))
	}
	return found
}

// judge makes a feature of what try returned in a process that lacks the
// missing capabilities.
func (p featureProbe) judge(err error, missing []string) Feature {
	f := Feature{Name: p.name, Title: p.title, Optional: p.optional}
	lacks := slices.DeleteFunc(slices.Clone(p.needs), func(c string) bool { return !slices.Contains(missing, c) })
	switch {
	case err == nil:
		f.State = FeaturePresent
	case errors.Is(err, ErrVerifier):
		f.State, f.Reason, f.Advice = FeatureMissing, err.Error(), "please report this"
	case errors.Is(err, errInterpreted):
		f.State, f.Reason, f.Advice = FeatureMissing, err.Error(), p.advice
	case errors.Is(err, ebpf.ErrNotSupported), errors.Is(err, ErrKernel), errors.Is(err, unix.ENOSYS):
		f.State, f.Reason, f.Advice = FeatureMissing, "not in this kernel", p.advice
	case isRefusal(err) && len(lacks) > 0:
		f.Reason, f.Advice = "not probed: needs "+strings.Join(lacks, ", "), "run with sudo"
	case isRefusal(err):
		f.Reason = "not probed: the kernel refused although the capabilities are there"
		f.Advice = "run outside of containers and user namespaces, and without kernel lockdown"
	default:
		f.Reason, f.Advice = fmt.Sprintf("not probed: %v", unwrapErrno(err)), "try again"
	}
	return f
}

func isRefusal(err error) bool {
	return errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) || errors.Is(err, ErrPrivileges)
}

// notSupportedOn turns the given system errors into [ebpf.ErrNotSupported].
func notSupportedOn(err error, errnos ...unix.Errno) error {
	for _, e := range errnos {
		if errors.Is(err, e) {
			return fmt.Errorf("%w: %w", ebpf.ErrNotSupported, e)
		}
	}
	return err
}

// returnTwo is the body of programs that do nothing: in XDP, 2 is XDP_PASS.
var returnTwo = asm.Instructions{asm.Mov.Imm(asm.R0, 2), asm.Return()}

func loadTiny(kind ebpf.ProgramType, body asm.Instructions) (*ebpf.Program, error) {
	return ebpf.NewProgramWithOptions(
		&ebpf.ProgramSpec{Name: "xsweep_probe", Type: kind, Instructions: body, License: "GPL"},
		ebpf.ProgramOptions{LogDisabled: true})
}

// tryXDPLink asks for a link that no kernel can grant, since the loopback
// device has no hardware to run programs: one that knows XDP links says
// EOPNOTSUPP, one that does not says EINVAL.
func tryXDPLink() error {
	loopback, err := loopbackIndex()
	if err != nil {
		return err
	}
	program, err := loadTiny(ebpf.XDP, returnTwo)
	if err != nil {
		return err
	}
	defer program.Close()
	l, err := link.AttachXDP(link.XDPOptions{Program: program, Interface: loopback, Flags: link.XDPOffloadMode})
	switch {
	case err == nil:
		return l.Close()
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EBUSY), errors.Is(err, unix.EEXIST):
		return nil
	}
	return notSupportedOn(err, unix.EINVAL)
}

func tryFetchOr() error {
	program, err := loadTiny(ebpf.SocketFilter, asm.Instructions{
		asm.Mov.Imm(asm.R0, 1),
		asm.StoreMem(asm.RFP, -8, asm.R0, asm.DWord),
		asm.FetchOr.Mem(asm.RFP, asm.R0, asm.DWord, -8),
		asm.Mov.Imm(asm.R0, 0),
		asm.Return(),
	})
	if err != nil {
		return notSupportedOn(err, unix.EINVAL)
	}
	return program.Close()
}

func tryBatchUpdate() error {
	m, err := ebpf.NewMap(&ebpf.MapSpec{Name: "xsweep_probe", Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 2})
	if err != nil {
		return err
	}
	defer m.Close()
	_, err = m.BatchUpdate([]uint32{0, 1}, []uint32{1, 2}, nil)
	return notSupportedOn(err, unix.EINVAL)
}

func tryBTF() error {
	b, err := btf.NewBuilder([]btf.Type{&btf.Int{Name: "xsweep_probe", Size: 4}}, nil)
	if err != nil {
		return err
	}
	h, err := btf.NewHandle(b)
	if err != nil {
		// The library takes a refusal for a lack.
		if refusal := features.HaveProgramType(ebpf.XDP); isRefusal(refusal) {
			return refusal
		}
		return notSupportedOn(err, unix.EINVAL)
	}
	return h.Close()
}

func tryReplyFilter() error {
	r, err := LoadReply(ReplyConfig{
		Source:      netip.AddrFrom4([4]byte{127, 0, 0, 1}),
		Targets:     func(yield func(lo, hi uint32) bool) { yield(0x7f000001, 0x7f000001) },
		Attempts:    1,
		Probes:      []ProbeShape{{8, 64}, {13, 20}, {17, 12}},
		RecordFirst: true, RecordErrors: true,
	})
	if err != nil {
		return err
	}
	return r.Close()
}

var errInterpreted = errors.New("programs are interpreted")

func tryJIT() error {
	program, err := loadTiny(ebpf.XDP, returnTwo)
	if err != nil {
		return err
	}
	defer program.Close()
	info, err := program.Info()
	if err != nil {
		return err
	}
	if size, err := info.JitedSize(); err != nil || size == 0 {
		return errInterpreted
	}
	return nil
}

func tryKernelBTF() error {
	_, err := btf.LoadKernelSpec()
	return notSupportedOn(err, unix.ENOENT)
}

// tryLiveFrames lets the kernel make one real frame, which the program drops.
func tryLiveFrames() error { return tryLiveFrame(64) }

// ErrFrameTooLong says that a program cannot be run over live frames so long.
var ErrFrameTooLong = errors.New("the kernel runs programs only over shorter frames")

// sureLiveFrame is a length that any kernel with live frames takes, in bytes.
const sureLiveFrame = 2048

// CheckLiveFrame returns an error that wraps [ErrFrameTooLong] if the kernel does
// not run programs over live frames of a length, in bytes: some 3,400 are the most,
// as all must lie in one page with what the kernel needs besides.
func CheckLiveFrame(length int) error {
	if length <= sureLiveFrame {
		return nil
	}
	err := tryLiveFrame(length)
	if errors.Is(err, ebpf.ErrNotSupported) && tryLiveFrames() == nil {
		return fmt.Errorf("frames of %d bytes: %w", length, ErrFrameTooLong)
	}
	return nil // what else is wrong shows when it is used
}

func tryLiveFrame(length int) error {
	const xdpDrop = 1
	program, err := loadTiny(ebpf.XDP, asm.Instructions{asm.Mov.Imm(asm.R0, xdpDrop), asm.Return()})
	if err != nil {
		return err
	}
	defer program.Close()
	_, err = program.Run(&ebpf.RunOptions{
		Data: make([]byte, length), Repeat: 1, BatchSize: 1, Flags: unix.BPF_F_TEST_XDP_LIVE_FRAMES,
	})
	return notSupportedOn(err, unix.EINVAL, unix.E2BIG)
}

// tryTracepoint loads a program for a tracepoint. The kernel checks then that
// it exists, not only when the program is attached.
func tryTracepoint(name string) error {
	program, err := ebpf.NewProgramWithOptions(&ebpf.ProgramSpec{
		Name: "xsweep_probe", Type: ebpf.Tracing, AttachType: ebpf.AttachTraceRawTp, AttachTo: name,
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}, License: "GPL",
	}, ebpf.ProgramOptions{LogDisabled: true})
	if err != nil {
		return notSupportedOn(err, unix.EINVAL, unix.ENOENT)
	}
	return program.Close()
}

func tryAFXDP() error {
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return notSupportedOn(err, unix.EAFNOSUPPORT, unix.EINVAL)
	}
	return unix.Close(fd)
}

// KernelSufficient says whether the running kernel is MinKernel or later. It
// is a hint only: distributions carry features back to older releases.
func KernelSufficient() bool { return !kernelTooOld() }
