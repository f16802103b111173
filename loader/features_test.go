// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"runtime/debug"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"xsweep/internal/lab/labtest"
)

// With all privileges every probe finds an answer, and a kernel that is new
// enough has what a sweep needs; what no configuration leaves out of a kernel
// with BTF of its own, it has too.
func TestProbeFeatures(t *testing.T) {
	labtest.Kernel(t)
	always := []string{}
	if tryKernelBTF() == nil && !releaseBefore(KernelRelease(), "5.18") {
		always = []string{"live_frames", "tracepoint_xdp_devmap_xmit", "tracepoint_xdp_redirect_err"}
	}
	for _, f := range ProbeFeatures() {
		t.Logf("%-30s %-8v %s", f.Name, f.State, f.Reason)
		switch {
		case f.State == FeatureUnknown:
			t.Errorf("%s: could not be probed: %s", f.Name, f.Reason)
		case f.State == FeatureMissing && (!f.Optional && KernelSufficient() || slices.Contains(always, f.Name)):
			t.Errorf("%s: missing in kernel %s: %s", f.Name, KernelRelease(), f.Reason)
		case (f.State == FeaturePresent) != (f.Reason == "") || (f.Reason == "") != (f.Advice == ""):
			t.Errorf("%s: state %v, reason %q, advice %q", f.Name, f.State, f.Reason, f.Advice)
		}
	}
}

// Probing leaves no descriptor open and no program on the device that it asks
// for a link.
func TestProbeFeaturesLeavesNothing(t *testing.T) {
	labtest.Kernel(t)
	ProbeFeatures() // the library keeps what it opens the first time
	// What a probe forgets to close, the collector must not close for it.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	before := descriptors(t)
	ProbeFeatures()
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors are open, %d were before", after, before)
	}
	loopback, err := loopbackIndex()
	if err != nil {
		t.Fatal(err)
	}
	if found, ok := FindXDP(loopback); ok {
		t.Errorf("a program is attached to the loopback device: %v", found)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// A tracepoint that does not exist is told from one that does.
func TestTracepointProbe(t *testing.T) {
	labtest.Kernel(t)
	err := tryTracepoint("xdp_redirect_err")
	if noBTF := tryKernelBTF(); (err == nil) != (noBTF == nil) {
		t.Errorf("xdp_redirect_err: %v; BTF of the kernel: %v", err, noBTF)
	}
	if err := tryTracepoint("xsweep_no_such_tracepoint"); !errors.Is(err, ebpf.ErrNotSupported) {
		t.Errorf("no such tracepoint: got %v, want %v", err, ebpf.ErrNotSupported)
	}
}

func TestJudge(t *testing.T) {
	probe := featureProbe{name: "thing", title: "the thing", needs: []string{"CAP_NET_ADMIN", "CAP_BPF"}, advice: "use another"}
	feature := func(s FeatureState, reason, advice string) Feature {
		return Feature{Name: "thing", Title: "the thing", State: s, Reason: reason, Advice: advice}
	}
	refusedWith := func(reason string) Feature { return feature(FeatureUnknown, reason, "run with sudo") }
	for _, tc := range []struct {
		name    string
		err     error
		missing []string
		want    Feature
	}{
		{"present", nil, nil, feature(FeaturePresent, "", "")},
		{"present, though privileges are missing", nil, []string{"CAP_BPF"}, feature(FeaturePresent, "", "")},
		{"not supported", fmt.Errorf("try: %w", ebpf.ErrNotSupported), nil, feature(FeatureMissing, "not in this kernel", "use another")},
		{"no system call", unix.ENOSYS, nil, feature(FeatureMissing, "not in this kernel", "use another")},
		{"kernel too old", fmt.Errorf("load: %w", ErrKernel), nil, feature(FeatureMissing, "not in this kernel", "use another")},
		{"no compiler", errInterpreted, nil, feature(FeatureMissing, "programs are interpreted", "use another")},
		{"verifier", fmt.Errorf("load: %w", ErrVerifier), nil, feature(FeatureMissing, "load: the kernel's verifier refused the program", "please report this")},
		{"refused", unix.EPERM, []string{"CAP_NET_RAW", "CAP_BPF"}, refusedWith("not probed: needs CAP_BPF")},
		{"refused, in words", fmt.Errorf("load: %w", ErrPrivileges), []string{"CAP_NET_ADMIN", "CAP_BPF"}, refusedWith("not probed: needs CAP_NET_ADMIN, CAP_BPF")},
		{"refused for another reason", unix.EPERM, []string{"CAP_NET_RAW"}, feature(FeatureUnknown,
			"not probed: the kernel refused although the capabilities are there",
			"run outside of containers and user namespaces, and without kernel lockdown")},
		{"no memory", fmt.Errorf("make map: %w", unix.ENOMEM), nil, feature(FeatureUnknown, "not probed: cannot allocate memory", "try again")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, probe.judge(tc.err, tc.missing)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Names are keys that tools rely on: they are unique and look like keys, and
// each probe knows what to do about a lack.
func TestProbeTable(t *testing.T) {
	key := regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	var names []string
	for _, p := range featureProbes {
		if !key.MatchString(p.name) || p.title == "" || p.advice == "" || slices.Contains(names, p.name) {
			t.Errorf("probe %q: bad or repeated name, or no title or advice", p.name)
		}
		names = append(names, p.name)
	}
}
