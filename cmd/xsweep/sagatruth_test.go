// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"

	"xsweep/internal/lab"
	"xsweep/sweep/probe"
	"xsweep/sweep/target"
	"xsweep/sweep/where"
)

// savedState is what tests look at in a checkpoint.
type savedState struct {
	Run      int       `json:"run"`
	Low      uint64    `json:"low"`
	Saved    time.Time `json:"saved"`
	Complete bool      `json:"complete"`
	Account  struct {
		Runs     int    `json:"runs"`
		Accepted uint64 `json:"accepted"`
	} `json:"account"`
}

// state reads the checkpoint; it is zero where there is none.
func (s *saga) state(t *testing.T) savedState {
	t.Helper()
	text, err := os.ReadFile(s.checkpoint)
	if os.IsNotExist(err) {
		return savedState{}
	}
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := bytes.Cut(text, []byte{'\n'})
	var file struct {
		State savedState `json:"state"`
	}
	if err := json.Unmarshal(body, &file); err != nil {
		t.Fatal(err)
	}
	return file.State
}

// sagaTruth is what a saga must find.
type sagaTruth struct {
	lab.Counts
	targets, probes uint64
	records         []string
	live            []string
}

// truth is worked out from what the summary says was asked for.
func (s *saga) truth(t *testing.T, a account) sagaTruth {
	t.Helper()
	targets, err := target.Parse(t.Context(), nil, s.targets)
	if err != nil {
		t.Fatal(err)
	}
	set, query := target.SetOf(targets), lab.DefaultSweep()
	query.Probes = int(a.count("config.probes"))
	if query.Replies, err = lab.ParseReplies(s.flag("--replies", "positive")); err != nil {
		t.Fatal(err)
	}
	if s.flag("--probe", "echo") == "echo,timestamp" {
		query.Kinds = []probe.Kind{probe.Echo, probe.Timestamp}
	}
	truth := sagaTruth{
		Counts: s.world.Counts(set, query), targets: uint64(set.Len()), probes: uint64(query.Probes * len(query.Kinds)),
	}
	var filter *where.Filter
	if text := s.flag("--where", ""); text != "" {
		if filter, err = where.Compile(text); err != nil {
			t.Fatal(err)
		}
	}
	for r := range s.world.Records(set, query) {
		if filter != nil {
			if ok, err := filter.Match(&r); err != nil || !ok {
				continue
			}
		}
		truth.records = append(truth.records, recordKey(r.Addr.String(), r.From.String(), r.Kind.String(), fmt.Sprint(r.Code)))
	}
	for addr := range s.world.Answering(set, query) {
		truth.live = append(truth.live, addr.String())
	}
	return truth
}

// flag is the value of one of the saga's flags.
func (s *saga) flag(name, other string) string {
	for i, arg := range s.args {
		if arg == name {
			other = s.args[i+1]
		}
	}
	return other
}

// recordKey is what tells results apart: of replies those of a target, of errors
// also who sent which. Which kind of probe a target has answered first is not
// determined in a resumed sweep.
func recordKey(addr, from, kind, code string) string {
	if strings.HasSuffix(kind, "-reply") {
		return addr
	}
	return strings.Join([]string{addr, from, kind, code}, " ")
}

// resultsOf reads a file of results, by the keys of what is in it.
func resultsOf(t *testing.T, path, format string) []string {
	t.Helper()
	var rows []row
	var err error
	if format == "parquet" {
		rows, err = readParquet(path)
	} else {
		rows, err = readRows(format, unpacked(t, path))
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	var keys []string
	for _, r := range rows {
		keys = append(keys, recordKey(r["addr"], r["from"], r["kind"], r["code"]))
	}
	return keys
}

// readParquet reads the columns that tell results apart.
func readParquet(path string) ([]row, error) {
	table, err := parquet.ReadFile[struct {
		Addr string `parquet:"addr"`
		From string `parquet:"from"`
		Kind string `parquet:"kind"`
		Code uint8  `parquet:"code"`
	}](path)
	var rows []row
	for _, r := range table {
		rows = append(rows, row{"addr": r.Addr, "from": r.From, "kind": r.Kind, "code": fmt.Sprint(r.Code)})
	}
	return rows, err
}

// unpacked is the text of a file, packed or not.
func unpacked(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(content) == 0 {
		return "" // also where a frame is the least that there can be
	}
	var r io.Reader = bytes.NewReader(content)
	switch {
	case strings.HasSuffix(path, ".gz"):
		r, err = gzip.NewReader(r)
	case strings.HasSuffix(path, ".zst"):
		r, err = zstd.NewReader(r)
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return string(text)
}

func readText(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func readLiveSet(t *testing.T, path string) []string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	set := roaring.New()
	if _, err := set.ReadFrom(bytes.NewReader(content)); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	var found []string
	for _, a := range set.ToArray() {
		found = append(found, netip.AddrFrom4([4]byte{byte(a >> 24), byte(a >> 16), byte(a >> 8), byte(a)}).String())
	}
	return found
}
