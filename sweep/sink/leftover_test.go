// SPDX-License-Identifier: Apache-2.0

package sink

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A sweep that was killed before its first checkpoint leaves an empty file, which
// keeps nobody from the same command again. Any other does.
func TestEmptyLeftover(t *testing.T) {
	for _, tc := range []struct {
		content      string
		checkpointed bool
		published    bool
		want         string
	}{
		{"", true, false, ""},
		{"", false, false, "is left over"},
		{"x", true, false, "is left over"},
		{"", true, true, "exists"},
	} {
		path := filepath.Join(t.TempDir(), "live.csv")
		must(t, os.WriteFile(path+".partial", []byte(tc.content), 0o600))
		if tc.published {
			must(t, os.WriteFile(path, nil, 0o600))
		}
		c := Config{Path: path, Format: CSV, Checkpointed: tc.checkpointed}
		f, err := Open(c, nil)
		if tc.want != "" {
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%+v: error %v", tc, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%+v: %v", tc, err)
			continue
		}
		if _, err := Open(c, nil); err == nil || !strings.Contains(err.Error(), "another sweep") {
			t.Errorf("while it is written to: %v", err)
		}
		Discard(f)
	}
}
