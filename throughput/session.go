package throughput

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"robin/model"
	"robin/model/onnx"
	"robin/model/tokenizer"
)

// bareBudgets are the batch sizes that the bare session may choose among, in tokens.
var bareBudgets = []int{128, 256, 512, 1024, 2048, 4096, 8192}

// session runs a model on texts that are tokenized and sorted already, in the way that it found to be the fastest.
type session struct {
	batches [][]tokenizer.Encoding
	side    int
	budget  int
	runner  *model.Runner
	run     func(*model.Runner, []tokenizer.Encoding) error
}

// probeTexts is the least number of texts, spread over all lengths, that each way is tried on; of many it is one in eight.
const probeTexts = 32

// openSession tries every batch size, in one run with all threads and in a run on each thread side by side.
func openSession(ctx context.Context, f *model.Folder, encodings []tokenizer.Encoding, o Options) (*session, error) {
	run := func(r *model.Runner, batch []tokenizer.Encoding) error {
		_, _, err := r.Vectors(batch)
		return err
	}
	if f.Task == model.Rerank {
		run = func(r *model.Runner, batch []tokenizer.Encoding) error {
			_, err := r.Logits(batch)
			return err
		}
	}
	byLength := slices.Clone(encodings)
	slices.SortStableFunc(byLength, func(a, b tokenizer.Encoding) int { return cmp.Compare(len(b.IDs), len(a.IDs)) })
	var sample []tokenizer.Encoding
	for i := 0; i < len(byLength); i += min(8, max(1, len(byLength)/probeTexts)) {
		sample = append(sample, byLength[i])
	}
	sides := []int{1, o.Threads}
	var best session
	var bestTook time.Duration
	for _, side := range slices.Compact(sides) {
		runner, err := f.OpenRunner(o.Threads / side)
		if err != nil {
			return nil, errors.Join(err, best.Close())
		}
		chosen := false
		for i, budget := range bareBudgets {
			s := session{batches: cut(sample, budget), side: side, budget: budget, runner: runner, run: run}
			if i == 0 {
				err = s.all(ctx) // the first run of a session is slower
			}
			began := time.Now()
			err = errors.Join(err, s.all(ctx))
			took := time.Since(began)
			if err != nil {
				break
			}
			if bestTook == 0 || took < bestTook {
				if best.runner != runner {
					err = best.Close()
				}
				best, bestTook, chosen = s, took, true
			}
		}
		if !chosen {
			err = errors.Join(err, runner.Close())
		}
		if err != nil {
			return nil, errors.Join(err, best.Close())
		}
	}
	best.batches = cut(byLength, best.budget)
	return &best, nil
}

func cut(encodings []tokenizer.Encoding, budget int) (batches [][]tokenizer.Encoding) {
	for len(encodings) > 0 {
		n := model.Rows(len(encodings[0].IDs), budget, len(encodings))
		batches, encodings = append(batches, encodings[:n]), encodings[n:]
	}
	return batches
}

// all runs every batch once.
func (s *session) all(ctx context.Context) error {
	return each(ctx, len(s.batches), s.side, func(_ context.Context, i int) error { return s.run(s.runner, s.batches[i]) })
}

// each calls f with the numbers below n, by some workers that take the next one when they are done with theirs, until one
// fails or ctx ends.
func each(ctx context.Context, n, workers int, f func(ctx context.Context, i int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range workers {
		group.Go(func() error {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return nil
				}
				if err := f(ctx, i); err != nil {
					return err
				}
			}
			return ctx.Err()
		})
	}
	return group.Wait()
}

// Close frees the model. Closing a session that holds none, or that is closed, does nothing.
func (s *session) Close() error {
	if s.runner == nil {
		return nil
	}
	return s.runner.Close()
}

// peak measures bare products, one on each thread.
type peak struct {
	threads int
	kind    onnx.ElementType
	graph   *onnx.Peak
}

func openPeak(f *model.Folder, threads int) (*peak, error) {
	p := &peak{threads: threads, kind: onnx.Float32}
	if f.Integer() {
		p.kind = onnx.Int8
	}
	var err error
	if p.graph, err = onnx.OpenPeak(p.kind, 1); err != nil {
		return nil, err
	}
	_, err = p.measure() // the first run of a session is slower
	return p, err
}

// peakTime is how long the products go on.
const peakTime = 300 * time.Millisecond

func (p *peak) measure() (operationsPerSecond float64, err error) {
	var group errgroup.Group
	rates := make([]float64, p.threads)
	for i := range p.threads {
		group.Go(func() error {
			began, done := time.Now(), 0.0
			for time.Since(began) < peakTime {
				n, err := p.graph.Run()
				if err != nil {
					return err
				}
				done += n
			}
			rates[i] = done / time.Since(began).Seconds()
			return nil
		})
	}
	err = group.Wait()
	for _, r := range rates {
		operationsPerSecond += r
	}
	return operationsPerSecond, err
}

func (p *peak) Close() error { return p.graph.Close() }
