// SPDX-License-Identifier: Apache-2.0

package transmit

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"xsweep/internal/testrand"
	"xsweep/sweep/pace"
)

// fate is what the fake kernel says to one frame: some failures that pass,
// and then, unless it is 0, one that does not.
type fate struct {
	passing []unix.Errno
	final   unix.Errno
	tries   int
}

// Random fates against a model that knows what must become of each frame:
// sent once and in order, or refused once with the errno that it ended with.
func TestRandomOutcomes(t *testing.T) {
	r := testrand.New(t)
	passing := []unix.Errno{unix.EINTR, unix.EAGAIN, unix.ENOBUFS}
	refusing := []unix.Errno{unix.EPERM, unix.EHOSTUNREACH, unix.EMSGSIZE, unix.EINVAL, unix.ENETUNREACH}
	ending := []unix.Errno{unix.ENETDOWN, unix.ENXIO, unix.ENODEV}
	for round := range 150 {
		m, k := newFake(t, pace.Max)
		n := 1 + r.IntN(5*pace.Burst)
		fates := make([]fate, n)
		want := Counts{}
		var sent []uint64
		wantHanded, wantErr := n, error(nil)
		for i := range fates {
			f := &fates[i]
			if r.IntN(10) == 0 {
				for range 1 + r.IntN(3) {
					errno := passing[r.IntN(len(passing))]
					f.passing = append(f.passing, errno)
				}
			}
			switch p := r.IntN(400); {
			case p == 0 && round%3 == 0:
				f.final = ending[r.IntN(len(ending))]
			case p < 20:
				f.final = refusing[r.IntN(len(refusing))]
			}
			if wantErr != nil {
				continue // behind the end
			}
			for _, errno := range f.passing {
				if errno != unix.EINTR {
					want.Retries++
				}
			}
			switch {
			case f.final == 0:
				want.Accepted++
				sent = append(sent, uint64(i))
			default:
				if want.Refused == nil {
					want.Refused = map[unix.Errno]uint64{}
				}
				want.Refused[f.final]++
				for _, errno := range ending {
					if f.final == errno {
						wantHanded, wantErr = i+1, ErrDevice
					}
				}
			}
		}
		first := uint64(0) // of the call
		k.entered = func(p payload) { first = p.index }
		k.fail = func(index uint64) unix.Errno {
			if k.most = 0; r.IntN(3) == 0 {
				k.most = 1 + r.IntN(pace.Burst)
			}
			f := &fates[index]
			switch {
			case f.tries < len(f.passing):
				if index == first { // otherwise nobody hears of it
					f.tries++
					return f.passing[f.tries-1]
				}
				return f.passing[f.tries]
			default:
				return f.final
			}
		}
		var handed int
		var err error
		for handed < n && err == nil {
			most := min(1+r.IntN(2*pace.Burst), n-handed)
			var now int
			now, err = m.Send(numbered(handed, most))
			handed += now
			if now < most && err == nil {
				t.Fatalf("round %d: %d of %d handed, without an error", round, now, most)
			}
		}
		if handed != wantHanded || !errors.Is(err, wantErr) {
			t.Fatalf("round %d: %d of %d handed, %v; want %d, %v", round, handed, n, err, wantHanded, wantErr)
		}
		if diff := cmp.Diff(want, m.Counts()); diff != "" {
			t.Fatalf("round %d: counts (-want +got):\n%s", round, diff)
		}
		if diff := cmp.Diff(append([]uint64{}, sent...), k.indexes()); diff != "" {
			t.Fatalf("round %d: frames (-want +got):\n%s", round, diff)
		}
		handedExactly(t, m, handed)
		ordered(t, k)
	}
}

// Accounts add up, errno by errno.
func TestAddCounts(t *testing.T) {
	var sum Counts
	sum.Add(Counts{Accepted: 3, Retries: 1})
	sum.Add(Counts{Accepted: 4, Stalls: 2, Refused: map[unix.Errno]uint64{unix.EPERM: 5, unix.EINVAL: 1}})
	sum.Add(Counts{Retries: 6, Refused: map[unix.Errno]uint64{unix.EPERM: 2}})
	want := Counts{Accepted: 7, Retries: 7, Stalls: 2, Refused: map[unix.Errno]uint64{unix.EPERM: 7, unix.EINVAL: 1}}
	if diff := cmp.Diff(want, sum); diff != "" {
		t.Errorf("sum (-want +got):\n%s", diff)
	}
}
