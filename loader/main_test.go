// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"fmt"
	"os"
	"testing"

	"xsweep/internal/lab/labtest"
)

// helperEnv, when set, makes a copy of the test binary one of the helpers
// instead of a test run.
const helperEnv = "XSWEEP_LOADER_HELPER"

// helpers are what a copy of the test binary can do with other privileges, or
// until it is killed. Their standard output is their report.
var helpers = map[string]func() error{
	"privileges": reportPrivileges,
	"attach":     attachAndWait,
}

func TestMain(m *testing.M) {
	if name := os.Getenv(helperEnv); name != "" {
		helper, ok := helpers[name]
		if !ok {
			fmt.Fprintf(os.Stderr, "no helper %q\n", name)
			os.Exit(2)
		}
		if err := helper(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	labtest.Main(m)
}
