// SPDX-License-Identifier: Apache-2.0

package sweep_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"xsweep/internal/lab"
	"xsweep/internal/lab/labtest"
	"xsweep/sweep"
	"xsweep/sweep/pace"
	"xsweep/sweep/probe"
	"xsweep/sweep/sink"
	"xsweep/sweep/where"
)

// The hosts of a prefix, as they answer.
func ExampleRecords() {
	ctx := context.Background()
	targets, err := sweep.ParseTargets(ctx, "198.18.7.0/29")
	if err != nil {
		log.Fatal(err)
	}
	var live []string
	for record, err := range sweep.Records(ctx, sweep.Config{Targets: targets, Cooldown: time.Second}) {
		if err != nil {
			log.Fatal(err)
		}
		live = append(live, record.Addr.String())
	}
	slices.Sort(live)
	fmt.Println(len(live), "live, from", live[0], "to", live[len(live)-1])
	// prints: 8 live, from 198.18.7.0 to 198.18.7.7
}

// Two kinds of probes, an expression, a file and an account.
func ExampleRun() {
	ctx := context.Background()
	targets, err := sweep.ParseTargets(ctx, "198.18.7.0/24")
	if err != nil {
		log.Fatal(err)
	}
	filter, err := where.Compile(`addr in "198.18.7.0/25" && ttl > 0`)
	if err != nil {
		log.Fatal(err)
	}
	file, err := sink.Open(sink.Config{Path: "live.csv", Format: sink.CSV}, nil)
	if err != nil {
		log.Fatal(err)
	}
	summary, err := sweep.Run(ctx, sweep.Config{
		Targets: targets, Rate: pace.Rate(5000), Kinds: []probe.Kind{probe.Echo, probe.Timestamp},
		ProbeInterval: 10 * time.Millisecond, Cooldown: time.Second, Where: filter, Backpressure: true,
	}, file)
	if err != nil {
		log.Fatal(err)
	}
	out := summary.Records.Sinks[0]
	fmt.Println(summary.Probes.Accepted, "probes,", summary.Targets.Answered, "answered,", out.Written, "written,", out.Filtered, "left out")
	// prints: 512 probes, 256 answered, 128 written, 128 left out
}

// A sweep that goes on where it stood when the program is started again.
func ExampleOpenCheckpoint() {
	ctx := context.Background()
	targets, err := sweep.ParseTargets(ctx, "198.18.7.0/24")
	if err != nil {
		log.Fatal(err)
	}
	ck, err := sweep.OpenCheckpoint("sweep.ckpt")
	if err != nil {
		log.Fatal(err)
	}
	defer ck.Close()
	out, err := sink.Open(sink.Config{Path: "sweep.csv", Format: sink.CSV, Checkpointed: true}, ck.Mark("sweep.csv"))
	if err != nil {
		log.Fatal(err)
	}
	c := sweep.Config{Targets: targets, Seed: 42, Cooldown: time.Second, Checkpoint: ck}
	if _, err := sweep.Run(ctx, c, out); err != nil {
		log.Fatal(err)
	}
	summary, complete := ck.Complete()
	fmt.Println(summary.Targets.Answered, "answered; complete:", complete)
	// prints: 256 answered; complete: true
}

// What a sweep will do, without a device or a privilege.
func ExampleNewPlan() {
	targets, err := sweep.ParseTargets(context.Background(), "192.0.2.0/30")
	if err != nil {
		log.Fatal(err)
	}
	plan, err := sweep.NewPlan(sweep.Config{Targets: targets, Seed: 1})
	if err != nil {
		log.Fatal(err)
	}
	for addr := range plan.All() {
		fmt.Println(addr)
	}
	// Unordered output:
	// 192.0.2.0
	// 192.0.2.1
	// 192.0.2.2
	// 192.0.2.3
}

// The examples that sweep do in a lab what they say.
func TestExamples(t *testing.T) {
	labtest.Kernel(t)
	l, err := lab.Start(lab.Config{Responder: lab.Kernel, InPlace: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Chdir(t.TempDir())
	for _, tc := range []struct {
		name    string
		example func()
		want    string
	}{
		{"Records", ExampleRecords, "8 live, from 198.18.7.0 to 198.18.7.7"},
		{"Run", ExampleRun, "512 probes, 256 answered, 128 written, 128 left out"},
		{"OpenCheckpoint", ExampleOpenCheckpoint, "256 answered; complete: true"},
		{"OpenCheckpoint again", ExampleOpenCheckpoint, "256 answered; complete: true"},
	} {
		if got := printed(t, tc.example); got != tc.want {
			t.Errorf("%s prints %q, not %q", tc.name, got, tc.want)
		}
	}
}

// printed is what a function writes to standard output.
func printed(t *testing.T, f func()) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout := os.Stdout
	os.Stdout = w
	f()
	os.Stdout = stdout
	w.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	return strings.TrimSpace(string(text))
}
