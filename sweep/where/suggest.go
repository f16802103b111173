// SPDX-License-Identifier: Apache-2.0

package where

// nearest is the word of from that is written most like word; ok is false if
// none is like it.
func nearest(word string, from []string) (near string, ok bool) {
	best := len(word)/3 + 2
	for _, candidate := range from {
		if d := distance(word, candidate); d < best {
			best, near = d, candidate
		}
	}
	return near, near != ""
}

// distance is that of Levenshtein, in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		left, corner := i+1, i
		for j := range len(b) {
			cost := corner
			if a[i] != b[j] {
				cost = 1 + min(corner, row[j+1], left)
			}
			corner, row[j], left = row[j+1], left, cost
		}
		row[len(b)] = left
	}
	return row[len(b)]
}
