// SPDX-License-Identifier: Apache-2.0

package sink

import (
	"os"
	"sync"

	"xsweep/internal/durable"
)

// parquetParts is an output that is whole up to each mark: numbered files beside
// the one that they will make up. The rows of the last part are held in memory
// while they are less than a row group, and each mark has the part written anew,
// so that a slow sweep does not leave a file a mark; once a row group is in its
// file, the next mark ends the part.
type parquetParts struct {
	config Config
	shape  *parquetShape

	// Of the part that is being filled:
	number  int
	out     *parquetFile // nil until it has a file
	marked  int          // rows at the last mark
	encoder groupEncoder

	before int64    // rows of the part before it
	lock   *os.File // nil where nothing is written
	closed bool

	syncing     sync.Mutex // one sync at a time
	syncEncoder groupEncoder

	mu    sync.Mutex // guards what follows, and readers of stages
	jobs  []*partJob // what the next sync has to do
	rows  []int64    // of each part that is whole
	whole int64      // their sum
	spare *parquetStage
}

// partJob is a part that a sync has to make whole.
type partJob struct {
	number int
	// ends says that nothing will be added to it. out is then its file, if it has
	// one, and stage the rows that are not in it; if not, stage is a snapshot of
	// source.
	ends   bool
	out    *parquetFile
	stage  *parquetStage
	source *parquetStage
}

func (p *parquetParts) path(number int) string { return partPath(p.config.Path, number) }

// file is that of the part that is being filled.
func (p *parquetParts) file() (*parquetFile, error) {
	if p.out == nil {
		var err error
		if p.out, err = createParquet(p.path(p.number)+partialSuffix, p.shape, true); err != nil {
			return nil, err
		}
	}
	return p.out, nil
}

func (p *parquetParts) group(s *parquetStage) (*parquetStage, error) {
	out, err := p.file()
	if err == nil {
		err = out.add(&p.encoder, s)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.readers > 0 {
		// A sync may still read it.
		return p.freshStage(), err
	}
	s.reset()
	return s, err
}

// freshStage is an empty one. mu is held.
func (p *parquetParts) freshStage() *parquetStage {
	if s := p.spare; s != nil {
		p.spare = nil
		return s
	}
	return newParquetStage(p.shape.columns)
}

func (p *parquetParts) mark(s *parquetStage) (*parquetStage, Mark, error) {
	if p.out != nil && p.out.rows > 0 {
		s = p.endPart(s)
	}
	if p.closed || s.rows == 0 {
		return s, Mark{Parts: p.number - 1, LastRows: p.before}, nil
	}
	if s.rows != p.marked {
		p.marked = s.rows
		p.mu.Lock()
		s.readers++
		p.mu.Unlock()
		p.enqueue(&partJob{number: p.number, stage: s.snapshot(), source: s})
	}
	return s, Mark{Parts: p.number, LastRows: int64(s.rows)}, nil
}

// endPart hands the part over to the next sync and begins another.
func (p *parquetParts) endPart(s *parquetStage) *parquetStage {
	p.before = int64(s.rows)
	if p.out != nil {
		p.before += p.out.rows
	}
	p.enqueue(&partJob{number: p.number, ends: true, out: p.out, stage: s})
	p.number, p.out, p.marked = p.number+1, nil, 0
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.freshStage()
}

func (p *parquetParts) enqueue(job *partJob) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.jobs = append(p.jobs, job)
}

// sync does what there is to do. A job that failed stays the first.
func (p *parquetParts) sync() error {
	p.syncing.Lock()
	defer p.syncing.Unlock()
	for {
		p.mu.Lock()
		var job *partJob
		if len(p.jobs) > 0 {
			job = p.jobs[0]
		}
		p.mu.Unlock()
		if job == nil {
			return nil
		}
		rows, err := p.run(job)
		if err != nil {
			return err
		}
		p.mu.Lock()
		p.jobs = p.jobs[1:]
		p.setRows(job.number, rows)
		if job.ends {
			job.stage.reset()
			p.spare = job.stage
		} else {
			job.source.readers--
		}
		p.mu.Unlock()
	}
}

// setRows notes that a part is whole. mu is held.
func (p *parquetParts) setRows(number int, rows int64) {
	for len(p.rows) < number {
		p.rows = append(p.rows, 0)
	}
	p.whole += rows - p.rows[number-1]
	p.rows[number-1] = rows
}

// snapshotSuffix is behind a part's name while a mark has it written anew: its
// file may be growing beside.
const snapshotSuffix = ".mark" + partialSuffix

// run makes a part whole and says how many rows it has.
func (p *parquetParts) run(job *partJob) (int64, error) {
	out := job.out
	if !job.ends || out == nil {
		suffix := snapshotSuffix
		if job.ends {
			suffix = partialSuffix
		}
		var err error
		if out, err = createParquet(p.path(job.number)+suffix, p.shape, true); err != nil {
			return 0, err
		}
		if job.ends {
			job.out = out
		}
	}
	err := out.add(&p.syncEncoder, job.stage)
	if err == nil {
		err = out.finish()
	}
	if err == nil {
		err = p.name(out, job.number)
	}
	if err != nil && !job.ends {
		out.remove() // the part stands as it was at the mark before
	}
	return out.rows, err
}

// name gives a part that is finished its name.
func (p *parquetParts) name(out *parquetFile, number int) error {
	if err := durable.Rename(out.file.Name(), p.path(number)); err != nil {
		return err
	}
	return out.close()
}

func (p *parquetParts) close(s *parquetStage, failed bool) error {
	defer p.release()
	if failed {
		return p.salvage()
	}
	p.closed = true
	switch {
	case p.out != nil && p.out.rows > 0, s.rows != p.marked:
		p.endPart(s)
	default:
		// It has been marked, or has no rows.
		if p.out != nil {
			p.out.remove()
			p.out = nil
		}
		if s.rows > 0 {
			p.number, p.before = p.number+1, int64(s.rows)
		}
	}
	return p.sync()
}

// wholeRows implements parquetOutput.
func (p *parquetParts) wholeRows() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.whole
}

func (p *parquetParts) discard() {
	defer p.release()
	if p.out != nil {
		p.out.remove()
	}
}
