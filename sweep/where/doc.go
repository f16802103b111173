// SPDX-License-Identifier: Apache-2.0

// Package where selects records by an expression over their columns:
//
//	kind == "echo-reply" and rtt < 5ms and addr in "192.0.2.0/24"
//
// docs/where.md describes the language. Its grammar is that of
// github.com/expr-lang/expr, whose parser reads it. Types and evaluation are
// this package's own: to the library a duration is an integer, an address is
// nothing, and an unknown value is a nil that compares. Columns here have the
// types of the field, a constant is read once, and what is unknown compares
// with nothing.
//
// A checked expression becomes closures, one a node of the syntax tree. Each is
// called once a match at most, so a match takes time in proportion to the text,
// which is bounded. Only strings that are made for it take memory: those of
// extensions, and those that the expression puts together.
package where
