// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"syscall"
	"testing"
	"time"

	"xsweep/internal/lab/labtest"
	"xsweep/loader"
)

// attachAndWait is a helper: it attaches a filter, prints the mode, and waits
// until its standard input ends or somebody kills it.
func attachAndWait() error {
	f, err := loader.LoadReply(defaultConfig())
	if err != nil {
		return err
	}
	d, err := net.InterfaceByName(os.Getenv(deviceEnv))
	if err != nil {
		return err
	}
	mode, err := loader.ParseXDPMode(os.Getenv("XSWEEP_LOADER_MODE"))
	if err != nil {
		return err
	}
	if mode, err = f.Attach(d.Name, d.Index, mode); err != nil {
		return err
	}
	fmt.Println(mode)
	_, err = io.Copy(io.Discard, os.Stdin)
	return err // without Close: leaving must be enough
}

// However the process ends, no program stays on the device.
func TestNothingStaysAfterTheProcess(t *testing.T) {
	for _, mode := range []loader.XDPMode{loader.Native, loader.Generic} {
		for _, signal := range []os.Signal{nil, syscall.SIGTERM, syscall.SIGKILL} {
			t.Run(fmt.Sprintf("%v, %v", mode, signal), func(t *testing.T) {
				d, _ := vethPair(t)
				cmd := exec.Command("/proc/self/exe")
				cmd.Env = append(os.Environ(), helperEnv+"=attach", deviceEnv+"="+d.name, "XSWEEP_LOADER_MODE="+mode.String())
				cmd.Stderr = os.Stderr
				input, err := cmd.StdinPipe()
				if err != nil {
					t.Fatal(err)
				}
				output, err := cmd.StdoutPipe()
				if err != nil {
					t.Fatal(err)
				}
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				line, err := bufio.NewReader(output).ReadString('\n')
				if err != nil || line != mode.String()+"\n" {
					t.Errorf("the helper says %q: %v", line, err)
				}
				if got, _, ok := attached(t, d); !ok || got != mode {
					t.Errorf("attached: %t, in %v mode", ok, got)
				}
				if signal == nil {
					input.Close()
				} else if err := cmd.Process.Signal(signal); err != nil {
					t.Error(err)
				}
				if err := cmd.Wait(); (err == nil) != (signal == nil) {
					t.Errorf("the helper ended with %v", err)
				}
				// The kernel may finish the process's last file a moment later.
				for start := time.Now(); ; runtime.Gosched() {
					_, id, ok := attached(t, d)
					if !ok {
						break
					}
					if time.Since(start) > patience {
						t.Fatalf("program %d stays on the device", id)
					}
				}
			})
		}
	}
}

// Close takes the program off the device and gives back all descriptors and
// goroutines; so does every way to fail.
func TestCloseLeavesNothing(t *testing.T) {
	labtest.Kernel(t)
	taken, _ := vethPair(t)
	lo := loopback(t)
	round := func() {
		f, err := loader.LoadReply(defaultConfig())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Attach(taken.name, taken.index, loader.Auto); err != nil {
			t.Fatal(err)
		}
		g, err := loader.LoadReply(defaultConfig())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := g.Attach(taken.name, taken.index, loader.Auto); err == nil {
			t.Fatal("two programs on one device")
		}
		if _, err := g.Attach(lo.name, lo.index, loader.Native); err == nil {
			t.Fatal("a native program on lo")
		}
		if _, err := g.Stats(); err != nil {
			t.Fatal(err)
		}
		if _, err := g.Attach(lo.name, lo.index, loader.Auto); err != nil {
			t.Fatal(err)
		}
		for _, r := range []*loader.Reply{f, g} {
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
		for _, d := range []device{taken, lo} {
			if _, id, ok := attached(t, d); ok {
				t.Errorf("%s: program %d is there after Close", d.name, id)
			}
		}
		bad := defaultConfig()
		bad.Attempts = 0
		if _, err := loader.LoadReply(bad); err == nil {
			t.Fatal("no attempts")
		}
	}
	round() // the first opens what the process keeps
	// The garbage collector closes what Close forgot: it must not hide that.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	runtime.GC()
	files, goroutines := descriptors(t), runtime.NumGoroutine()
	for range 3 {
		round()
	}
	if now := descriptors(t); now != files {
		t.Errorf("%d descriptors before, %d after", files, now)
	}
	if now := runtime.NumGoroutine(); now > goroutines {
		t.Errorf("%d goroutines before, %d after", goroutines, now)
	}
}

// descriptors counts the files that this process has open.
func descriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// Close on a filter that never had a device, and once more.
func TestCloseTwice(t *testing.T) {
	labtest.Kernel(t)
	f, err := loader.LoadReply(defaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}
