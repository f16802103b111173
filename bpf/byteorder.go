// SPDX-License-Identifier: Apache-2.0

//go:build !(386 || amd64 || arm || arm64 || loong64 || mips64le || mipsle || ppc64le || riscv64 || wasm)

package bpf

// The programs and the wire format are little-endian. This undefined name is
// the build error of every other machine.
var _ = xsweep_supports_little_endian_machines_only
