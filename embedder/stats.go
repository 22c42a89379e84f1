package embedder

import (
	"math"
	"sync/atomic"
	"time"

	"robin"
)

// Stats count since Open. Durations are sums.
type Stats struct {
	Calls, Errors      int64
	Texts, Tokens      int64 // embedded, without those from the cache
	PaddedTokens       int64 // computed, padding included
	Truncated          int64 // texts longer than the model reads
	NotFinite          int64 // texts without a usable vector
	Retried, Recovered int64 // texts run again for want of one, and those that have it since
	TokenizerFailures  int64
	Canceled           int64 // texts dropped because their caller left
	Overloaded         int64 // calls refused
	CacheHits          int64
	Batches            int64
	QueryBatches       int64
	FailedBatches      int64
	Tokenize           time.Duration
	Queue              time.Duration // of the longest-waiting text of each call
	Infer              time.Duration
	WaitingQueries     int
	WaitingPassages    int
	TokensPerSecond    float64 // of recent bulk batches
	BulkBatchTokenSize int     // the budget that follows from it
}

type counters struct {
	calls, errors, texts, tokens, padded, truncated, notFinite, canceled, overloaded, hits atomic.Int64
	retried, recovered, tokenizerFailures                                                  atomic.Int64
	batches, queryBatches, failedBatches, tokenize, queue, infer                           atomic.Int64
}

func (c *counters) add(out *Embeddings) {
	t := &out.Timing
	c.calls.Add(1)
	c.hits.Add(int64(t.Cached))
	c.tokenize.Add(int64(t.Tokenize))
	c.queue.Add(int64(t.Queue))
	for _, cut := range out.Truncated {
		if cut {
			c.truncated.Add(1)
		}
	}
	if t.Err == nil {
		return
	}
	c.errors.Add(1)
	switch robin.CodeOf(t.Err) {
	case robin.CodeOverloaded:
		c.overloaded.Add(1)
	case robin.CodeNotFinite:
		for _, v := range out.Vectors {
			if v == nil {
				c.notFinite.Add(1)
			}
		}
	}
}

func (c *counters) ran(kind Kind, texts, tokens, padded int, took time.Duration) {
	c.batches.Add(1)
	if kind == Query {
		c.queryBatches.Add(1)
	}
	c.texts.Add(int64(texts))
	c.tokens.Add(int64(tokens))
	c.padded.Add(int64(padded))
	c.infer.Add(int64(took))
}

// Stats gives the counts so far.
func (e *Embedder) Stats() Stats {
	c := &e.counts
	s := Stats{
		Calls: c.calls.Load(), Errors: c.errors.Load(), Texts: c.texts.Load(), Tokens: c.tokens.Load(),
		PaddedTokens: c.padded.Load(), Truncated: c.truncated.Load(), NotFinite: c.notFinite.Load(),
		Retried: c.retried.Load(), Recovered: c.recovered.Load(), TokenizerFailures: c.tokenizerFailures.Load(),
		Canceled: c.canceled.Load(), Overloaded: c.overloaded.Load(), CacheHits: c.hits.Load(),
		Batches: c.batches.Load(), QueryBatches: c.queryBatches.Load(), FailedBatches: c.failedBatches.Load(),
		Tokenize: time.Duration(c.tokenize.Load()), Queue: time.Duration(c.queue.Load()), Infer: time.Duration(c.infer.Load()),
		TokensPerSecond: math.Float64frombits(e.rate.Load()), BulkBatchTokenSize: e.budget(Passage),
	}
	s.WaitingQueries, s.WaitingPassages = e.queue.waiting()
	return s
}

func modelFailed(err error) error {
	if err == nil {
		return nil
	}
	return robin.Errorf(robin.CodeModelFailed, "%w", err)
}

func dot(a, b []float32) float64 {
	var s float64
	for i := range a {
		s += float64(a[i]) * float64(b[i])
	}
	return s
}

func norm(a []float32) float64 { return math.Sqrt(dot(a, a)) }
