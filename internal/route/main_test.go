// SPDX-License-Identifier: Apache-2.0

package route

import (
	"testing"

	"xsweep/internal/lab/labtest"
)

func TestMain(m *testing.M) { labtest.Main(m) }
