// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"time"

	"xsweep/internal/lab"
	hostbench "xsweep/sweep/bench"
)

// hostLong is how long the count of every probe must hold.
const hostLong = time.Minute

// hostAccount sends a rate for a minute and counts on both ends.
func (b *bench) hostAccount(rate uint64) (rows []row, err error) {
	err = inLab(allLive, func(l *lab.Lab) error {
		s, err := b.openHost(hostbench.Config{MaxRate: rate, Drain: hostbench.DefaultDrain, Tx: hostbench.TxXDP})
		if err != nil {
			return err
		}
		t, missing, err := b.accounted(l, s, hostbench.Load{Rate: rate, Duration: hostLong})
		rows = hostAccountRows(t, missing)
		return errors.Join(err, s.Close())
	})
	return rows, err
}

// hostAccountRows makes the rows of one long trial.
func hostAccountRows(t hostbench.Trial, missing float64) []row {
	const name = "60 s at half of the rate of 1 thread: "
	return []row{
		newRow(name+"sent", perSecond, series{t.RateSent}),
		newRow(name+"sent, in all", "", series{float64(t.Sent)}),
		newRow(name+"probes not accounted for", "", series{missing}).atMost(0, 0),
		newRow(name+"answers that the window had passed", "", series{float64(t.Verdicts["overtaken"])}).atMost(0, 0),
		newRow(name+"probes lost", "", series{float64(t.Lost)}),
		newRow(name+"rate off by", "%", series{100 * t.Generator.PacingError}),
	}
}
