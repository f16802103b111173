// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"xsweep/internal/lab/labtest"
	"xsweep/loader"
)

// A program that the verifier refuses (it reads behind the packet) is
// reported as such, with the verifier's words and the kernel's release.
func TestVerifierError(t *testing.T) {
	labtest.Kernel(t)
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.XDP, License: "GPL",
		Instructions: asm.Instructions{
			asm.LoadMem(asm.R1, asm.R1, 0, asm.Word),
			asm.LoadMem(asm.R0, asm.R1, 0, asm.Byte),
			asm.Return(),
		},
	})
	if err == nil {
		p.Close()
		t.Fatal("the verifier took a read without a check")
	}
	var verifier *ebpf.VerifierError
	if !errors.As(err, &verifier) {
		t.Fatalf("not a verifier error: %v", err)
	}
	got := loader.LoadError("test program", fmt.Errorf("field Test: program test: %w", err))
	if !errors.Is(got, loader.ErrVerifier) || errors.Is(got, loader.ErrPrivileges) || errors.Is(got, loader.ErrKernel) {
		t.Errorf("got %v", got)
	}
	for _, part := range []string{"load the test program", "invalid access to packet", loader.KernelRelease(), "report"} {
		if !strings.Contains(got.Error(), part) {
			t.Errorf("%q does not say %q", got, part)
		}
	}
}

func TestLoadErrors(t *testing.T) {
	for _, test := range []struct {
		err  error
		is   error
		says string
	}{
		{fmt.Errorf("map seen_pages: %w", unix.ENOMEM), unix.ENOMEM, "fewer addresses"},
		{fmt.Errorf("map rings: %w", ebpf.ErrNotSupported), loader.ErrKernel, loader.MinKernel},
		{fmt.Errorf("bpf: %w", unix.ENOSYS), loader.ErrKernel, loader.KernelRelease()},
		{fmt.Errorf("map stats: %w", unix.EPERM), loader.ErrPrivileges, "load the thing"},
		{fmt.Errorf("map stats: %w", os.ErrClosed), os.ErrClosed, "map stats"},
	} {
		got := loader.LoadError("thing", test.err)
		if !errors.Is(got, test.is) || !strings.Contains(got.Error(), test.says) {
			t.Errorf("%v became %q: should be %v and say %q", test.err, got, test.is, test.says)
		}
		if strings.Contains(got.Error(), "\n") {
			t.Errorf("more than one line: %q", got)
		}
	}
}

func TestParseXDPMode(t *testing.T) {
	for _, m := range []loader.XDPMode{loader.Auto, loader.Native, loader.Generic} {
		if got, err := loader.ParseXDPMode(m.String()); err != nil || got != m {
			t.Errorf("%v: got %v, %v", m, got, err)
		}
	}
	for _, text := range []string{"", "Native", "offload", "auto "} {
		if got, err := loader.ParseXDPMode(text); err == nil {
			t.Errorf("%q: got %v", text, got)
		}
	}
}
