// SPDX-License-Identifier: Apache-2.0

package where

import "testing"

// typical are expressions as a user writes them.
var typical = []struct{ name, text string }{
	{"one", `rtt < 5ms`},
	{"kind", `kind == "echo-reply"`},
	{"prefix", `addr in "192.0.2.0/24"`},
	{"prefixes", `addr in ["192.0.2.0/26", "198.51.100.7", "10.0.0.1-10.0.0.9", "203.0.113.0/24"]`},
	{"three", `kind == "echo-reply" and rtt < 5ms and addr in "192.0.2.0/24"`},
	{"arithmetic", `rtt * 2 < 10ms and time - date("2026-11-25") > 1h and ttl + hops == 64`},
	{"regexp", `kind matches "^echo"`},
	{"now", `time < now() - 1h`},
	{"ten", `not duplicate and attempt == 1 and type == 0 and code == 0 and ttl > 32 and hops < 20 and os == "unix" and size == 28 and addr == from and rtt in 1ms..5ms`},
}

func BenchmarkMatch(b *testing.B) {
	for _, bench := range typical {
		b.Run(bench.name, func(b *testing.B) {
			f := compiled(b, bench.text)
			r := records["reply"]
			b.ReportAllocs()
			for b.Loop() {
				if _, err := f.Match(&r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		compiled(b, typical[4].text)
	}
}

// Without extensions, whose text is made for the match, nothing is allocated.
func TestMatchAllocatesNothing(t *testing.T) {
	for _, bench := range typical {
		f := compiled(t, bench.text)
		for _, name := range []string{"reply", "bare", "redirect", "error"} {
			r := records[name]
			if n := testing.AllocsPerRun(100, func() { _, _ = f.Match(&r) }); n != 0 {
				t.Errorf("%s: %v allocations for %s", bench.text, n, name)
			}
		}
	}
}
