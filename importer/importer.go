// Package importer reads documents from files and request bodies and writes them to a collection. It reads JSONL, JSON
// arrays, CSV and Parquet, plain or compressed, with bounded memory: a row that is not a document is reported with its line and
// the stream goes on. It also guesses a collection's settings from the first documents (see Guess).
package importer

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"robin"
)

// Writer is where documents go: see indexer.Engine.Write.
type Writer interface {
	Write(ctx context.Context, collection string, action robin.Action, docs []json.RawMessage) (robin.WriteResult, error)
}

// Target is a Writer that can also make the collection.
type Target interface {
	Writer
	Collection(ctx context.Context, name string) (robin.CollectionInfo, error)
	PutCollection(ctx context.Context, name string, s robin.Settings) (info robin.CollectionInfo, created bool, err error)
}

// Options of a run. The zero value of each optional field works.
type Options struct {
	Collection string // required
	Action     robin.Action
	BatchSize  int // documents per write; default 256
	// IDField lets two batches be written side by side when they share no id. Empty: one batch at a time.
	IDField  string
	Progress func(robin.Progress) // called from one goroutine at most twice a second, and at the end
	// Dirty is what happens to values that do not have the type of their attribute; default robin.DirtyReject.
	Dirty robin.Dirty
	// Failed makes the file that failed rows are written to, in this format; it is called when the first row fails.
	// FailedBytes bounds the file; 0: not.
	Failed      func(Format) (io.WriteCloser, error)
	FailedBytes int64

	settings robin.Settings // of the collection
}

const (
	defaultBatch  = 256
	batchBytes    = 4 << 20                // a batch of large documents is written early
	inFlight      = 2                      // one batch embeds while the one before it commits and is applied
	progressEvery = 500 * time.Millisecond // also how often a task's progress is stored
	retryFor      = time.Minute            // how long a full queue is waited for before the import gives up
)

// Into imports s into a collection of t. When there is no such collection, it is made with settings guessed from the
// first documents, and the report shows the guess.
func Into(ctx context.Context, s Source, t Target, o Options) (robin.ImportReport, error) {
	start := time.Now()
	empty := robin.ImportReport{Errors: []robin.RowError{}}
	info, err := t.Collection(ctx, o.Collection)
	missing := robin.CodeOf(err) == robin.CodeNoCollection
	if err != nil && !missing {
		return empty, err
	}
	if missing && o.Action == robin.Update {
		return empty, err // nothing to update
	}
	r, err := Open(s)
	if err != nil {
		return empty, err
	}
	defer r.Close()
	var guessed *robin.Settings
	if missing {
		settings, err := guessFrom(r)
		if err != nil {
			return empty, err
		}
		if info, _, err = t.PutCollection(ctx, o.Collection, settings); err != nil {
			return empty, err
		}
		guessed = &info.Settings
	} else {
		r.SetTypes(info.Settings)
	}
	o.IDField, o.settings = info.Settings.IDField, info.Settings
	report, err := Run(ctx, r, s.Size, t, o)
	report.Settings = guessed
	report.TookMS = time.Since(start).Milliseconds()
	return report, err
}

func guessFrom(r *Reader) (robin.Settings, error) {
	sample := r.Sample(sampleRows)
	if len(sample) > 0 {
		return guess(sample, guessIDOfMost)
	}
	if r.end != nil && !errors.Is(r.end, io.EOF) {
		return robin.Settings{}, r.end
	}
	for _, row := range r.sampled { // nothing but bad rows: the first says why
		return robin.Settings{}, robin.Errorf(row.Err.Code, "no document could be read: line %d %s", row.Line, row.Err.Detail)
	}
	return Guess(nil)
}

// batch is a run of consecutive rows.
type batch struct {
	docs  []json.RawMessage
	lines []int
	texts []string // as the documents stood in the file, when failed rows are kept
	bad   []Row
	bytes int

	warnings         []robin.RowWarning
	changes          []robin.ValueChange
	coerced, dropped int

	ids  map[string]bool // nil when the ids are not known
	last bool
	err  error // what ended the stream
}

// Run writes every row of r. A goroutine reads ahead while up to two batches are written; batches that share an id are
// written one after the other, so that the later document wins. size is the number of bytes behind r, 0 when unknown.
//
// The report counts what was written even when the error is not nil. After an error some rows behind the counted ones
// may have been written too; importing the file again is safe, because unchanged documents are not written twice.
func Run(ctx context.Context, r *Reader, size int64, w Writer, o Options) (robin.ImportReport, error) {
	if o.BatchSize <= 0 {
		o.BatchSize = defaultBatch
	}
	if o.Action == "" {
		o.Action = robin.Upsert
	}
	ctx, cancel := context.WithCancel(ctx)
	run := &run{r: r, w: w, o: o, size: size, start: time.Now(), failed: newFailedRows(o, r), ids: newSeenIDs(maxSeenIDs), cleaner: newCleaner(o.Dirty, o.settings)}
	run.report.Errors = []robin.RowError{}
	batches := make(chan *batch)
	var reader sync.WaitGroup
	reader.Go(func() { run.read(ctx, batches) })
	err := run.write(ctx, batches)
	cancel()
	reader.Wait() // a Read of the source that hangs ends with its connection, not here
	run.progress(true)
	if w := run.failed.close(); w != nil {
		run.warn([]robin.RowWarning{*w}, nil)
	}
	run.report.FailedKept = run.failed.kept
	slices.SortStableFunc(run.report.Errors, func(a, b robin.RowError) int { return a.Line - b.Line })
	slices.SortStableFunc(run.report.Warnings, func(a, b robin.RowWarning) int { return a.Line - b.Line })
	slices.SortStableFunc(run.report.Changes, func(a, b robin.ValueChange) int { return a.Line - b.Line })
	slices.SortStableFunc(run.report.Twins, func(a, b robin.Twin) int { return a.Line - b.Line })
	run.report.TookMS = time.Since(run.start).Milliseconds()
	return run.report, err
}

type run struct {
	r     *Reader
	w     Writer
	o     Options
	size  int64
	start time.Time

	ids         *seenIDs     // these two are owned by the goroutine of read
	cleaner     *cleaner     // nil when values stay as they are
	rows, bytes atomic.Int64 // that read has cut into batches

	failed   *failedRows // owned by the goroutine of write, as is what follows
	report   robin.ImportReport
	reported time.Time
	ended    bool // the source has been read to its end
}

// read cuts the rows into batches until the stream ends or ctx does.
func (u *run) read(ctx context.Context, out chan<- *batch) {
	b := u.newBatch()
	for !b.last {
		row, err := u.r.Next()
		switch {
		case err != nil:
			b.last = true
			if !errors.Is(err, io.EOF) {
				b.err = err
			}
		case row.Err != nil:
			b.bad = append(b.bad, row)
		default:
			u.add(b, row)
		}
		if !b.last && len(b.docs)+len(b.bad) < u.o.BatchSize && b.bytes < batchBytes {
			continue
		}
		u.rows.Add(int64(len(b.docs) + len(b.bad)))
		u.bytes.Store(u.r.consumed())
		select {
		case out <- b:
		case <-ctx.Done():
			return
		}
		if !b.last {
			b = u.newBatch()
		}
	}
}

func (u *run) newBatch() *batch {
	b := &batch{}
	if u.o.IDField != "" {
		b.ids = map[string]bool{}
	}
	return b
}

func (u *run) add(b *batch, row Row) {
	if u.o.Failed != nil {
		b.texts = append(b.texts, row.text())
	}
	if c := u.cleaner; c != nil {
		row.Raw = c.clean(row.Raw, row.Line)
		b.coerced, b.dropped = b.coerced+c.coerced, b.dropped+c.dropped
		b.changes = append(b.changes, c.changes...)
		b.changes = b.changes[:min(len(b.changes), robin.MaxValueChanges)]
	}
	b.docs = append(b.docs, row.Raw)
	b.lines = append(b.lines, row.Line)
	b.bytes += len(row.Raw)
	if b.ids == nil {
		return
	}
	id, ok := member(row.Raw, u.o.IDField)
	if !ok {
		return // the write refuses it
	}
	b.ids[id] = true
	if w := u.ids.see(id, row.Line); w != nil {
		b.warnings = append(b.warnings, *w)
	}
}

func (b *batch) overlaps(o *batch) bool {
	if b.ids == nil || o.ids == nil {
		return true
	}
	for id := range b.ids {
		if o.ids[id] {
			return true
		}
	}
	return false
}

type written struct {
	batch *batch
	res   robin.WriteResult
	err   error
}

// write keeps up to inFlight batches going. It returns when all that it started have ended.
func (u *run) write(ctx context.Context, in <-chan *batch) error {
	done := make(chan written)
	canceled := ctx.Done()
	var flying []*batch
	var next *batch // read, not yet started
	var first error
	for {
		if next != nil && first == nil && u.free(flying, next) {
			b := next
			next = nil
			u.ended = b.last
			flying = append(flying, b)
			go func() {
				res, err := u.put(ctx, b)
				done <- written{b, res, err}
			}()
		}
		if len(flying) == 0 && (first != nil || u.ended) {
			return first
		}
		source := in
		if next != nil || u.ended || first != nil {
			source = nil
		}
		select {
		case next = <-source:
		case d := <-done:
			flying = slices.DeleteFunc(flying, func(b *batch) bool { return b == d.batch })
			u.count(d)
			if first == nil {
				first = d.err
			}
			if first == nil {
				first = d.batch.err
			}
			u.progress(false)
		case <-canceled:
			canceled = nil // the batches in flight see it too, and are waited for
			if first == nil {
				first = robin.Errorf(robin.CodeCanceled, "the import was canceled: %w", ctx.Err())
			}
		}
	}
}

func (u *run) free(flying []*batch, next *batch) bool {
	if len(flying) >= inFlight {
		return false
	}
	for _, b := range flying {
		if b.overlaps(next) {
			return false
		}
	}
	return true
}

// put writes one batch and waits out a full queue.
func (u *run) put(ctx context.Context, b *batch) (robin.WriteResult, error) {
	if len(b.docs) == 0 {
		return robin.WriteResult{}, nil
	}
	deadline := time.Now().Add(retryFor)
	for {
		res, err := u.w.Write(ctx, u.o.Collection, u.o.Action, b.docs)
		var e *robin.Error
		busy := errors.As(err, &e) && (e.Code == robin.CodeOverloaded || e.Code == robin.CodeNotReady)
		if !busy || time.Now().After(deadline) {
			return res, err
		}
		wait := min(max(e.RetryAfter, 100*time.Millisecond), 5*time.Second)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return res, robin.Errorf(robin.CodeCanceled, "the import was canceled: %w", ctx.Err())
		}
	}
}

func (u *run) count(d written) {
	b, r := d.batch, &u.report
	r.Failed += len(b.bad)
	r.Total += len(b.bad)
	rows := b.bad
	if d.err != nil {
		u.fail(rows) // the others are not known to be written, and not counted
		return
	}
	r.Total += len(b.docs)
	r.Indexed += d.res.Indexed
	r.Unchanged += d.res.Unchanged
	r.Embedded += d.res.Embedded
	r.Truncated += d.res.Truncated
	r.Failed += len(d.res.Errors)
	r.Seq = max(r.Seq, d.res.Seq)
	r.Coerced += b.coerced
	r.Dropped += b.dropped
	r.Changes = append(r.Changes, b.changes[:min(robin.MaxValueChanges-len(r.Changes), len(b.changes))]...)
	failed := map[int]bool{}
	for i := range d.res.Errors {
		at := d.res.Errors[i].Line - 1
		if at < 0 || at >= len(b.lines) {
			continue
		}
		failed[b.lines[at]] = true
		d.res.Errors[i].Line = b.lines[at]
		row := Row{Line: b.lines[at], Err: &d.res.Errors[i]}
		if b.texts != nil {
			row.Text = b.texts[at]
		}
		rows = append(rows, row)
	}
	u.fail(rows)
	u.warn(b.warnings, failed)
	u.twins(b, d.res.Twins)
}

// warn counts the warnings of rows that were written.
func (u *run) warn(warnings []robin.RowWarning, failed map[int]bool) {
	for _, w := range warnings {
		if w.Code == robin.WarnDuplicateID {
			if failed[w.Line] {
				continue
			}
			u.report.Replaced++
		}
		if len(u.report.Warnings) < robin.MaxRowErrors {
			u.report.Warnings = append(u.report.Warnings, w)
		}
	}
}

// fail reports the rows of a batch that failed, and keeps them.
func (u *run) fail(rows []Row) {
	slices.SortStableFunc(rows, func(a, b Row) int { return a.Line - b.Line })
	for _, row := range rows {
		if len(u.report.Errors) < robin.MaxRowErrors {
			u.report.Errors = append(u.report.Errors, *row.Err)
		}
		u.failed.add(row.text())
	}
}

// progress estimates the total from the share of the bytes read, as long as the source goes on.
func (u *run) progress(last bool) {
	if u.o.Progress == nil || !last && time.Since(u.reported) < progressEvery {
		return
	}
	u.reported = time.Now()
	elapsed := time.Since(u.start).Seconds()
	p := robin.Progress{Done: u.report.Total, Failed: u.report.Failed}
	if elapsed > 0 {
		p.PerS = float64(p.Done) / elapsed
	}
	rows, bytes := u.rows.Load(), u.bytes.Load()
	switch {
	case u.ended:
		p.Total = int(rows)
	case u.size > 0 && bytes > 0:
		p.Total = max(p.Done, int(float64(rows)*float64(u.size)/float64(min(bytes, u.size))))
	}
	if p.PerS > 0 && p.Total > p.Done {
		p.EtaS = float64(p.Total-p.Done) / p.PerS
	}
	u.o.Progress(p)
}
