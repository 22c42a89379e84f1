package rerank

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"robin"
	"robin/model"
	"robin/model/tokenizer"
)

// CrossEncoderOptions configure a CrossEncoder. The zero value works.
type CrossEncoderOptions struct {
	// Workers run batches side by side in one session, each with Threads threads; concurrent calls share them. Default: a
	// worker per core with one thread each, for the reason given at embedder.Options.
	Workers, Threads int
	// BatchTokens bounds a batch, padding included: its memory, and how long a call goes on after its context ended. Small
	// batches share the work evenly, pad less (25 product texts: 4 % at 128 tokens, 11 % at 256) and cost nothing. Default 128.
	BatchTokens int
}

// CrossEncoder scores how well passages answer a query, reading both together.
type CrossEncoder struct {
	folder  *model.Folder
	options CrossEncoderOptions
	runner  *model.Runner
	rescue  *model.Rescue // for pairs whose score is not finite
	slots   chan struct{} // one per worker; a batch runs while it holds one
	counts  struct {
		calls, pairs, tokens, padded, truncated, notFinite, errors, infer atomic.Int64
		retried, recovered, tokenizerFailures                             atomic.Int64
	}
}

// CrossEncoderStats count since OpenCrossEncoder. Infer is a sum.
type CrossEncoderStats struct {
	Calls, Pairs, Tokens, PaddedTokens int64
	Truncated                          int64 // pairs longer than the model reads
	NotFinite                          int64 // pairs whose score was NaN or infinite, also alone and in float32
	Retried, Recovered                 int64 // pairs run again for that, and those with a score since
	TokenizerFailures                  int64
	Errors                             int64
	Infer                              time.Duration
}

// OpenCrossEncoder loads the folder's model and runs it once, so that the first query is as fast as the next, and a model
// whose graph does not do what its folder says is found out here.
func OpenCrossEncoder(folder *model.Folder, o CrossEncoderOptions) (*CrossEncoder, error) {
	if folder.Task != model.Rerank {
		return nil, fmt.Errorf("model %s is for embedding, not for reranking: name a cross-encoder", folder.Name)
	}
	if o.Workers <= 0 {
		o.Workers = runtime.NumCPU()
	}
	if o.Threads <= 0 {
		o.Threads = 1
	}
	if o.BatchTokens <= 0 {
		o.BatchTokens = 128
	}
	runner, err := folder.OpenRunner(o.Threads)
	if err != nil {
		return nil, err
	}
	c := &CrossEncoder{folder: folder, options: o, runner: runner, rescue: folder.Rescue(runner), slots: make(chan struct{}, o.Workers)}
	for range 2 {
		if _, err := c.Score(context.Background(), "coffee mug", []string{"Insulated travel mug, 0.5 l, keeps drinks hot for six hours", "Mug"}); err != nil {
			return nil, errors.Join(fmt.Errorf("the first run failed: %w", err), c.Close())
		}
	}
	return c, nil
}

// Score gives a number per passage; larger is better, and from 0 to 1 when the model's activation is the sigmoid. ctx is
// looked at between batches. A score that is not finite is an error: an order made with it would mean nothing.
func (c *CrossEncoder) Score(ctx context.Context, query string, passages []string) ([]float32, error) {
	r, err := c.ScoreReport(ctx, query, passages)
	return r.Scores, err
}

// Report is what ScoreReport says beside the scores.
type Report struct {
	Scores    []float32
	Truncated []bool // pairs longer than the model reads; of those the longer text is cut
	Tokens    int    // that the model read
	Tokenize  time.Duration
	Infer     time.Duration // with the wait for workers
}

// ScoreReport is Score, and says what the model read.
func (c *CrossEncoder) ScoreReport(ctx context.Context, query string, passages []string) (r Report, err error) {
	c.counts.calls.Add(1)
	defer func() {
		if err != nil {
			c.counts.errors.Add(1)
		}
	}()
	pairs := make([]tokenizer.Encoding, len(passages))
	lengths := make([]int, len(passages))
	r = Report{Scores: make([]float32, len(passages)), Truncated: make([]bool, len(passages))}
	began := time.Now()
	for i, p := range passages {
		if pairs[i], err = c.folder.TryEncodePair(query, p); err != nil {
			c.counts.tokenizerFailures.Add(1)
			return Report{}, robin.Errorf(robin.CodeModelFailed, "model %s: passage %d: %w", c.folder.Name, i, err)
		}
		lengths[i] = len(pairs[i].IDs)
		r.Tokens += lengths[i]
		if r.Truncated[i] = pairs[i].Truncated; r.Truncated[i] {
			c.counts.truncated.Add(1)
		}
	}
	r.Tokenize = time.Since(began)
	batches := model.Batches(lengths, c.options.BatchTokens)
	group, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range min(c.options.Workers, len(batches)) {
		group.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(batches) {
					return nil
				}
				if err := c.batch(ctx, pairs, batches[i], r.Scores); err != nil {
					return err
				}
			}
		})
	}
	if err := group.Wait(); err != nil {
		return Report{}, err
	}
	r.Infer = time.Since(began) - r.Tokenize
	return r, nil
}

// batch scores the pairs at rows.
func (c *CrossEncoder) batch(ctx context.Context, pairs []tokenizer.Encoding, rows []int, scores []float32) error {
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	batch := make([]tokenizer.Encoding, len(rows))
	tokens := 0
	for i, row := range rows {
		batch[i] = pairs[row]
		tokens += len(batch[i].IDs)
	}
	began := time.Now()
	logits, err := c.runner.Logits(batch)
	if err != nil {
		return robin.Errorf(robin.CodeModelFailed, "%w", err)
	}
	c.counts.infer.Add(int64(time.Since(began)))
	c.counts.pairs.Add(int64(len(rows)))
	c.counts.tokens.Add(int64(tokens))
	c.counts.padded.Add(int64(len(rows) * len(batch[0].IDs)))
	for i, row := range rows {
		x := float64(logits[i])
		if !finite(x) {
			x = c.again(batch[i], len(rows) > 1)
		}
		if !finite(x) {
			c.counts.notFinite.Add(1)
			return robin.Errorf(robin.CodeModelFailed, "model %s gave the score %v for passage %d", c.folder.Name, x, row)
		}
		if c.folder.Activation == "sigmoid" {
			x = 1 / (1 + math.Exp(-x))
		}
		scores[row] = float32(x)
	}
	return nil
}

// again looks for the score of a pair that came out without a finite one: alone, since another pair of its batch may be at fault,
// and in float32, where the model has such a graph.
func (c *CrossEncoder) again(pair tokenizer.Encoding, together bool) float64 {
	x := math.NaN()
	if !together && c.rescue == nil {
		return x
	}
	c.counts.retried.Add(1)
	if together {
		if logits, err := c.runner.Logits([]tokenizer.Encoding{pair}); err == nil {
			x = float64(logits[0])
		}
	}
	if !finite(x) {
		x = float64(c.rescue.Logit(pair))
	}
	if finite(x) {
		c.counts.recovered.Add(1)
	}
	return x
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// Close waits for running batches and frees the model.
func (c *CrossEncoder) Close() error { return errors.Join(c.rescue.Close(), c.runner.Close()) }

// LoadRescue loads the float32 graph that the folder may have beside its own, and compares the two. Without it that is done for
// the first pair that needs it.
func (c *CrossEncoder) LoadRescue() error { return c.rescue.Load() }

// Name is the model's name.
func (c *CrossEncoder) Name() string { return c.folder.Name }

// Fingerprint is the SHA-256 over everything that decides the scores.
func (c *CrossEncoder) Fingerprint() string { return c.folder.Fingerprint }

// Version names the model for answers.
func (c *CrossEncoder) Version() robin.ModelVersion { return c.folder.ModelVersion() }

// Info is what the folder says about the model.
func (c *CrossEncoder) Info() model.Info { return c.folder.Info }

// Stats gives the counts so far.
func (c *CrossEncoder) Stats() CrossEncoderStats {
	n := &c.counts
	return CrossEncoderStats{
		Calls: n.calls.Load(), Pairs: n.pairs.Load(), Tokens: n.tokens.Load(), PaddedTokens: n.padded.Load(),
		Retried: n.retried.Load(), Recovered: n.recovered.Load(), TokenizerFailures: n.tokenizerFailures.Load(),
		Truncated: n.truncated.Load(), NotFinite: n.notFinite.Load(), Errors: n.errors.Load(), Infer: time.Duration(n.infer.Load()),
	}
}
