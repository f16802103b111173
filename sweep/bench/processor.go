// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"os"
	"runtime"
	"strings"
)

// processor is the model of this machine's CPUs, and how many there are. Where
// the kernel does not name it, the architecture has to do.
func processor() (model string, n int) {
	model, n = runtime.GOARCH, runtime.NumCPU()
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return model, n
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value), n
		}
	}
	return model, n
}
