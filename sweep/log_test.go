// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"slices"
	"testing"

	"xsweep/internal/lab"
	"xsweep/internal/lab/labtest"
)

// A log that asks for everything gets each phase's begin and end in turn, and
// what was decided with its attributes in words.
func TestLog(t *testing.T) {
	labtest.Kernel(t)
	startLab(t, lab.Config{})
	var text bytes.Buffer
	runSweep(t, Config{
		Targets: named(t, "198.18.0.2-198.18.0.6"),
		Log:     slog.New(slog.NewJSONHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	var phases []string
	said := map[string]map[string]any{}
	for d := json.NewDecoder(&text); d.More(); {
		var line map[string]any
		if err := d.Decode(&line); err != nil {
			t.Fatal(err)
		}
		message := line["msg"].(string)
		said[message] = line
		if message == "phase begins" || message == "phase ends" {
			phases = append(phases, message+": "+line["phase"].(string))
		}
	}
	want := []string{
		"phase begins: preparing", "phase ends: preparing", "phase begins: sending", "phase ends: sending",
		"phase begins: cooldown", "phase ends: cooldown", "phase begins: done",
	}
	if !slices.Equal(phases, want) {
		t.Errorf("phases %q, want %q", phases, want)
	}
	for _, attribute := range []struct{ message, key, level, want string }{
		{"route", "interface", "DEBUG", lab.SenderDevice},
		{"route", "method", "DEBUG", "packet"},
		{"interface lab0, source 198.18.0.1", "source", "INFO", "198.18.0.1"},
		{"reply filter: native mode", "mode", "INFO", "native"},
		{"transmitter packet, 1 thread: any device takes 100k packets a second", "transmitter", "INFO", "packet"},
	} {
		line := said[attribute.message]
		if line[attribute.key] != attribute.want || line["level"] != attribute.level {
			t.Errorf("%q says %v, want %s %q at %s", attribute.message, line, attribute.key, attribute.want, attribute.level)
		}
	}
}
