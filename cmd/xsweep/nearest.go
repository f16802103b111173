// SPDX-License-Identifier: Apache-2.0

package main

// nearest is the word of a list that takes the fewest changes of a letter to
// get to, if that is at most a third of the letters and one.
func nearest(word string, from []string) (string, bool) {
	best, least := "", len(word)/3+2
	for _, candidate := range from {
		if d := distance(word, candidate); d < least {
			best, least = candidate, d
		}
	}
	return best, best != ""
}

// distance is the number of letters to insert, delete or replace (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0]++
		for j := range len(b) {
			change := corner
			if a[i] != b[j] {
				change++
			}
			corner = row[j+1]
			row[j+1] = min(change, row[j]+1, corner+1)
		}
	}
	return row[len(b)]
}
