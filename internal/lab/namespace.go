// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// onThread runs f on a thread of its own, which ends with it, so that f may
// change the thread's namespace and need not change it back.
//
// The thread is never the first of the process, whose namespaces are those
// that /proc/self shows to everybody, and which cannot end.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			// While this goroutine holds the first thread, another one must
			// run on another thread.
			done <- onThread(f)
			runtime.UnlockOSThread()
			return
		}
		done <- f()
		// Not unlocked: the runtime ends a thread whose goroutine ends so.
	}()
	return <-done
}

// newNamespace makes a network namespace that lives as long as the returned
// handle is open or anything is in it.
func newNamespace() (netns.NsHandle, error) {
	ns := netns.None()
	err := onThread(func() (err error) {
		if err = unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		ns, err = netns.Get()
		return err
	})
	if err != nil {
		return netns.None(), fmt.Errorf("make a network namespace: %w", err)
	}
	return ns, nil
}

// inNamespace runs f on a thread that is in ns and ends afterwards.
func inNamespace(ns netns.NsHandle, f func() error) error {
	return onThread(func() error {
		if err := netns.Set(ns); err != nil {
			return fmt.Errorf("enter the lab's network namespace: %w", err)
		}
		return f()
	})
}

// currentNamespace opens the caller's namespace, which must not be the
// machine's.
func currentNamespace() (netns.NsHandle, error) {
	ns, err := netns.Get()
	if err != nil {
		return netns.None(), fmt.Errorf("open the caller's network namespace: %w", err)
	}
	if machine, err := netns.GetFromPath("/proc/1/ns/net"); err == nil {
		defer machine.Close()
		if machine.Equal(ns) {
			ns.Close()
			return netns.None(), errors.New("make a lab in place: this is the network namespace of the machine itself: call it in a namespace of its own")
		}
	}
	return ns, nil
}

// setting is one file below /proc/sys/net, seen from the thread's namespace.
type setting struct {
	name, value string
	// optional settings are those that not every kernel has.
	optional bool
}

// apply writes the settings that have another value, so that a read-only
// /proc/sys does no harm where all is well already.
func apply(settings []setting) error {
	for _, s := range settings {
		path := "/proc/sys/net/" + s.name
		old, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) && s.optional {
			continue
		}
		if err == nil && strings.TrimSpace(string(old)) == s.value {
			continue
		}
		if err == nil {
			err = os.WriteFile(path, []byte(s.value), 0)
		}
		if err != nil {
			return fmt.Errorf("set %s to %s: %w", s.name, s.value, err)
		}
	}
	return nil
}
