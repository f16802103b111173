// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

var (
	// ErrVerifier says that the kernel's verifier refused a program. That is
	// always a fault of xsweep, never of the machine.
	ErrVerifier = errors.New("the kernel's verifier refused the program")
	// ErrKernel says that the kernel lacks something that xsweep needs.
	ErrKernel = errors.New("this kernel lacks something that xsweep needs")
)

// MinKernel is the oldest kernel that xsweep is built for.
const MinKernel = "5.15"

// loadError explains why the kernel did not take a program or a map.
func loadError(what string, err error) error {
	var verifier *ebpf.VerifierError
	refused := errors.As(err, &verifier)
	switch {
	// Without CAP_PERFMON the verifier forbids what our programs have to do.
	case errors.Is(err, unix.EPERM), refused && lacks("CAP_PERFMON"):
		return fmt.Errorf("load the %s: %w", what, privilegeError(unwrapErrno(err)))
	case errors.Is(err, unix.ENOMEM):
		return fmt.Errorf("load the %s: %w: not enough memory for its maps: sweep fewer addresses at a time or with fewer --probes", what, unwrapErrno(err))
	case errors.Is(err, ebpf.ErrNotSupported), errors.Is(err, unix.ENOSYS), kernelTooOld():
		return fmt.Errorf("load the %s: %w (it is %s, needed is %s or later): %w", what, ErrKernel, KernelRelease(), MinKernel, err)
	case refused:
		return fmt.Errorf("load the %s: %w on kernel %s; please report this: %w", what, ErrVerifier, KernelRelease(), verifier)
	default:
		return fmt.Errorf("load the %s: %w", what, err)
	}
}

// KernelRelease is the running kernel's release, as uname -r prints it.
func KernelRelease() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Release[:])
}

func kernelTooOld() bool {
	return releaseBefore(KernelRelease(), MinKernel)
}

// releaseBefore compares the first two numbers of kernel releases. What
// cannot be read is not before anything.
func releaseBefore(release, least string) bool {
	var a, b, x, y int
	if n, _ := fmt.Sscanf(release, "%d.%d", &a, &b); n < 2 {
		return false
	}
	if n, _ := fmt.Sscanf(least, "%d.%d", &x, &y); n < 2 {
		return false
	}
	return a < x || a == x && b < y
}
