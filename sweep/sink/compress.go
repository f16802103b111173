// SPDX-License-Identifier: Apache-2.0

package sink

import (
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

const (
	// frameText is how many bytes of text a frame holds about: what is lost with
	// a broken one.
	frameText = 8 << 20
	// zstdWindow is how far back a repetition is looked for. Lines are like those
	// just before them, so that more would cost memory alone.
	zstdWindow = 1 << 20
)

// compressor packs a frame: a gzip member or a zstd frame, which any tool reads
// also if others stand before and behind it.
type compressor interface {
	io.WriteCloser
	Reset(w io.Writer)
}

// compressor is nil for None. It starts no goroutines.
func (c Compression) compressor() compressor {
	var packer compressor
	var err error
	switch c {
	case None:
		return nil
	case Gzip:
		packer, err = gzip.NewWriterLevel(nil, gzip.BestSpeed)
	case Zstd:
		packer, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
			zstd.WithWindowSize(zstdWindow), zstd.WithZeroFrames(true))
	}
	if err != nil {
		panic(fmt.Sprintf("compression %v: %v", c, err)) // the settings above are wrong
	}
	return packer
}
