// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"xsweep/internal/lab"
	"xsweep/sweep"
	"xsweep/sweep/probe"
)

// kinds measures whether a probe of another kind costs the sending more than an
// echo request with as much data.
func (b *bench) kinds() ([]row, error) {
	ways := []sweep.Tx{sweep.TxPacket, sweep.TxRaw, sweep.TxXDP}
	others := []probe.Kind{probe.Timestamp, probe.Mask}
	echo, other := map[sweep.Tx][]series{}, map[sweep.Tx][]series{}
	for _, tx := range ways {
		echo[tx], other[tx] = make([]series, len(others)), make([]series, len(others))
	}
	err := inLab(lab.Config{Responder: lab.Sink}, func(*lab.Lab) error {
		for range sendRounds {
			for _, tx := range ways {
				for k, kind := range others {
					for _, m := range []struct {
						to     *series
						config sweep.Config
					}{
						{&echo[tx][k], sweep.Config{Tx: tx, Size: kind.DataLen(0)}},
						{&other[tx][k], sweep.Config{Tx: tx, Kinds: []probe.Kind{kind}}},
					} {
						m.config.Threads = 1
						if err := b.appendRate(m.to, kindRange(tx), m.config); err != nil {
							return err
						}
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var rows []row
	for _, tx := range ways {
		for k, kind := range others {
			rows = append(rows, newRow(fmt.Sprintf("%s, %s requests", tx, kind), perSecond, other[tx][k]).
				against(fmt.Sprintf("echo, %d bytes of data", kind.DataLen(0)), echo[tx][k]).ratioAtLeast(0.9, 1))
		}
	}
	return rows, nil
}

// kindRange is what a transmitter sends to in some tenths of a second.
func kindRange(tx sweep.Tx) string {
	if tx == sweep.TxXDP {
		return range1M
	}
	return range131k
}
