package importer

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"time"

	"robin"
)

// Rehearsal is what a dry run asks of the place that it would import into.
type Rehearsal interface {
	Collection(ctx context.Context, name string) (robin.CollectionInfo, error)
	// Checker looks at documents as a write with these settings would.
	Checker(s robin.Settings) (Checker, error)
	// Trial makes an empty collection in a folder of its own, with the real engine and the real models.
	Trial(ctx context.Context, name string, s robin.Settings) (Trial, error)
}

// Checker is safe for concurrent use.
type Checker interface {
	// Check gives the text that would be embedded, or why the document would be refused.
	Check(doc json.RawMessage) (text string, bad *robin.RowError)
	Tokens(text string) int // before the text is cut
	MaxTokens() int         // what the model reads; 0 when documents bring their vectors
	Dim() int               // numbers in a vector
}

// Trial is a collection that a sample is imported into.
type Trial interface {
	Writer
	// Close removes it and says how many bytes it had on disk.
	Close() (diskBytes int64, err error)
}

// DryOptions of a dry run. The zero value of each optional field works.
type DryOptions struct {
	Collection string          // required
	Settings   *robin.Settings // of the new collection; nil: guessed
	Dirty      robin.Dirty
	MaxErrors  int // that the report lists; default robin.MaxRowErrors
	Progress   func(robin.Progress)
	// Failed and FailedBytes are as in Options: a dry run makes the file of failed rows too.
	Failed      func(Format) (io.WriteCloser, error)
	FailedBytes int64
	Estimate    bool // import a sample to find out how long all would take
}

// DryRun reads all of s, writes nothing that stays, and says what an import would. The report is of what could be read
// even when the error is not nil.
func DryRun(ctx context.Context, s Source, at Rehearsal, o DryOptions) (robin.DryRun, error) {
	d := &dryRun{start: time.Now(), o: o, ids: newSeenIDs(maxSeenIDs), random: rand.New(rand.NewPCG(1, 2))}
	d.report = robin.DryRun{Errors: []robin.RowError{}, Texts: robin.TextLengths{Histogram: []robin.LengthBand{}}}
	if d.o.MaxErrors <= 0 {
		d.o.MaxErrors = robin.MaxRowErrors
	}
	r, err := Open(s)
	if err != nil {
		return d.report, err
	}
	defer r.Close()
	if err := d.prepare(ctx, r, at); err != nil {
		return d.report, err
	}
	d.failed = newFailedRows(Options{Failed: o.Failed, FailedBytes: o.FailedBytes}, r)
	readErr := d.read(ctx, r, s.Size)
	if w := d.failed.close(); w != nil {
		d.report.Warnings = append(d.report.Warnings, *w)
	}
	d.report.FailedKept = d.failed.kept
	d.report.Texts.Histogram = d.lengths.bands(d.checker.MaxTokens())
	if readErr == nil && o.Estimate && d.report.Valid > 0 {
		if d.report.Estimate, err = d.estimate(ctx, at); err != nil {
			return d.report, err
		}
	}
	d.report.TookMS = time.Since(d.start).Milliseconds()
	return d.report, readErr
}

type dryRun struct {
	o        DryOptions
	start    time.Time
	settings robin.Settings
	existing int // documents that the collection has already
	checker  Checker
	cleaner  *cleaner
	ids      *seenIDs
	failed   *failedRows
	lengths  lengths
	report   robin.DryRun

	random      *rand.Rand // seeded alike each time, so that a dry run says the same of the same file
	sample      []sampled  // drawn evenly from the valid documents, in the order of the file
	sampleBytes int
	readable    int64 // tokens of the whole file that the model reads
	reported    time.Time
}

// sampled is a document of the sample.
type sampled struct {
	line   int
	raw    json.RawMessage
	tokens int // that the model reads
}

// prepare finds the settings: the collection's, the caller's, or a guess.
func (d *dryRun) prepare(ctx context.Context, r *Reader, at Rehearsal) error {
	info, err := at.Collection(ctx, d.o.Collection)
	switch {
	case err == nil:
		d.settings, d.existing = info.Settings, info.Documents
	case robin.CodeOf(err) != robin.CodeNoCollection:
		return err
	case d.o.Settings != nil:
		d.settings = d.o.Settings.Defaulted()
	default:
		guess, err := guessFrom(r)
		if err != nil {
			return err
		}
		d.settings = guess.Defaulted()
		d.report.Settings = &d.settings
	}
	if d.report.Settings == nil {
		r.SetTypes(d.settings)
	}
	d.cleaner = newCleaner(d.o.Dirty, d.settings)
	d.checker, err = at.Checker(d.settings)
	return err
}

// checked is a row on its way through the check.
type checked struct {
	Row
	id     string
	hasID  bool
	text   string
	tokens int
	bad    *robin.RowError
}

// read goes through the rows in chunks, each of which is checked on all processors.
func (d *dryRun) read(ctx context.Context, r *Reader, size int64) error {
	for {
		if err := ctx.Err(); err != nil {
			return robin.Errorf(robin.CodeCanceled, "the dry run was canceled: %w", err)
		}
		var rows []*checked
		bytes := 0
		var end error
		for len(rows) < 4*defaultBatch && bytes < batchBytes {
			row, err := r.Next()
			if err != nil {
				end = err
				break
			}
			bytes += len(row.Raw)
			if row.Err == nil && d.cleaner != nil {
				if row.Text == "" {
					row.Text = string(row.Raw)
				}
				row.Raw = d.cleaner.clean(row.Raw, row.Line)
				d.report.Coerced += d.cleaner.coerced
				d.report.Dropped += d.cleaner.dropped
				room := robin.MaxValueChanges - len(d.report.Changes)
				d.report.Changes = append(d.report.Changes, d.cleaner.changes[:min(room, len(d.cleaner.changes))]...)
			}
			rows = append(rows, &checked{Row: row})
		}
		d.check(rows)
		for _, row := range rows {
			d.count(row)
		}
		d.progress(r, size, end != nil)
		if errors.Is(end, io.EOF) {
			return nil
		}
		if end != nil {
			return end
		}
	}
}

func (d *dryRun) check(rows []*checked) {
	var wg sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		wg.Go(func() {
			for i := w; i < len(rows); i += workers {
				row := rows[i]
				if row.bad = row.Err; row.bad != nil {
					continue
				}
				row.id, row.hasID = member(row.Raw, d.settings.IDField)
				if row.text, row.bad = d.checker.Check(row.Raw); row.bad == nil && row.text != "" && d.checker.MaxTokens() > 0 {
					row.tokens = d.checker.Tokens(row.text)
				}
			}
		})
	}
	wg.Wait()
}

func (d *dryRun) count(row *checked) {
	r := &d.report
	r.Total++
	if row.bad != nil {
		r.Failed++
		row.bad.Line = row.Line
		if len(r.Errors) < d.o.MaxErrors {
			r.Errors = append(r.Errors, *row.bad)
		}
		d.failed.add(row.Row.text())
		return
	}
	r.Valid++
	if row.hasID {
		if w := d.ids.see(row.id, row.Line); w != nil {
			if w.Code == robin.WarnDuplicateID {
				r.Replaced++
			}
			if len(r.Warnings) < d.o.MaxErrors {
				r.Warnings = append(r.Warnings, *w)
			}
		}
	}
	reads := min(row.tokens, d.checker.MaxTokens())
	if row.tokens > 0 {
		t := &r.Texts
		t.Documents++
		t.Tokens += int64(row.tokens)
		t.Longest = max(t.Longest, row.tokens)
		t.Limit = d.checker.MaxTokens()
		if row.tokens > t.Limit {
			t.Cut++
		}
		d.lengths.add(row.tokens)
	}
	d.readable += int64(reads)
	d.draw(sampled{row.Line, row.Raw, reads})
}

// The sample is large enough for the calibration on a fast machine, and small enough to hold.
const (
	maxSample      = 8192
	maxSampleBytes = 32 << 20
)

// draw keeps each valid document with the same chance (Vitter's algorithm R).
func (d *dryRun) draw(s sampled) {
	if len(d.sample) < maxSample && d.sampleBytes+len(s.raw) <= maxSampleBytes {
		d.sample = append(d.sample, s)
		d.sampleBytes += len(s.raw)
		return
	}
	if i := d.random.IntN(d.report.Valid); i < len(d.sample) {
		d.sampleBytes += len(s.raw) - len(d.sample[i].raw)
		d.sample[i] = s
	}
}

func (d *dryRun) progress(r *Reader, size int64, last bool) {
	if d.o.Progress == nil || !last && time.Since(d.reported) < progressEvery {
		return
	}
	d.reported = time.Now()
	p := robin.Progress{Done: d.report.Total, Failed: d.report.Failed}
	if elapsed := time.Since(d.start).Seconds(); elapsed > 0 {
		p.PerS = float64(p.Done) / elapsed
	}
	if used := r.consumed(); last {
		p.Total = p.Done
	} else if size > 0 && used > 0 {
		p.Total = max(p.Done, int(float64(p.Done)*float64(size)/float64(min(used, size))))
		p.EtaS = float64(p.Total-p.Done) / max(p.PerS, 1)
	}
	d.o.Progress(p)
}

// lengths counts texts by their number of tokens; the last place counts all longer ones.
type lengths struct{ counts [4097]int }

func (l *lengths) add(tokens int) { l.counts[min(tokens, len(l.counts)-1)]++ }

// bands cuts the lengths up to the model's limit into at most 16 bands, and those beyond it where they double.
func (l *lengths) bands(limit int) []robin.LengthBand {
	bands := []robin.LengthBand{}
	if limit <= 0 {
		return bands
	}
	step := max((limit+15)/16, 1)
	for from := 1; from < len(l.counts); {
		to := from + step - 1
		if from <= limit {
			to = min(to, limit)
		} else {
			to = 2 * (from - 1)
		}
		b := robin.LengthBand{From: from, To: to}
		if to >= len(l.counts)-1 {
			to, b.To = len(l.counts)-1, 0
		}
		for _, n := range l.counts[from : to+1] {
			b.Documents += n
		}
		bands = append(bands, b)
		from = to + 1
	}
	for len(bands) > 0 && bands[len(bands)-1].Documents == 0 {
		bands = slices.Delete(bands, len(bands)-1, len(bands))
	}
	return bands
}
