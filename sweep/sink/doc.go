// SPDX-License-Identifier: Apache-2.0

// Package sink writes records: as addresses, as CSV, as JSON Lines.
//
// A [Sink] takes records in batches and accounts for each: every record that
// was given to it is written, filtered, beyond the limit, or failed.
package sink
