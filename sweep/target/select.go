// SPDX-License-Identifier: Apache-2.0

package target

// Selection is what remains of targets once exclusions and special-purpose
// ranges are gone. Its counts are of distinct addresses, however many targets
// name them, and Named = Set.Len() + Excluded + Special always.
type Selection struct {
	// Set is the addresses to probe.
	Set Set
	// Named is the number of addresses that targets name.
	Named uint64
	// Excluded is the number of addresses left out only because an exclusion
	// names them.
	Excluded uint64
	// Special is the number of addresses left out because they are special in
	// every target that names them, whether or not they are excluded as well.
	Special uint64
}

// Select applies the rule for special-purpose ranges, then the exclusions.
//
// A target keeps an address unless a range of [Special] contains the address
// but not the whole target: who asks for 0.0.0.0/0 does not mean 10.0.0.0/8,
// who asks for 10.0.0.0/24 does. The smallest range is no different from the
// others: 240.0.0.0/4 lies inside the reserved block and is kept, except
// for 255.255.255.255, which is a special range of its own within that target;
// 255.255.255.255 alone is kept. An address that several targets name is kept
// if any of them keeps it.
//
// Exclusions outrank everything, single addresses too. An address both special
// and excluded counts as excluded if some target would have kept it, else as
// special; so the Special count does not depend on exclude.
func Select(targets []Target, exclude Set) Selection {
	pieces := make([]Range, 0, len(targets))
	for _, t := range targets {
		pieces = appendKept(pieces, t.Range)
	}
	kept := NewSet(pieces...)
	s := Selection{
		Set:   kept.Subtract(exclude),
		Named: SetOf(targets).Len(),
	}
	s.Special = s.Named - kept.Len()
	s.Excluded = kept.Len() - s.Set.Len()
	return s
}

// appendKept appends what a target that names r keeps.
func appendKept(to []Range, r Range) []Range {
	if r.First == r.Last { // every special range it meets contains it whole
		return append(to, r)
	}
	var skipped []Range
	for _, s := range Special {
		if s.Range.intersect(r).Len() > 0 && !s.Range.covers(r) {
			skipped = append(skipped, s.Range)
		}
	}
	if skipped == nil {
		return append(to, r)
	}
	return append(to, NewSet(r).Subtract(NewSet(skipped...)).Ranges()...)
}
