// SPDX-License-Identifier: Apache-2.0

package sink

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// partPath is the name of a numbered part of an output: live-00001.parquet of
// live.parquet.
func partPath(path string, number int) string {
	extension := filepath.Ext(path)
	return fmt.Sprintf("%s-%05d%s", strings.TrimSuffix(path, extension), number, extension)
}

// partFiles are the files beside an output that are of it.
type partFiles struct {
	numbers []int    // of the parts
	partial []string // what was not whole
}

func (f *partFiles) has(number int) bool {
	for _, n := range f.numbers {
		if n == number {
			return true
		}
	}
	return false
}

// names are all of them.
func (f *partFiles) names(path string) []string {
	names := slices.Clone(f.partial)
	for _, number := range f.numbers {
		names = append(names, partPath(path, number))
	}
	return names
}

// unused says whether they are those of a sweep which was killed before its first
// checkpoint: nothing is in them, and nobody writes to them.
func (f *partFiles) unused() bool {
	for _, name := range f.partial {
		if info, err := os.Lstat(name); err != nil || !info.Mode().IsRegular() || info.Size() > 0 {
			return false
		}
		file, err := os.Open(name)
		if err != nil {
			return false
		}
		err = claim(file)
		file.Close()
		if err != nil {
			return false
		}
	}
	return len(f.numbers) == 0
}

// findParts looks for the files of an output.
func findParts(path string) (*partFiles, error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	var files partFiles
	for _, entry := range entries {
		name := filepath.Join(filepath.Dir(path), entry.Name())
		whole := strings.TrimSuffix(strings.TrimSuffix(name, snapshotSuffix), partialSuffix)
		number, ok := partNumber(path, whole)
		switch {
		case whole == filepath.Clean(path) && whole != name:
			files.partial = append(files.partial, name)
		case ok && whole != name:
			files.partial = append(files.partial, name)
		case ok:
			files.numbers = append(files.numbers, number)
		}
	}
	return &files, nil
}

// partNumber reads the number of a part from its name.
func partNumber(path, name string) (int, bool) {
	extension := filepath.Ext(path)
	digits, ok := strings.CutPrefix(name, strings.TrimSuffix(filepath.Clean(path), extension)+"-")
	if !ok {
		return 0, false
	}
	digits, ok = strings.CutSuffix(digits, extension)
	if !ok {
		return 0, false
	}
	number, err := strconv.Atoi(digits)
	// Written back, for Atoi takes more than partPath makes.
	return number, err == nil && number > 0 && partPath(filepath.Clean(path), number) == name
}

// removeAll removes files, of which some may be gone.
func removeAll(names []string) error {
	for _, name := range names {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
