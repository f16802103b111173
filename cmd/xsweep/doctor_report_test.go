// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"maps"
	"net/netip"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"xsweep/loader"
)

// The keys are a promise.
func TestDoctorKeys(t *testing.T) {
	prog := &loader.AttachedXDP{ID: 7, Name: "other"}
	r := newDoctorReport("6.1.0", true, []string{"CAP_BPF"}, []loader.Feature{{Name: "thing"}}, []loader.Device{{Name: "eth0", XDP: prog,
		IPv4: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24")}}})
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var got any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	keys := map[string]bool{}
	collectKeys("", got, keys)
	want := strings.Fields(`
		version ready kernel kernel.release kernel.minimum kernel.sufficient
		capabilities capabilities.name capabilities.held
		features features.name features.title features.optional features.state features.reason features.advice
		interfaces interfaces.name interfaces.index interfaces.usable interfaces.state interfaces.link_type
		interfaces.encapsulation interfaces.mtu interfaces.driver interfaces.queues interfaces.queues.combined
		interfaces.queues.rx interfaces.queues.tx interfaces.xdp interfaces.xdp.native interfaces.xdp.generic
		interfaces.xdp.features interfaces.xdp.features_reason interfaces.xdp.program interfaces.xdp.program.id
		interfaces.xdp.program.name interfaces.xdp.transmit interfaces.xdp.transmit_reason
		interfaces.ipv4 interfaces.transmitter interfaces.tx_threads interfaces.lacks interfaces.lacks.about
		interfaces.lacks.optional interfaces.lacks.problem interfaces.lacks.advice
		lacks lacks.about lacks.optional lacks.problem lacks.advice`)
	slices.Sort(want)
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(keys))); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}

	docs, err := os.ReadFile("../../docs/doctor.md")
	if err != nil {
		t.Fatal(err)
	}
	for key := range keys {
		if last := strings.TrimPrefix(path.Ext("."+key), "."); !strings.Contains(string(docs), last) {
			t.Errorf("docs/doctor.md does not explain %s", key)
		}
	}
}

func collectKeys(prefix string, value any, keys map[string]bool) {
	switch v := value.(type) {
	case map[string]any:
		for k, inner := range v {
			keys[prefix+k] = true
			collectKeys(prefix+k+".", inner, keys)
		}
	case []any:
		for _, inner := range v {
			collectKeys(prefix, inner, keys)
		}
	}
}

func TestDoctorReport(t *testing.T) {
	good := loader.Device{Name: "eth0", Up: true, Carrier: true, Encapsulation: "ether", XDPFeatures: []string{"basic"},
		IPv4: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24")}}
	with := func(change func(*loader.Device)) loader.Device {
		d := good
		change(&d)
		return d
	}
	needed := func(s loader.FeatureState) loader.Feature {
		return loader.Feature{Name: "f", Title: "the f", State: s, Reason: "why", Advice: "do"}
	}
	extra := loader.Feature{Name: "g", Title: "the g", Optional: true, State: loader.FeatureMissing, Reason: "why", Advice: "do"}
	type lacks = []string // about, optional ones in parentheses
	for _, tc := range []struct {
		name     string
		missing  []string
		feature  loader.Feature
		device   loader.Device
		ready    bool
		machine  lacks
		ofDevice lacks
		native   string
		sender   string
	}{
		{"all well", nil, needed(loader.FeaturePresent), good, true, nil, nil, "yes", "packet"},
		{"optional feature missing", nil, extra, good, true, lacks{"(g)"}, nil, "yes", "packet"},
		{"feature missing", nil, needed(loader.FeatureMissing), good, false, lacks{"f"}, nil, "yes", "packet"},
		{"feature unknown", nil, needed(loader.FeatureUnknown), good, false, lacks{"f"}, nil, "yes", "packet"},
		{"feature unknown for want of privileges", []string{"CAP_BPF"}, needed(loader.FeatureUnknown), good, false, lacks{"capabilities"}, nil, "yes", "packet"},
		{"capability missing", []string{"CAP_BPF"}, needed(loader.FeaturePresent), good, false, lacks{"capabilities"}, nil, "yes", "packet"},
		{"down", nil, needed(loader.FeaturePresent), with(func(d *loader.Device) { d.Up, d.Carrier = false, false }), false, nil, lacks{"state"}, "yes", "packet"},
		{"no carrier", nil, needed(loader.FeaturePresent), with(func(d *loader.Device) { d.Carrier = false }), false, nil, lacks{"state"}, "yes", "packet"},
		{"no address", nil, needed(loader.FeaturePresent), with(func(d *loader.Device) { d.IPv4 = nil }), false, nil, lacks{"ipv4"}, "yes", "packet"},
		{"loopback", nil, needed(loader.FeaturePresent), with(func(d *loader.Device) { d.Encapsulation, d.XDPFeatures = "loopback", nil }), true, nil, nil, "no", "raw"},
		{"tunnel", nil, needed(loader.FeaturePresent), with(func(d *loader.Device) { d.Encapsulation = "none" }), true, nil, nil, "yes", "raw"},
		{"strange link layer", nil, needed(loader.FeaturePresent), with(func(d *loader.Device) { d.Encapsulation = "ieee802.15.4" }), false, nil, lacks{"link"}, "yes", ""},
		{"no native XDP", nil, needed(loader.FeaturePresent), with(func(d *loader.Device) { d.XDPFeatures = nil }), true, nil, lacks{"(modes)"}, "no", "packet"},
		{"nobody knows", nil, needed(loader.FeaturePresent), with(func(d *loader.Device) { d.XDPFeaturesErr = loader.ErrNoXDPFeatures }), true, nil, nil, "unknown", "packet"},
		{"port of a bond", nil, needed(loader.FeaturePresent), with(func(d *loader.Device) { d.Bond = "bond0" }), false, nil, lacks{"modes"}, "no", "packet"},
		{"occupied", nil, needed(loader.FeaturePresent), with(func(d *loader.Device) { d.XDP = &loader.AttachedXDP{ID: 7} }), false, nil, lacks{"program"}, "yes", "packet"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			// An interface that cannot be used beside it changes nothing.
			r := newDoctorReport("6.1.0", true, tc.missing, []loader.Feature{tc.feature}, []loader.Device{{Name: "down0"}, tc.device})
			about := func(l []doctorLack) (names lacks) {
				for _, lack := range l {
					if lack.Problem == "" || lack.Advice == "" {
						t.Errorf("%+v says too little", lack)
					}
					if lack.Optional {
						lack.About = "(" + lack.About + ")"
					}
					names = append(names, lack.About)
				}
				return names
			}
			i := r.Interfaces[1]
			if r.Ready != tc.ready || i.XDP.Native != tc.native || i.Transmitter != tc.sender {
				t.Errorf("ready %v, native %s, transmitter %q; want %v, %s, %q", r.Ready, i.XDP.Native, i.Transmitter, tc.ready, tc.native, tc.sender)
			}
			if diff := cmp.Diff(tc.machine, about(r.Lacks)); diff != "" {
				t.Errorf("the machine lacks (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.ofDevice, about(i.Lacks)); diff != "" {
				t.Errorf("the interface lacks (-want +got):\n%s", diff)
			}
			var text strings.Builder
			if err := r.print(&text); err != nil {
				t.Fatal(err)
			}
			for _, lack := range append(r.Lacks, i.Lacks...) {
				if !strings.Contains(text.String(), lack.Advice) {
					t.Errorf("%+v is not printed:\n%s", lack, text.String())
				}
			}
		})
	}
}

func TestDoctorPrint(t *testing.T) {
	r := newDoctorReport("5.4.0", false, nil, []loader.Feature{
		{Name: "a", Title: "the first", State: loader.FeaturePresent},
		{Name: "b", Title: "the other one", Optional: true, State: loader.FeatureMissing, Reason: "not in this kernel", Advice: "use another"},
		{Name: "c", Title: "the last", Optional: true, State: loader.FeatureMissing, Reason: "not in this kernel", Advice: "use another"},
	}, []loader.Device{{Name: "wg0", Index: 3, Up: true, Carrier: true, Encapsulation: "none", MTU: 1420, Driver: "wireguard",
		Queues: loader.Queues{Combined: 4}, XDPFeaturesErr: loader.ErrNoXDPFeatures}})
	const want = `kernel
  unknown   5.4.0  older than 5.15, for which xsweep is built: the features decide
capabilities
  ok        CAP_NET_RAW
  ok        CAP_NET_ADMIN
  ok        CAP_BPF
  ok        CAP_PERFMON
features
  ok        the first
  optional  the other one  not in this kernel
  optional  the last       not in this kernel
            -> use another
interface wg0
  ok        state         up
  ok        link          bare IP (none), MTU 1420
            driver        wireguard
            queues        4 combined
  ok        XDP modes     generic, native unknown
            XDP features  unknown (kernel too old)
  ok        XDP program   none
  missing   IPv4          none
            -> no IPv4 address: ` + "`sudo ip address add ADDRESS/LENGTH dev wg0`" + `
            transmitter   raw
            XDP sending   no: its frames need an Ethernet header
            send threads  1 at most by default

not ready: no interface can be used
`
	var got strings.Builder
	if err := r.print(&got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What keeps the transmitter xdp from a device: its driver, the kernel, its
// link layer.
func TestDoctorXDPSending(t *testing.T) {
	good := loader.Device{Name: "eth0", Up: true, Carrier: true, Encapsulation: "ether", XDPFeatures: []string{"basic", "ndo-xmit"}}
	mute := good
	mute.XDPFeatures, mute.XDPFeaturesErr = nil, loader.ErrNoXDPFeatures
	unable := good
	unable.XDPFeatures = []string{"basic"}
	tunnel := good
	tunnel.Encapsulation = "none"
	live := func(s loader.FeatureState) []loader.Feature {
		return []loader.Feature{{Name: "live_frames", Title: "live frames", State: s, Reason: "why"}}
	}
	for _, tc := range []struct {
		name     string
		device   loader.Device
		features []loader.Feature
		want     string
		reason   string
	}{
		{"all there", good, live(loader.FeaturePresent), "yes", ""},
		{"no live frames", good, live(loader.FeatureMissing), "no", "live frames: why"},
		{"live frames not tried", good, live(loader.FeatureUnknown), "unknown", "live frames: why"},
		{"another feature missing", good, []loader.Feature{{Name: "af_xdp", State: loader.FeatureMissing}}, "yes", ""},
		{"the driver cannot", unable, live(loader.FeatureUnknown), "no", "ndo-xmit"},
		{"the kernel does not tell", mute, live(loader.FeaturePresent), "unknown", "does not tell"},
		{"no Ethernet", tunnel, live(loader.FeaturePresent), "no", "Ethernet"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			i := newDoctorReport("6.1.0", true, nil, tc.features, []loader.Device{tc.device}).Interfaces[0]
			if i.XDP.Transmit != tc.want || !strings.Contains(i.XDP.TransmitReason, tc.reason) {
				t.Errorf("%q, %q; want %q, %q", i.XDP.Transmit, i.XDP.TransmitReason, tc.want, tc.reason)
			}
			if line := i.xdpSending(); !strings.HasPrefix(line, tc.want) || !strings.Contains(line, tc.reason) {
				t.Errorf("printed %q", line)
			}
		})
	}
}
