// SPDX-License-Identifier: Apache-2.0

package labtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Disk is a file system of so many bytes, in memory. It is mounted nowhere: only
// the test, and what it starts, can name it. It takes CAP_SYS_ADMIN.
func Disk(t testing.TB, bytes int) (dir string) {
	t.Helper()
	Kernel(t)
	disk, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		t.Fatalf("a disk of %d bytes: %v", bytes, err)
	}
	defer unix.Close(disk)
	err = errors.Join(unix.FsconfigSetString(disk, "size", fmt.Sprint(bytes)), unix.FsconfigCreate(disk))
	if err != nil {
		t.Fatalf("a disk of %d bytes: %v", bytes, err)
	}
	mount, err := unix.Fsmount(disk, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		t.Fatalf("a disk of %d bytes: %v", bytes, err)
	}
	t.Cleanup(func() { unix.Close(mount) })
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), mount)
}

// Fill leaves so many bytes of room where dir is, until the file that it makes is
// removed.
func Fill(t testing.TB, dir string, but int64) (path string) {
	t.Helper()
	path = filepath.Join(dir, "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		t.Fatal(err)
	}
	if err := unix.Fallocate(int(f.Fd()), 0, 0, int64(s.Bavail)*s.Bsize-but); err != nil {
		t.Fatalf("fill %s: %v", dir, err)
	}
	return path
}
