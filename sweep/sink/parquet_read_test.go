// SPDX-License-Identifier: Apache-2.0

package sink

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	own "github.com/parquet-go/parquet-go"

	"xsweep/sweep/reply"
)

// table is what a Parquet file holds: of each column the values, nil for null.
type table struct {
	rows     int
	groups   int
	names    []string
	columns  map[string][]any
	metadata map[string]string
}

// readTable reads a file with an implementation that shares no code with the one
// that wrote it.
func readTable(t testing.TB, content []byte) *table {
	t.Helper()
	// Checksums are asked for: they are written for readers that want them.
	reader, err := file.NewParquetReader(bytes.NewReader(content), file.WithReadProps(parquet.NewReaderProperties(nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	tab := &table{rows: int(reader.NumRows()), groups: reader.NumRowGroups(), columns: map[string][]any{}, metadata: map[string]string{}}
	metadata := reader.MetaData()
	for _, key := range metadata.KeyValueMetadata().Keys() {
		tab.metadata[key] = *metadata.KeyValueMetadata().FindValue(key)
	}
	for i := range metadata.Schema.NumColumns() {
		name := metadata.Schema.Column(i).Name()
		tab.names = append(tab.names, name)
		for g := range reader.NumRowGroups() {
			group := reader.RowGroup(g)
			chunk, err := group.Column(i)
			if err != nil {
				t.Fatal(err)
			}
			values := readChunk(t, chunk, group.NumRows())
			if len(values) != int(group.NumRows()) {
				t.Fatalf("column %s: %d values in a group of %d rows", name, len(values), group.NumRows())
			}
			tab.columns[name] = append(tab.columns[name], values...)
		}
	}
	return tab
}

func readChunk(t testing.TB, chunk file.ColumnChunkReader, rows int64) []any {
	t.Helper()
	text := func(b []byte) any { return string(b) }
	switch r := chunk.(type) {
	case *file.Int32ColumnChunkReader:
		return readValues(t, chunk, rows, r.ReadBatch, func(v int32) any { return int64(v) })
	case *file.Int64ColumnChunkReader:
		return readValues(t, chunk, rows, r.ReadBatch, func(v int64) any { return v })
	case *file.BooleanColumnChunkReader:
		return readValues(t, chunk, rows, r.ReadBatch, func(v bool) any { return v })
	case *file.ByteArrayColumnChunkReader:
		return readValues(t, chunk, rows, r.ReadBatch, func(v parquet.ByteArray) any { return text(v) })
	case *file.FixedLenByteArrayColumnChunkReader:
		return readValues(t, chunk, rows, r.ReadBatch, func(v parquet.FixedLenByteArray) any { return text(v) })
	}
	t.Fatalf("column of type %v", chunk.Type())
	return nil
}

func readValues[T any](t testing.TB, chunk file.ColumnChunkReader, rows int64,
	read func(int64, []T, []int16, []int16) (int64, int, error), convert func(T) any) []any {
	t.Helper()
	optional := chunk.Descriptor().MaxDefinitionLevel() > 0
	values, levels := make([]T, 1000), make([]int16, 1000)
	var all []any
	for int64(len(all)) < rows {
		n, known, err := read(int64(len(values)), values, levels, nil)
		if err != nil {
			t.Fatalf("column %s: %v", chunk.Descriptor().Name(), err)
		}
		if n == 0 {
			break
		}
		next := 0
		for i := range n {
			if optional && levels[i] == 0 {
				all = append(all, nil)
				continue
			}
			all = append(all, convert(values[next]))
			next++
		}
		if next != known {
			t.Fatalf("column %s: %d values told, %d there", chunk.Descriptor().Name(), next, known)
		}
	}
	return all
}

// readOwn reads all rows with the library that encoded them and says how many
// there are.
func readOwn(t testing.TB, content []byte) int {
	t.Helper()
	f, err := own.OpenFile(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, group := range f.RowGroups() {
		rows := group.Rows()
		buffer := make([]own.Row, 100)
		for {
			n, err := rows.ReadRows(buffer)
			total += n
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		rows.Close()
	}
	return total
}

// wantTable is what records should be read back as: what JSON Lines says of
// them.
func wantTable(t testing.TB, records []reply.Record) map[string][]any {
	t.Helper()
	columns := map[string][]any{}
	lines := newEncoder(JSONLines, AllFields())
	for i := range records {
		decoder := json.NewDecoder(bytes.NewReader(lines.appendRecord(nil, &records[i])))
		decoder.UseNumber()
		var values map[string]any
		if err := decoder.Decode(&values); err != nil {
			t.Fatal(err)
		}
		for name, value := range values {
			if number, ok := value.(json.Number); ok {
				n, err := number.Int64()
				if err != nil {
					t.Fatal(err)
				}
				value = n
			}
			if name == "time" {
				at, err := time.Parse(time.RFC3339Nano, value.(string))
				if err != nil {
					t.Fatal(err)
				}
				value = at.UnixNano()
			}
			columns[name] = append(columns[name], value)
		}
		addr, from := records[i].Addr.As16(), records[i].From.As16()
		columns["addr_bytes"] = append(columns["addr_bytes"], string(addr[:]))
		columns["from_bytes"] = append(columns["from_bytes"], string(from[:]))
	}
	return columns
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// addrsOf are the addresses of a file, in order.
func addrsOf(t testing.TB, path string) []string {
	t.Helper()
	content := readFile(t, path)
	tab := readTable(t, content)
	if n := readOwn(t, content); n != tab.rows {
		t.Fatalf("%s: %d rows read by the one, %d by the other", path, tab.rows, n)
	}
	addrs := make([]string, tab.rows)
	for i, addr := range tab.columns["addr"] {
		addrs[i] = addr.(string)
	}
	return addrs
}

// addrs are those of records.
func addrs(records []reply.Record) []string {
	var all []string
	for i := range records {
		all = append(all, records[i].Addr.String())
	}
	return all
}

// names are the files in a directory.
func namesOf(t testing.TB, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, entry := range entries {
		all = append(all, entry.Name())
	}
	return strings.Join(all, " ")
}

// less orders values of a column.
func less(a, b any) bool {
	switch a := a.(type) {
	case int64:
		return a < b.(int64)
	case string:
		return a < b.(string)
	case bool:
		return !a && b.(bool)
	}
	panic("no such value")
}

// decodeBound reads a bound of a column's statistics.
func decodeBound(name string, bound []byte) any {
	switch {
	case name == "duplicate":
		return bound[0] == 1
	case name == "time" || name == "rtt" || name == "clock_offset":
		return int64(binary.LittleEndian.Uint64(bound))
	case len(bound) == 4 && name != "kind" && name != "os":
		return int64(binary.LittleEndian.Uint32(bound))
	}
	return string(bound)
}
