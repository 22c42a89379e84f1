package importer

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"slices"
	"sync"
	"time"

	"robin"
)

// The calibration imports until it has run for trialFor, after trialWarm batches that are not counted: the first ones
// load the model's pages and open files. It does not end before trialLeast batches are counted.
const (
	trialFor   = 2 * time.Second
	trialWarm  = 2
	trialLeast = 4
)

// estimate imports a part of the sample and scales what that cost to the whole file.
func (d *dryRun) estimate(ctx context.Context, at Rehearsal) (*robin.Estimate, error) {
	trial, err := at.Trial(ctx, d.o.Collection, d.settings)
	if err != nil {
		return nil, err
	}
	// A part of the sample has to be as even as the whole.
	d.random.Shuffle(len(d.sample), func(i, j int) { d.sample[i], d.sample[j] = d.sample[j], d.sample[i] })
	feed := &trialFeed{sample: d.sample}
	w := &timedWriter{to: trial, feed: feed}
	r, err := Open(Source{Reader: feed, Format: JSONL})
	if err == nil {
		_, err = Run(ctx, r, 0, w, Options{Collection: d.o.Collection, IDField: d.settings.IDField})
		r.Close()
	}
	disk, closeErr := trial.Close()
	if err != nil {
		return nil, err
	}
	if closeErr != nil {
		return nil, closeErr
	}
	return d.scale(w, disk), nil
}

// trialFeed gives the sample as JSONL until it is told to end.
type trialFeed struct {
	sample []sampled
	mu     sync.Mutex
	next   int
	ended  bool
	buf    bytes.Buffer
}

func (f *trialFeed) end() { f.mu.Lock(); f.ended = true; f.mu.Unlock() }

func (f *trialFeed) Read(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.buf.Len() == 0 && !f.ended && f.next < len(f.sample) {
		var line bytes.Buffer
		if json.Compact(&line, f.sample[f.next].raw) == nil {
			f.buf.Write(append(line.Bytes(), '\n'))
		}
		f.next++
	}
	return f.buf.Read(p)
}

// timedWriter notes when each batch was written, and ends the feed when that is enough.
type timedWriter struct {
	to    Trial
	feed  *trialFeed
	mu    sync.Mutex
	begun time.Time
	done  []writtenAt
	first time.Time // when the batches began to count
}

type writtenAt struct {
	at        time.Time
	documents int
}

func (w *timedWriter) Write(ctx context.Context, collection string, action robin.Action, docs []json.RawMessage) (robin.WriteResult, error) {
	w.mu.Lock()
	if w.begun.IsZero() {
		w.begun = time.Now()
	}
	w.mu.Unlock()
	res, err := w.to.Write(ctx, collection, action, docs)
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	w.done = append(w.done, writtenAt{now, len(docs)})
	if len(w.done) == trialWarm {
		w.first = now
	}
	if counted := len(w.done) - trialWarm; counted >= trialLeast && now.Sub(w.first) >= trialFor {
		w.feed.end()
	}
	return res, err
}

// scale works out the whole from the trial. Most of a document's time goes into reading its tokens, so that the sample's
// rate is set right by the tokens of the file; each doubling of the graph adds one step to the way of every insertion.
func (d *dryRun) scale(w *timedWriter, disk int64) *robin.Estimate {
	documents := 0
	for _, b := range w.done {
		documents += b.documents
	}
	e := &robin.Estimate{Sample: documents}
	if documents == 0 {
		return e
	}
	slices.SortFunc(w.done, func(a, b writtenAt) int { return a.at.Compare(b.at) })
	last := w.done[len(w.done)-1].at
	e.SampleS = last.Sub(w.begun).Seconds()
	counted, from := documents, w.begun
	if len(w.done) > trialWarm {
		from, counted = w.first, 0
		for _, b := range w.done[trialWarm:] {
			counted += b.documents
		}
	}
	perDocument := last.Sub(from).Seconds() / float64(counted)

	tokens := 0
	for _, s := range d.sample[:min(documents, len(d.sample))] {
		tokens += s.tokens
	}
	longer := 1.0
	if tokens > 0 && d.report.Valid > 0 {
		ofFile := float64(d.readable) / float64(d.report.Valid)
		longer = ofFile / (float64(tokens) / float64(documents))
	}
	distinct := d.report.Valid - d.report.Replaced
	share := graphShare
	if d.checker.MaxTokens() == 0 {
		share = graphShareAlone
	}
	e.Seconds = float64(d.report.Valid) * perDocument * longer * growth(share, documents, d.existing, d.existing+distinct)
	e.PerS = float64(d.report.Valid) / e.Seconds
	e.DiskBytes = int64(float64(disk) / float64(documents) * float64(distinct))
	e.MemoryBytes = int64(distinct) * memoryOf(d.checker.Dim())
	return e
}

// How much of the time of a document a doubling of the graph adds. With a model, the model takes nearly all of it.
// Without one a million documents with 256 numbers each took 9 % more processor time at their end than in their first
// tenth.
const (
	graphShare      = 0.01
	graphShareAlone = 0.03
)

// growth is how much longer a document takes on average while a collection grows from one size to another, against one
// that grows from nothing to trial documents. share is what a doubling adds.
func growth(share float64, trial, from, to int) float64 {
	steps := (math.Log2(float64(max(from, 1))) + math.Log2(float64(max(to, 1)))) / 2
	if from == 0 { // the mean of log2 over 1…n is log2(n) − 1.44
		steps = math.Log2(float64(max(to, 1)))
	}
	return 1 + share*max(steps-math.Log2(float64(max(trial, 1))), 0)
}

// memoryOf is what a document adds to the memory in use: its vector and the code that the graph is built by, its links in
// the graph (up to 32 on the lowest layer, of 4 bytes), and about as much again for attributes, ids and the text index's part.
func memoryOf(dim int) int64 { return int64(4*dim + dim + 2*32*4) }
