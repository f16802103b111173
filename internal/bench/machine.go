// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

// machine is what the figures belong to.
type machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"` // that this process may use
	Kernel string `json:"kernel"`
	Arch   string `json:"arch"`
	Go     string `json:"go"`
	Clang  string `json:"clang"` // that made the programs in the kernel
}

func (m machine) String() string {
	return fmt.Sprintf("%s, %d cores, Linux %s %s, %s, objects of clang %s", m.CPU, m.Cores, m.Kernel, m.Arch, m.Go, m.Clang)
}

func describeMachine() (machine, error) {
	m := machine{CPU: "unknown CPU", Cores: runtime.NumCPU(), Arch: runtime.GOARCH, Go: runtime.Version()}
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return machine{}, fmt.Errorf("ask for the kernel's version: %w", err)
	}
	m.Kernel = unix.ByteSliceToString(name.Release[:])
	// Not every architecture has a model there, so it may be unknown.
	if file, err := os.Open("/proc/cpuinfo"); err == nil {
		defer file.Close()
		if model := cpuModel(file); model != "" {
			m.CPU = model
		}
	}
	var err error
	m.Clang, err = objectCompiler()
	return m, err
}

// objectCompiler is the version of clang that made the committed objects.
func objectCompiler() (string, error) {
	spec, err := loadLive()
	if err != nil {
		return "", err
	}
	var version [3]uint32
	if err := spec.Variables[liveVarCompiler].Get(&version); err != nil {
		return "", fmt.Errorf("ask what compiler made the objects: %w", err)
	}
	return fmt.Sprintf("%d.%d.%d", version[0], version[1], version[2]), nil
}

// commit is what this program was built from.
func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	revision, changed := "unknown", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value[:min(len(s.Value), 12)]
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = ", with changes"
		}
	}
	return revision + changed
}

// cpuModel finds the first model name in the form of /proc/cpuinfo.
func cpuModel(cpuinfo io.Reader) string {
	lines := bufio.NewScanner(cpuinfo)
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), ":")
		if strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
