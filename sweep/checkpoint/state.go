// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"xsweep/internal/durable"
)

// stateHeader begins a state's file: the format's number, and the SHA-256 of all
// that follows the line.
const stateHeader = "xsweep checkpoint 1 sha256 "

const (
	prevSuffix = ".prev"
	tempSuffix = ".new"
)

// readState reads a state's file, and believes it only whole.
func readState(path string) (envelope, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return envelope{}, err
	}
	const hexLen = 2 * sha256.Size
	bodyAt := len(stateHeader) + hexLen + 1
	if !bytes.HasPrefix(text, []byte("xsweep checkpoint ")) || len(text) < bodyAt || text[bodyAt-1] != '\n' {
		return envelope{}, fmt.Errorf("%w: it does not begin as a checkpoint does", ErrDamaged)
	}
	if !bytes.HasPrefix(text, []byte(stateHeader)) {
		return envelope{}, fmt.Errorf("%w, or another version of xsweep made it", ErrDamaged)
	}
	sum := sha256.Sum256(text[bodyAt:])
	if hex.EncodeToString(sum[:]) != string(text[len(stateHeader):bodyAt-1]) {
		return envelope{}, fmt.Errorf("%w: its checksum is wrong", ErrDamaged)
	}
	var e envelope
	if err := json.Unmarshal(text[bodyAt:], &e); err != nil {
		return envelope{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return e, nil
}

// writeState replaces a state's file, and keeps what it had if that was valid.
func writeState(path string, body []byte, keep bool) error {
	sum := sha256.Sum256(body)
	text := append([]byte(stateHeader), hex.EncodeToString(sum[:])...)
	text = append(append(text, '\n'), body...)
	if keep {
		if err := keepPrevious(path); err != nil {
			return err
		}
	}
	return durable.WriteFile(path, path+tempSuffix, text, mode)
}

// keepPrevious gives the file its second name. It is durable already.
func keepPrevious(path string) error {
	temp := path + prevSuffix + tempSuffix
	os.Remove(temp) // that a kill left behind
	err := os.Link(path, temp)
	switch {
	case errors.Is(err, fs.ErrNotExist): // somebody has moved it
		return nil
	case err != nil: // there are file systems without links
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return durable.WriteFile(path+prevSuffix, temp, text, mode)
	}
	return os.Rename(temp, path+prevSuffix)
}
