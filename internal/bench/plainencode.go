// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"time"

	"xsweep/sweep/reply"
	"xsweep/sweep/sink"
)

// plainEncoder is what one writes without a thought: the standard library's
// encoder, and behind it a buffer.
type plainEncoder interface {
	write(r *reply.Record) error
	flush() error
}

func newPlainEncoder(format string, w io.Writer) (plainEncoder, error) {
	switch format {
	case "csv":
		e := &plainCSV{w: csv.NewWriter(w)}
		return e, e.w.Write(sink.FieldNames())
	case "jsonl":
		buffer := bufio.NewWriter(w)
		return &plainJSON{buffer, json.NewEncoder(buffer)}, nil
	}
	return nil, fmt.Errorf("the standard library has no encoder for %s", format)
}

// encodePlainly writes a part of the samples in that way, and returns how many a
// second.
func (s *samples) encodePlainly(format, path string) (perSecond float64, err error) {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	e, err := newPlainEncoder(format, file)
	if err != nil {
		return 0, err
	}
	n := (s.count() + plainShare - 1) / plainShare
	var r reply.Record
	start := time.Now()
	for k := range n {
		if err := r.Decode(s.at(k), s.wallOffset); err != nil {
			return 0, err
		}
		if err := e.write(&r); err != nil {
			return 0, err
		}
	}
	if err := e.flush(); err != nil {
		return 0, err
	}
	return float64(n) / time.Since(start).Seconds(), nil
}

// plainColumns is a record with all columns. Extensions, masks and clocks are
// left out: the samples have none.
type plainColumns struct {
	Time        string      `json:"time"`
	Addr        netip.Addr  `json:"addr"`
	From        netip.Addr  `json:"from"`
	Kind        string      `json:"kind"`
	Type        uint8       `json:"type"`
	Code        uint8       `json:"code"`
	Reason      *string     `json:"reason"`
	TTL         uint8       `json:"ttl"`
	Hops        uint8       `json:"hops"`
	OS          *string     `json:"os"`
	RTT         *int64      `json:"rtt"`
	Size        uint16      `json:"size"`
	Attempt     *uint8      `json:"attempt"`
	Duplicate   bool        `json:"duplicate"`
	QuotedTTL   *uint8      `json:"quoted_ttl"`
	MTU         *uint16     `json:"mtu"`
	Gateway     *netip.Addr `json:"gateway"`
	Pointer     *uint8      `json:"pointer"`
	MPLS        *string     `json:"mpls"`
	Interface   *string     `json:"interface"`
	Mask        *netip.Addr `json:"mask"`
	ClockOffset *int64      `json:"clock_offset"`
}

const plainTime = "2006-01-02T15:04:05.000000000Z"

func columnsOf(r *reply.Record) plainColumns {
	reason, family, rtt := reply.Reason(r.Type, r.Code), r.OS(), int64(r.RTT)
	return plainColumns{
		Time: r.Time.Format(plainTime), Addr: r.Addr, From: r.From, Kind: r.Kind.String(), Type: r.Type, Code: r.Code,
		Reason: known(reason, reason != ""), TTL: r.TTL, Hops: r.Hops(), OS: known(family, family != ""),
		RTT: known(rtt, r.RTT != reply.RTTUnknown), Size: r.Size, Attempt: known(r.Attempt, r.Attempt != 0), Duplicate: r.Duplicate,
		QuotedTTL: known(r.QuotedTTL, r.Kind.IsError()), MTU: known(r.MTU, r.MTU != 0), Gateway: known(r.Gateway, r.Gateway.IsValid()),
		Pointer: known(r.Pointer, r.Kind == reply.ParameterProblem),
	}
}

func known[T any](v T, is bool) *T {
	if !is {
		return nil
	}
	return &v
}

type plainJSON struct {
	buffer  *bufio.Writer
	encoder *json.Encoder
}

func (e *plainJSON) write(r *reply.Record) error { return e.encoder.Encode(columnsOf(r)) }
func (e *plainJSON) flush() error                { return e.buffer.Flush() }

type plainCSV struct {
	w    *csv.Writer
	line []string
}

func (e *plainCSV) write(r *reply.Record) error {
	number := func(v uint64, is bool) string {
		if !is {
			return ""
		}
		return strconv.FormatUint(v, 10)
	}
	rtt, gateway := "", ""
	if r.RTT != reply.RTTUnknown {
		rtt = strconv.FormatInt(int64(r.RTT), 10)
	}
	if r.Gateway.IsValid() {
		gateway = r.Gateway.String()
	}
	e.line = append(e.line[:0],
		r.Time.Format(plainTime), r.Addr.String(), r.From.String(), r.Kind.String(), number(uint64(r.Type), true), number(uint64(r.Code), true),
		reply.Reason(r.Type, r.Code), number(uint64(r.TTL), true), number(uint64(r.Hops()), true), r.OS(),
		rtt, number(uint64(r.Size), true), number(uint64(r.Attempt), r.Attempt != 0), strconv.FormatBool(r.Duplicate),
		number(uint64(r.QuotedTTL), r.Kind.IsError()), number(uint64(r.MTU), r.MTU != 0), gateway,
		number(uint64(r.Pointer), r.Kind == reply.ParameterProblem), "", "", "", "")
	return e.w.Write(e.line)
}

func (e *plainCSV) flush() error {
	e.w.Flush()
	return e.w.Error()
}
