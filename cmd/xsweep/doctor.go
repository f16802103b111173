// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"xsweep/internal/route"
	"xsweep/loader"
	"xsweep/sweep"
)

const doctorHelp = `Print what this machine can do for a sweep: its kernel, the privileges of this
process, the BPF features that xsweep uses, and the network interfaces. What is
lacking comes with what to do about it.

Features are tried, not guessed from the kernel's version, by loading tiny
programs. Nothing is attached, sent or changed. Without privileges doctor runs
too, and says what it could not try.

  ok        is there
  missing   is not there, and a sweep needs it
  optional  is not there, and a sweep runs without
  unknown   could not be tried

Exit status: 0 if a sweep can run on an interface (with -i: on that one), 1 if
not, 2 bad usage. docs/doctor.md explains the keys of --json.`

const doctorExamples = `  xsweep doctor
  sudo xsweep doctor -i eth0
  xsweep doctor --json >doctor.json`

func newDoctorCommand(env *environment) *cobra.Command {
	var name string
	var asJSON bool
	c := &cobra.Command{
		Use:     "doctor [flags]",
		Short:   "Say what this machine can do, and what it lacks",
		Long:    doctorHelp,
		Example: doctorExamples,
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			return runDoctor(env, name, c.Flags().Changed("interface"), asJSON)
		},
	}
	c.Flags().StringVarP(&name, "interface", "i", "", "look at this `DEVICE` only")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}

// runDoctor prints what it finds; with one set, about the named interface only.
func runDoctor(env *environment, name string, one, asJSON bool) error {
	devices, err := loader.Devices()
	if err != nil {
		return err
	}
	if one {
		if devices, err = selectDevice(devices, name); err != nil {
			return usageError(err)
		}
	}
	missing, err := loader.MissingCapabilities()
	if err != nil {
		return err
	}
	r := newDoctorReport(loader.KernelRelease(), loader.KernelSufficient(), missing, loader.ProbeFeatures(), devices)
	if asJSON {
		e := json.NewEncoder(env.stdout)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		err = e.Encode(r)
	} else {
		err = r.print(env.stdout)
	}
	if err != nil {
		return fmt.Errorf("print the report: %w", err)
	}
	if !r.Ready {
		return exitStatus(exitFailed)
	}
	return nil
}

func selectDevice(devices []loader.Device, name string) ([]loader.Device, error) {
	if name == "" {
		return nil, errors.New("--interface: empty: name one, or leave it out for all")
	}
	var names []string
	for _, d := range devices {
		if d.Name == name || slices.Contains(d.AltNames, name) {
			return []loader.Device{d}, nil
		}
		names = append(names, d.Name)
	}
	if len(names) > 16 { // a one-line error, also on a machine with a thousand of them
		names = append(names[:16], fmt.Sprintf("%d more", len(names)-16))
	}
	return nil, fmt.Errorf("interface %s does not exist: there are %s", name, strings.Join(names, ", "))
}

// newDoctorReport judges facts; it asks the machine for nothing.
func newDoctorReport(release string, sufficient bool, missing []string, features []loader.Feature, devices []loader.Device) *doctorReport {
	r := &doctorReport{
		Version:    version(),
		Kernel:     doctorKernel{release, loader.MinKernel, sufficient},
		Features:   []doctorFeature{},
		Interfaces: []doctorInterface{},
		Lacks:      []doctorLack{},
	}
	able := len(missing) == 0
	for _, c := range loader.Capabilities {
		r.Capabilities = append(r.Capabilities, doctorCapability{c.Name, !slices.Contains(missing, c.Name)})
	}
	if !able {
		r.Lacks = append(r.Lacks, doctorLack{"capabilities", false, strings.Join(missing, ", ") + " missing",
			"run with sudo, or `" + loader.SetcapHint + "`"})
	}
	for _, f := range features {
		r.Features = append(r.Features, doctorFeature{f.Name, f.Title, f.Optional, f.State.String(), f.Reason, f.Advice})
		if f.State == loader.FeaturePresent {
			continue
		}
		able = able && f.Optional
		// What only privileges keep from being tried has its lack above.
		if f.State == loader.FeatureMissing || len(missing) == 0 {
			r.Lacks = append(r.Lacks, doctorLack{f.Name, f.Optional, f.Title + ": " + f.Reason, f.Advice})
		}
	}
	for _, d := range devices {
		i := newDoctorInterface(d)
		i.judgeXDP(&d, features)
		r.Ready = r.Ready || able && i.Usable
		r.Interfaces = append(r.Interfaces, i)
	}
	return r
}

func newDoctorInterface(d loader.Device) doctorInterface {
	kind := route.LinkTypeOf(d.Encapsulation)
	i := doctorInterface{
		Name: d.Name, Index: d.Index, MTU: d.MTU, Driver: d.Driver,
		State: linkStateOf(d).String(), LinkType: kind.String(), Encapsulation: d.Encapsulation,
		Queues: doctorQueues(d.Queues),
		IPv4:   append([]netip.Prefix{}, d.IPv4...),
		XDP:    doctorXDP{Native: "no", Generic: "yes", Features: d.XDPFeatures},
		Lacks:  []doctorLack{},
	}
	lack := func(about string, optional bool, problem, advice string) {
		i.Lacks = append(i.Lacks, doctorLack{about, optional, problem, advice})
	}

	switch linkStateOf(d) {
	case route.LinkDown:
		lack("state", false, "it is down", fmt.Sprintf("`sudo ip link set dev %s up`", d.Name))
	case route.LinkNoCarrier:
		lack("state", false, "it has no carrier", "check the cable, or the other end of the link")
	}
	switch kind {
	case route.Ethernet:
		i.Transmitter = route.Packet.String()
	case route.Loopback, route.BareIP:
		i.Transmitter = route.Raw.String()
	default:
		lack("link", false, "xsweep does not speak its link layer", "use another interface")
	}

	switch {
	case d.XDPFeaturesErr != nil:
		i.XDP.Native, i.XDP.Features = "unknown", nil
		i.XDP.FeaturesReason = d.XDPFeaturesErr.Error()
	case d.NativeXDP():
		i.XDP.Native = "yes"
	case kind == route.Ethernet:
		lack("modes", true, "its driver has no native XDP", "generic mode serves, more slowly; use a device whose driver has native XDP for high rates")
	}
	if d.Bond != "" {
		i.XDP.Native, i.XDP.Generic = "no", "no"
		lack("modes", false, "ports of a bond take no XDP program", "use "+d.Bond)
	}
	if d.XDP != nil {
		i.XDP.Program = &doctorProgram{d.XDP.ID, d.XDP.Name}
		lack("program", false, "another XDP program is attached",
			fmt.Sprintf("end the program that owns it, or `sudo ip link set dev %s xdp off`", d.Name))
	}
	if len(d.IPv4) == 0 {
		lack("ipv4", false, "no IPv4 address", fmt.Sprintf("`sudo ip address add ADDRESS/LENGTH dev %s`", d.Name))
	}
	i.Usable = !slices.ContainsFunc(i.Lacks, func(l doctorLack) bool { return !l.Optional })
	return i
}

// usableCPUs is how many CPUs a sweep could use; at least 1.
func usableCPUs() int {
	cpus, err := loader.UsableCPUs()
	if err != nil {
		return 1
	}
	return len(cpus)
}

// judgeXDP says whether the transmitter xdp can send through the device: what
// the automatic choice finds out before it measures.
func (i *doctorInterface) judgeXDP(d *loader.Device, features []loader.Feature) {
	i.TxThreads = sweep.MostThreads(d.Queues.Transmit(), usableCPUs())
	x := &i.XDP
	x.Transmit = "yes"
	say := func(state, reason string) {
		x.Transmit, x.TransmitReason = state, reason
	}
	if d.XDPFeaturesErr != nil {
		say("unknown", "the kernel does not tell whether the driver takes frames from programs")
	}
	for _, f := range features {
		switch {
		case !slices.Contains(loader.TransmitFeatures, f.Name) || f.State == loader.FeaturePresent:
		case f.State == loader.FeatureMissing:
			say("no", f.Title+": "+f.Reason)
		case x.Transmit == "yes":
			say("unknown", f.Title+": "+f.Reason)
		}
	}
	if err := d.TakesFrames(); err != nil {
		say("no", err.Error())
	}
	if i.Transmitter != route.Packet.String() {
		say("no", "its frames need an Ethernet header")
	}
}

func linkStateOf(d loader.Device) route.LinkState {
	switch {
	case !d.Up:
		return route.LinkDown
	case !d.Carrier:
		return route.LinkNoCarrier
	}
	return route.LinkUp
}
