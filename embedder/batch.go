package embedder

import (
	"cmp"
	"math"
	"slices"
	"time"

	"robin/model"
	"robin/model/tokenizer"
)

// windowSize is how many passages are sorted by length together. With 512 product texts the padding is below 5 %.
const windowSize = 512

// batchLocked removes the next batch from the lines. dead is the number of items it dropped because their callers left.
func (q *queue) batchLocked(budget func(Kind) int, queriesOnly bool) (batch []*item, kind Kind, dead int) {
	q.mu.queries, dead = alive(q.mu.queries)
	if len(q.mu.queries) > 0 {
		byLength(q.mu.queries)
		batch, q.mu.queries = cut(q.mu.queries, budget(Query))
		return batch, Query, dead
	}
	if queriesOnly {
		return nil, Query, dead
	}
	var n int
	q.mu.window, n = alive(q.mu.window)
	dead += n
	if len(q.mu.window) == 0 && len(q.mu.passages) > 0 {
		size := min(windowSize, len(q.mu.passages))
		q.mu.window, n = alive(q.mu.passages[:size:size])
		dead += n
		if q.mu.passages = q.mu.passages[size:]; len(q.mu.passages) == 0 {
			q.mu.passages = nil // lets go of the array
		}
		byLength(q.mu.window)
	}
	if len(q.mu.window) > 0 {
		batch, q.mu.window = cut(q.mu.window, budget(Passage))
	}
	return batch, Passage, dead
}

// alive keeps, in place, the items whose callers still wait, and finishes the others.
func alive(line []*item) ([]*item, int) {
	kept := line[:0]
	for _, it := range line {
		if it.call.dead() {
			it.err = it.call.ctx.Err() // nil only for a call that returned already
			it.finish()
			continue
		}
		kept = append(kept, it)
	}
	dead := len(line) - len(kept)
	clear(line[len(kept):])
	return kept, dead
}

func byLength(line []*item) {
	slices.SortStableFunc(line, func(a, b *item) int { return cmp.Compare(len(b.encoding.IDs), len(a.encoding.IDs)) })
}

func cut(line []*item, budget int) (batch, rest []*item) {
	n := model.Rows(len(line[0].encoding.IDs), budget, len(line))
	batch = slices.Clone(line[:n])
	if n == len(line) {
		return batch, nil
	}
	return batch, line[n:]
}

// work runs batches until the queue is closed. Only workers touch the session.
func (e *Embedder) work(queriesOnly bool) {
	defer e.workers.Done()
	if !queriesOnly && e.options.Nice > 0 {
		background(e.options.Nice, func() { e.serve(queriesOnly) })
		return
	}
	e.serve(queriesOnly)
}

func (e *Embedder) serve(queriesOnly bool) {
	for {
		batch, kind, dropped, ok := e.queue.take(e.budget, queriesOnly)
		e.counts.canceled.Add(int64(dropped))
		if !ok {
			return
		}
		e.run(batch, kind)
	}
}

// budget is the number of tokens of the next batch.
func (e *Embedder) budget(kind Kind) int {
	if kind == Query {
		return e.options.MaxBatchTokens
	}
	rate := math.Float64frombits(e.rate.Load())
	return min(e.options.MaxBatchTokens, max(minBatchTokens, int(rate*e.options.BatchTime.Seconds())))
}

// minBatchTokens keeps batches worth their start on slow machines.
const minBatchTokens = 64

// learn moves the measured speed by a tenth of the difference. Short batches say little about it.
func (e *Embedder) learn(tokens int, took time.Duration) {
	if tokens < minBatchTokens || took <= 0 {
		return
	}
	now := float64(tokens) / took.Seconds()
	if old := math.Float64frombits(e.rate.Load()); old > 0 {
		now = old + (now-old)/10
	}
	e.rate.Store(math.Float64bits(now))
}

// run embeds a batch. When it fails and has several texts, each is tried alone, so that one caller's text cannot fail
// another's.
func (e *Embedder) run(batch []*item, kind Kind) {
	began := time.Now()
	encodings := make([]tokenizer.Encoding, len(batch))
	tokens := 0
	for i, it := range batch {
		it.waited = began.Sub(it.queued)
		encodings[i] = it.encoding
		tokens += len(it.encoding.IDs)
	}
	vectors, lengths, err := e.runner.Vectors(encodings)
	took := time.Since(began)
	e.counts.ran(kind, len(batch), tokens, len(batch)*len(batch[0].encoding.IDs), took)
	if err != nil && len(batch) > 1 {
		e.counts.failedBatches.Add(1)
		for _, it := range batch {
			it.runAlone(e)
		}
		return
	}
	if kind == Passage {
		e.learn(len(batch)*len(batch[0].encoding.IDs), took)
	}
	var unusable []*item
	for i, it := range batch {
		it.ran = took
		if it.err = modelFailed(err); err == nil {
			it.vector, it.length = vectors[i], lengths[i]
		}
		if it.err == nil && it.vector == nil {
			unusable = append(unusable, it)
			continue
		}
		it.finish()
	}
	for _, it := range unusable {
		it.runAgain(e, len(batch) > 1)
		it.finish()
	}
}

func (it *item) runAlone(e *Embedder) {
	began := time.Now()
	vectors, lengths, err := e.runner.Vectors([]tokenizer.Encoding{it.encoding})
	it.ran = time.Since(began)
	if it.err = modelFailed(err); err == nil {
		if it.vector, it.length = vectors[0], lengths[0]; it.vector == nil {
			it.runAgain(e, false)
		}
	}
	it.finish()
}

// runAgain looks for the vector of a text that came out without a usable one: alone, since another text of its batch may be at
// fault, and in float32, where the model has such a graph.
func (it *item) runAgain(e *Embedder, together bool) {
	if len(it.encoding.IDs) == 0 || it.call.dead() || !together && e.rescue == nil {
		return
	}
	e.counts.retried.Add(1)
	began := time.Now()
	if together {
		if v, lengths, err := e.runner.Vectors([]tokenizer.Encoding{it.encoding}); err == nil {
			it.vector, it.length = v[0], lengths[0]
		}
	}
	if it.vector == nil {
		it.vector, it.length = e.rescue.Vector(it.encoding)
	}
	if it.ran += time.Since(began); it.vector != nil {
		e.counts.recovered.Add(1)
	}
}
