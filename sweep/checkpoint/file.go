// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"xsweep/internal/durable"
)

var (
	// ErrLocked says that another process uses the checkpoint.
	ErrLocked = errors.New("another process is at work on it")
	// ErrDamaged says that a file of the checkpoint is not what was written.
	ErrDamaged = errors.New("it is damaged")
)

// mode is that of files with secrets.
const mode = 0o600

// patience is how long the lock is waited for: of a process that was killed the
// kernel takes some time to clear away programs and maps before its files.
const patience = 2 * time.Second

// logHeader begins a log; an id and the length of the plan follow it.
const logHeader = "xsweep log 1\n"

const (
	idLen   = 16
	planPos = len(logHeader) + idLen + 4 // where the plan begins
)

// castagnoli is the CRC that machines compute fast.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// File is an open checkpoint. It is for one goroutine at a time.
type File struct {
	path  string
	log   *os.File // locked
	size  int64    // of the log, as far as it counts
	crc   uint32   // of that
	id    [idLen]byte
	plan  []byte
	state []byte // nil: there is none yet
	begun bool
}

// envelope is a state as its file holds it.
type envelope struct {
	Log  string          `json:"log"` // name, in the same directory
	ID   string          `json:"id"`  // of the log
	Size int64           `json:"size"`
	CRC  uint32          `json:"crc32c"`
	Of   json.RawMessage `json:"state"`
}

// Open opens the checkpoint of that name, or prepares a new one where there is
// none, and locks it. Nothing is written before Begin or Save, but for an empty
// log.
func Open(path string) (*File, error) {
	f := &File{path: path}
	if err := f.open(); err != nil {
		f.Close()
		return nil, fmt.Errorf("checkpoint %s: %w", path, err)
	}
	return f, nil
}

func (f *File) open() error {
	envelope, err := readState(f.path)
	logName := filepath.Base(f.path) + ".log"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return f.lock(logName, os.O_CREATE)
	case errors.Is(err, ErrDamaged):
		return f.blame(err)
	case err != nil:
		return err
	}
	if envelope.Log != filepath.Base(envelope.Log) {
		return f.blame(fmt.Errorf("%w: its log is %q", ErrDamaged, envelope.Log))
	}
	if err := f.lock(envelope.Log, 0); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("its log %s is gone: a checkpoint is %s and %s together", envelope.Log, filepath.Base(f.path), envelope.Log)
		}
		return err
	}
	// Whoever had the lock may have saved since.
	if envelope, err = readState(f.path); err != nil {
		return f.blame(err)
	}
	if err := f.take(envelope); err != nil {
		return f.blame(err)
	}
	f.begun = true
	return nil
}

// blame says of a damaged checkpoint what would mend it.
func (f *File) blame(err error) error {
	if !errors.Is(err, ErrDamaged) {
		return err
	}
	if !f.previousIsGood() {
		return fmt.Errorf("%w; there is no good one from before it: remove it to begin anew", err)
	}
	return fmt.Errorf("%w; the one before it is kept: `mv %s%s %s` goes on from there", err, f.path, prevSuffix, f.path)
}

// previousIsGood says whether the state before is whole, and as much of the log as
// belongs to it.
func (f *File) previousIsGood() bool {
	envelope, err := readState(f.path + prevSuffix)
	if err != nil {
		return false
	}
	p := &File{path: f.path + prevSuffix, log: f.log}
	if p.log == nil {
		if p.log, err = os.Open(filepath.Join(filepath.Dir(f.path), filepath.Base(envelope.Log))); err != nil {
			return false
		}
		defer p.log.Close()
	}
	return p.take(envelope) == nil
}

// take believes a state, if its log is what it says.
func (f *File) take(e envelope) error {
	f.state, f.size, f.crc = e.Of, e.Size, e.CRC
	if id, err := hex.DecodeString(e.ID); err != nil || copy(f.id[:], id) != idLen {
		return fmt.Errorf("%w: it names no log", ErrDamaged)
	}
	return f.checkLog()
}

// lock opens the log and takes the lock.
func (f *File) lock(name string, flags int) error {
	log, err := os.OpenFile(filepath.Join(filepath.Dir(f.path), name), os.O_RDWR|flags, mode)
	if err != nil {
		return err
	}
	f.log = log
	err = unix.Flock(int(log.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	for end := time.Now().Add(patience); errors.Is(err, unix.EWOULDBLOCK) && time.Now().Before(end); {
		time.Sleep(patience / 100)
		err = unix.Flock(int(log.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		f.log.Close()
		f.log = nil
		return fmt.Errorf("%w: wait for it, or end it", ErrLocked)
	case err != nil:
		return fmt.Errorf("lock %s: %w", log.Name(), err)
	}
	return nil
}

// checkLog reads the log as far as it counts, and the plan in it.
func (f *File) checkLog() error {
	name := f.log.Name()
	head := make([]byte, planPos)
	if _, err := f.log.ReadAt(head, 0); err != nil || string(head[:len(logHeader)]) != logHeader {
		return fmt.Errorf("%w: %s is no log of a sweep", ErrDamaged, name)
	}
	if [idLen]byte(head[len(logHeader):]) != f.id {
		return fmt.Errorf("%w: %s is the log of another sweep", ErrDamaged, name)
	}
	planLen := int64(binary.LittleEndian.Uint32(head[len(logHeader)+idLen:]))
	if int64(planPos)+planLen > f.size {
		return fmt.Errorf("%w: %s has a plan of %d bytes, and %d count", ErrDamaged, name, planLen, f.size)
	}
	sum := crc32.New(castagnoli)
	n, err := io.Copy(sum, io.NewSectionReader(f.log, 0, f.size))
	switch {
	case err != nil:
		return fmt.Errorf("read %s: %w", name, err)
	case n < f.size:
		return fmt.Errorf("%w: %s has %d bytes of %d", ErrDamaged, name, n, f.size)
	case sum.Sum32() != f.crc:
		return fmt.Errorf("%w: %s has changed: its checksum is wrong", ErrDamaged, name)
	}
	f.plan = make([]byte, planLen)
	if _, err := f.log.ReadAt(f.plan, int64(planPos)); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}

// Path is the checkpoint's name.
func (f *File) Path() string { return f.path }

// State is what was saved last; nil where nothing was.
func (f *File) State() []byte { return f.state }

// Plan is what Begin was given.
func (f *File) Plan() []byte { return f.plan }

// Begin starts a new checkpoint with a plan: what does not change any more. The
// first Save makes it valid.
func (f *File) Begin(plan []byte) error {
	rand.Read(f.id[:]) // never fails: it ends the program instead
	head := append([]byte(logHeader), f.id[:]...)
	head = binary.LittleEndian.AppendUint32(head, uint32(len(plan)))
	head = append(head, plan...)
	f.plan, f.size, f.crc, f.begun = plan, 0, 0, true
	return f.named(f.append(head))
}

// Continue goes on with a checkpoint that has a state: what its log has behind
// that is cut off.
func (f *File) Continue() error { return f.named(f.log.Truncate(f.size)) }

// append makes more of the log durable.
func (f *File) append(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if f.size == 0 {
		if err := f.log.Truncate(0); err != nil {
			return err
		}
	}
	if _, err := f.log.WriteAt(b, f.size); err != nil {
		return err
	}
	if err := durable.Sync(f.log); err != nil {
		return err
	}
	f.size += int64(len(b))
	f.crc = crc32.Update(f.crc, castagnoli, b)
	return nil
}

// Save makes a state durable together with what was found since the last one. If
// it fails, the last one stands.
func (f *File) Save(found *Found, state []byte) error {
	if err := f.append(found.bytes()); err != nil {
		return f.named(err)
	}
	whole, err := json.Marshal(envelope{
		Log: filepath.Base(f.log.Name()), ID: hex.EncodeToString(f.id[:]), Size: f.size, CRC: f.crc, Of: state,
	})
	if err != nil {
		return f.named(err)
	}
	if err := writeState(f.path, whole, f.state != nil); err != nil {
		return f.named(err)
	}
	f.state = state
	return nil
}

func (f *File) named(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("checkpoint %s: %w", f.path, err)
}

// Close gives the lock back. A new checkpoint that was never begun leaves
// nothing behind.
func (f *File) Close() error {
	if f.log == nil {
		return nil
	}
	if !f.begun && f.state == nil {
		if info, err := f.log.Stat(); err == nil && info.Size() == 0 {
			os.Remove(f.log.Name())
		}
	}
	err := f.log.Close()
	f.log = nil
	return err
}
