// SPDX-License-Identifier: Apache-2.0

package sink

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// claim keeps other sweeps from a file for as long as it is open. Where a file
// system knows no locks nobody is kept out.
func claim(file *os.File) error {
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("%s is being written by another sweep: wait for its end, or write to another file", file.Name())
	}
	return nil
}

// notInUse says whether one of some files is being written by another sweep. Those
// that are not there are not.
func notInUse(names []string) error {
	for _, name := range names {
		f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
		if err != nil {
			continue // whoever wants to write to it will say so
		}
		err = claim(f)
		f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// hold keeps the output locked, by its first file, which stays beside it under
// one name or another while parts come and go.
func (p *parquetParts) hold() error {
	fd, err := unix.FcntlInt(p.out.file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("keep %s locked: %w", p.out.file.Name(), err)
	}
	p.lock = os.NewFile(uintptr(fd), p.out.file.Name())
	return nil
}

// release ends what hold began.
func (p *parquetParts) release() {
	if p.lock != nil {
		p.lock.Close()
		p.lock = nil
	}
}
