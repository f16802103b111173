// SPDX-License-Identifier: Apache-2.0

package sink

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"xsweep/internal/durable"
)

// publish gives an output of so many bytes, which was closed, its name. It does
// nothing more if the output has it.
func publish(path string, size int64, force bool) error {
	partial := path + partialEnding
	info, err := os.Lstat(partial)
	switch {
	case err == nil && info.Mode().IsRegular() && info.Size() == size:
		err = rename(partial, path, force)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
	case isPublished(path, size): // what is left over is another sweep's
		err = durable.SyncDir(filepath.Dir(path))
	case err != nil:
		err = fmt.Errorf("neither %s nor %s is there with the %d bytes that were written", partial, path, size)
	default:
		err = fmt.Errorf("%s is not what was written, which had %d bytes", partial, size)
	}
	if err != nil {
		return fmt.Errorf("results: %w", err)
	}
	return nil
}

func rename(partial, path string, force bool) error {
	if !force {
		if err := absent(path); err != nil {
			return fmt.Errorf("they are in %s: %w", partial, err)
		}
	}
	return durable.Rename(partial, path)
}

func isPublished(path string, size int64) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Size() >= size
}
