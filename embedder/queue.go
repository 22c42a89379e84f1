package embedder

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"robin"
	"robin/model/tokenizer"
)

// call is one Embed. open counts its texts in the queue, and its caller while that still adds some.
type call struct {
	ctx  context.Context
	gone atomic.Bool // the caller gave up
	open atomic.Int64
	done chan struct{} // closed when open falls to 0
}

func (c *call) dead() bool { return c.gone.Load() || c.ctx.Err() != nil }

func (c *call) abandon() { c.gone.Store(true) }

// item is one text on its way. Its results are written by a worker before the call's open count falls, and read by the
// caller after.
type item struct {
	call     *call
	index    int // in the call's texts
	encoding tokenizer.Encoding
	queued   time.Time

	vector []float32 // nil when err is set or the model gave nothing usable
	length float32
	err    error
	waited time.Duration
	ran    time.Duration
}

func (it *item) finish() {
	if it.call.open.Add(-1) == 0 {
		close(it.call.done)
	}
}

// queue holds the texts that wait, queries and passages apart. Its waiters are woken by closing and replacing changed.
type queue struct {
	size int // passages; queries have an eighth
	mu   struct {
		sync.Mutex
		queries  []*item
		passages []*item
		// window holds passages taken from the head of the line and sorted by length, longest first. It is used up before the
		// next is taken, so that no length waits for ever.
		window  []*item
		closed  bool
		changed chan struct{}
	}
}

func newQueue(size int) *queue {
	q := &queue{size: size}
	q.mu.changed = make(chan struct{})
	return q
}

func (q *queue) wakeLocked() {
	close(q.mu.changed)
	q.mu.changed = make(chan struct{})
}

// retryAfter is a guess at when a full queue has room: it holds a few seconds of work.
const retryAfter = time.Second

// put adds items, or says that there is no room. With wait it waits for room instead. Items that fit only into an empty
// queue are let into an empty one.
func (q *queue) put(ctx context.Context, items []item, kind Kind, wait bool) error {
	if len(items) == 0 {
		return nil
	}
	for {
		q.mu.Lock()
		if q.mu.closed {
			q.mu.Unlock()
			return ErrClosed
		}
		line, size := &q.mu.passages, q.size
		used := len(q.mu.passages) + len(q.mu.window)
		if kind == Query {
			line, size = &q.mu.queries, max(1, q.size/8)
			used = len(q.mu.queries)
		}
		if used == 0 || used+len(items) <= size {
			now := time.Now()
			items[0].call.open.Add(int64(len(items)))
			for i := range items {
				items[i].queued = now
				*line = append(*line, &items[i])
			}
			q.wakeLocked()
			q.mu.Unlock()
			return nil
		}
		changed := q.mu.changed
		q.mu.Unlock()
		if !wait {
			err := robin.Errorf(robin.CodeOverloaded, "the embedding queue is full (%d texts wait, %d more do not fit into %d): try again shortly", used, len(items), size)
			err.RetryAfter = retryAfter
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// take waits for work and gives the next batch: queries before passages, and with queriesOnly nothing else, of similar length,
// rows × longest within budget tokens. It gives false when the queue is closed and empty. Dead items are finished on the way
// and counted.
func (q *queue) take(budget func(Kind) int, queriesOnly bool) (batch []*item, kind Kind, dropped int, ok bool) {
	for {
		q.mu.Lock()
		if q.mu.closed {
			q.mu.Unlock()
			return nil, 0, dropped, false
		}
		var dead int
		batch, kind, dead = q.batchLocked(budget, queriesOnly)
		dropped += dead
		if len(batch) > 0 || dead > 0 {
			q.wakeLocked()
		}
		changed := q.mu.changed
		q.mu.Unlock()
		if len(batch) > 0 {
			return batch, kind, dropped, true
		}
		if dead == 0 {
			<-changed
		}
	}
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.mu.closed {
		return
	}
	q.mu.closed = true
	for _, line := range [][]*item{q.mu.queries, q.mu.window, q.mu.passages} {
		for _, it := range line {
			it.err = ErrClosed
			it.finish()
		}
	}
	q.mu.queries, q.mu.window, q.mu.passages = nil, nil, nil
	q.wakeLocked()
}

// waiting counts the texts in the queue.
func (q *queue) waiting() (queries, passages int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.mu.queries), len(q.mu.passages) + len(q.mu.window)
}
