// SPDX-License-Identifier: Apache-2.0

// Package suggest finds what somebody meant who mistyped a name.
package suggest

import "strings"

// Nearest is the one of from that word was probably meant to be, and false
// where none is near enough to be worth saying. Capitals do not matter. Near is
// what differs in a third of its letters at most (one of three), or is what the
// other one begins with ("ad" and "address" for "addr"). Of several that are
// equally near it is the one that begins most alike, for the first letters are
// seldom wrong, and of those the first.
func Nearest(word string, from []string) (string, bool) {
	given := []rune(strings.ToLower(word))
	best, found, least, alike := "", false, 0, 0
	for _, name := range from {
		candidate := []rune(strings.ToLower(name))
		d := distance(given, candidate)
		if d > max(len(given), len(candidate))/3 && !begins(given, candidate) {
			continue
		}
		same := shared(given, candidate)
		if !found || d < least || d == least && same > alike {
			best, found, least, alike = name, true, d, same
		}
	}
	return best, found
}

// begins says whether one begins with all of the other, if that has two letters
// at least: one says nothing.
func begins(a, b []rune) bool {
	least := min(len(a), len(b))
	return least >= 2 && shared(a, b) == least
}

// shared is how many letters both begin with.
func shared(a, b []rune) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

// distance is how many letters have to be put in, taken out, replaced, or
// exchanged with their neighbour to make b of a (Levenshtein's, with the
// exchanges of Damerau; no part is changed twice).
func distance(a, b []rune) int {
	// Rows of the table of distances between all beginnings: two, one and no
	// letters of a ago.
	before, above, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range a {
		before, above, row = above, row, before
		row[0] = i + 1
		for j := range b {
			replaced := above[j]
			if a[i] != b[j] {
				replaced++
			}
			row[j+1] = min(replaced, above[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(b)]
}
