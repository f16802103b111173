// SPDX-License-Identifier: Apache-2.0

package sink

import "errors"

// salvage makes what is whole of the parts that could not be ended readable:
// the row groups that are in their files. The rows in memory are lost; what the
// last sync made whole stays.
func (p *parquetParts) salvage() error {
	p.syncing.Lock()
	defer p.syncing.Unlock()
	p.closed = true
	jobs := p.jobs
	if p.out != nil {
		jobs = append(jobs, &partJob{number: p.number, ends: true, out: p.out})
		p.out = nil
	}
	p.jobs = nil
	var errs []error
	for _, job := range jobs {
		if job.out != nil {
			errs = append(errs, p.salvagePart(job))
		}
	}
	return errors.Join(errs...)
}

func (p *parquetParts) salvagePart(job *partJob) error {
	if job.out.rows == 0 {
		job.out.remove()
		return nil
	}
	err := job.out.salvage()
	if err == nil {
		err = p.name(job.out, job.number)
	}
	if err != nil {
		job.out.close()
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.setRows(job.number, job.out.rows)
	return nil
}
