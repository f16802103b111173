// SPDX-License-Identifier: Apache-2.0

package where

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"testing"

	"xsweep/internal/testrand"
	"xsweep/sweep/reply"
	"xsweep/sweep/sink"
)

func TestColumnNames(t *testing.T) {
	if want := sink.FieldNames(); !slices.Equal(columnNames, want) {
		t.Errorf("columns are %v, want those of records, %v", columnNames, want)
	}
}

// written is a record as sinks write it, by column; what is unknown is missing.
func written(t testing.TB, r reply.Record) map[string]any {
	t.Helper()
	var out bytes.Buffer
	w := sink.NewWriter(&out, sink.Config{Format: sink.JSONLines, Fields: sink.AllFields()})
	if err := w.Write([]reply.Record{r}); err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(&out)
	d.UseNumber()
	var found map[string]any
	if err := d.Decode(&found); err != nil {
		t.Fatal(err)
	}
	for column, v := range found {
		if v == nil {
			delete(found, column)
		}
	}
	return found
}

// What is written of a record is what its columns equal here, and what is not
// written is nil.
func TestColumnsAreAsWritten(t *testing.T) {
	rng := testrand.New(t)
	sample := make([]reply.Record, 0, 400)
	for _, r := range records {
		sample = append(sample, r)
	}
	for len(sample) < cap(sample) {
		sample = append(sample, random(rng))
	}
	for _, r := range sample {
		found := written(t, r)
		for _, c := range columns {
			v, known := found[c.column]
			if c.nullable && matches(t, c.column+" != nil", r) != known {
				t.Errorf("%s != nil is %v, but written is %v", c.column, !known, v)
			}
			if !known {
				if !c.nullable {
					t.Errorf("%s is never nil, but nothing is written", c.column)
				}
				continue
			}
			text := fmt.Sprintf("%s == %v", c.column, v)
			switch s, isString := v.(string); {
			case c.column == "rtt":
				text += "ns"
			case c.column == "clock_offset":
				text += "ms"
			case isString:
				text = fmt.Sprintf("%s == %s", c.column, strconv.Quote(s))
			}
			if !matches(t, text, r) {
				t.Errorf("%s: false", text)
			}
		}
	}
}
