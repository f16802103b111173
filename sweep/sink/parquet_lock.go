// SPDX-License-Identifier: Apache-2.0

package sink

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// lockParquet locks a file that is being written, so that no other sweep takes it
// for left over. Where a file system knows no locks nobody is kept out.
func lockParquet(f *os.File) error {
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return inUse(f.Name())
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
		err = lockParquet(f)
		f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func inUse(name string) error {
	return fmt.Errorf("%s is being written by another sweep: wait for its end, or write to another file", name)
}

// hold keeps the output locked, by its first file, which stays beside it under
// one name or another while parts come and go.
func (p *parquetParts) hold() error {
	if err := lockParquet(p.out.file); err != nil {
		return err
	}
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
