// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	browserlog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"xsweep/internal/lab/labtest"
)

// pageCheck looks at the page that is shown and lists what is wrong with it.
//
//go:embed testdata/page_check.js
var pageCheck string

// browser starts Chromium without a window. It ends with the test, all its
// processes and its profile as well.
func browser(t *testing.T) context.Context {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil && path == "" {
			path = found
		}
	}
	if path == "" {
		labtest.Lacking(t, "Chromium (on Debian: apt-get install chromium-headless-shell fonts-dejavu-core)")
	}
	home := t.TempDir()
	var process *exec.Cmd
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(path), chromedp.UserDataDir(filepath.Join(home, "profile")),
		// Root has no sandbox, nor do most containers; it only sees pages of its own.
		chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.NoInheritEnv, chromedp.Env("PATH="+os.Getenv("PATH"), "HOME="+home, "TMPDIR="+home, "LANG=C.UTF-8"),
		chromedp.ModifyCmdFunc(func(c *exec.Cmd) {
			c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
			process = c
		}),
	)
	ctx, cancelAll := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, _ = chromedp.NewContext(ctx)
	// The page is checked in less than a second: what takes longer hangs.
	bounded, cancel := context.WithTimeout(ctx, time.Minute)
	t.Cleanup(func() {
		cancel()
		if err := chromedp.Cancel(ctx); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("end the browser: %v", err)
		}
		if process != nil && process.Process != nil {
			// Its helpers as well, before the profile is removed.
			_ = syscall.Kill(-process.Process.Pid, syscall.SIGKILL)
		}
		cancelAll()
	})
	if err := chromedp.Do(ctx); err != nil { // under bounded the browser would end with it
		t.Fatalf("start %s: %v", path, err)
	}
	return bounded
}

// checkedPages are results of each kind, and how many charts their page has.
func checkedPages(t *testing.T) map[string]struct {
	result *Result
	charts int
} {
	t.Helper()
	text, err := os.ReadFile("testdata/search.json") // of a search in the lab
	if err != nil {
		t.Fatal(err)
	}
	real, err := ReadResult(text)
	if err != nil {
		t.Fatal(err)
	}
	hostile := searched(t)
	hostile.Command = append(hostile.Command, strings.Repeat("198.18.7.7,", 200))
	hostile.Interrupted, hostile.Error = true, strings.Repeat("x", 500)
	for i := range hostile.Trials {
		trial := &hostile.Trials[i]
		trial.Size = []int{20, 1472}[i%2]
		trial.RateOffered *= 12_345
		trial.Targets = nil
		for n := range 60 {
			trial.Targets = append(trial.Targets, TargetResult{Addr: netip.AddrFrom4([4]byte{198, 18, 200, byte(100 + n)}), Sent: 1e9, Answered: 1e9 - 1})
		}
		trial.Generator.Refused = map[string]uint64{"ENOBUFS": 123_456_789, "EPERM": 1}
	}
	hostile.NDR = []Throughput{{Size: 20, Lower: 1_234_567_890, Upper: 1_240_000_000}}
	hostile.PDR = []Throughput{{Size: 20, Goal: 0.001, Lower: 1_234_567_890, Upper: 1_240_000_000}, {Size: 20, Goal: 0.005, Lower: 1_239_000_000, Upper: 1_241_000_000}}
	hostile.Conclude()
	return map[string]struct {
		result *Result
		charts int
	}{
		"search in the lab": {real, 5},
		"simulated search":  {searched(t), 7},
		"hostile":           {hostile, 10},
		"nothing":           {&Result{Verdict: "no trial was run"}, 0},
	}
}

// In a browser the page reads well, on narrow and wide screens, by light and by
// dark, and on paper: charts are laid out, no text lies on another or outside of its
// chart, nothing is wider than the screen, all text stands out, and the verdict is
// at the top. Nothing is fetched but the page, and nothing complains.
func TestPageInBrowser(t *testing.T) {
	ctx := browser(t)
	seen := &sightings{}
	if err := chromedp.Listen(ctx, seen.note); err != nil {
		t.Fatal(err)
	}
	screens := []struct {
		name, media, scheme string
		width, height       int64
	}{
		{"wide", "screen", "light", 1280, 900}, {"wide and dark", "screen", "dark", 1280, 900},
		{"narrow", "screen", "light", 390, 844}, {"narrow and dark", "screen", "dark", 390, 844},
		{"between", "screen", "light", 660, 900}, {"printed", "print", "light", 760, 1000},
	}
	for name, c := range checkedPages(t) {
		var text bytes.Buffer
		if err := c.result.WritePage(&text); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "page.html")
		if err := os.WriteFile(path, text.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		seen.take()
		if err := chromedp.Do(ctx, chromedp.Navigate("file://"+path)); err != nil {
			t.Fatal(err)
		}
		for _, screen := range screens {
			if _, err := chromedp.Call(ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
				Width: screen.width, Height: screen.height, DeviceScaleFactor: 1,
			}); err != nil {
				t.Fatal(err)
			}
			if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Media: screen.media, Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: screen.scheme}},
			}); err != nil {
				t.Fatal(err)
			}
			found, err := chromedp.Run(ctx, chromedp.Evaluate[pageFindings](fmt.Sprintf("(%s)(%q, %t)", pageCheck, screen.scheme, screen.media == "print")))
			if err != nil {
				t.Fatalf("%s, %s: %v", name, screen.name, err)
			}
			if found.Charts != c.charts || found.Dots == 0 && c.charts > 0 {
				t.Errorf("%s, %s: %d charts, want %d; %d dots", name, screen.name, found.Charts, c.charts, found.Dots)
			}
			for _, bad := range found.Bad[:min(len(found.Bad), 5)] {
				t.Errorf("%s, %s: %s", name, screen.name, bad)
			}
		}
		requests, complaints := seen.take()
		if len(requests) != 1 || requests[0] != "file://"+path {
			t.Errorf("%s: asks for %q", name, requests)
		}
		for _, complaint := range complaints {
			t.Errorf("%s: %s", name, complaint)
		}
	}
}

// pageFindings are what pageCheck returns.
type pageFindings struct {
	Charts, Dots int // that are shown
	Bad          []string
}

// sightings are what a page asked for, and what was complained about.
type sightings struct {
	mu         sync.Mutex
	requests   []string
	complaints []string
}

func (s *sightings) note(event any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		s.requests = append(s.requests, e.Request.URL)
	case *runtime.EventConsoleAPICalled:
		s.complaints = append(s.complaints, fmt.Sprintf("console: %s %v", e.Type, e.Args))
	case *runtime.EventExceptionThrown:
		s.complaints = append(s.complaints, e.ExceptionDetails.Text)
	case *browserlog.EventEntryAdded:
		s.complaints = append(s.complaints, e.Entry.Text)
	}
}

// take returns what there was since the last time.
func (s *sightings) take() (requests, complaints []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	requests, complaints = s.requests, s.complaints
	s.requests, s.complaints = nil, nil
	return requests, complaints
}
