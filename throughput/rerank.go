package throughput

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"robin/model"
	"robin/model/tokenizer"
	"robin/rerank"
)

// queryWords is how many words of a text ask for it and its neighbours.
const queryWords = 4

// Rerank measures a cross-encoder of the folder's model, one call after the other as a search makes them. The query of a
// call is the beginning of one of its passages.
func Rerank(ctx context.Context, f *model.Folder, passages []string, o Options) (rep *Report, err error) {
	o = o.withDefaults(25)
	// A call with fewer pairs would count among the others.
	passages = passages[:len(passages)-len(passages)%o.Batch]
	if len(passages) == 0 {
		return nil, errNoTexts
	}
	c, err := rerank.OpenCrossEncoder(f, rerank.CrossEncoderOptions{Workers: o.Threads})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	groups := slices.Collect(slices.Chunk(passages, o.Batch))
	queries := make([]string, len(groups))
	for i, group := range groups {
		words := strings.Fields(group[len(group)/2])
		queries[i] = strings.Join(words[:min(queryWords, len(words))], " ")
	}
	m, err := newMeasurement(ctx, "rerank", f, o, func(i int) tokenizer.Encoding {
		return f.EncodePair(queries[i/o.Batch], passages[i])
	}, len(passages))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	for _, p := range passages {
		m.report.Bytes += len(p)
	}
	var calls []time.Duration
	var tokenize time.Duration
	pass := func() error {
		for i, group := range groups {
			began := time.Now()
			out, err := c.ScoreReport(ctx, queries[i], group)
			if err != nil {
				return err
			}
			calls = append(calls, time.Since(began))
			tokenize += out.Tokenize
		}
		return nil
	}
	if err := pass(); err != nil {
		return nil, err
	}
	calls, tokenize = calls[:0], 0
	before := c.Stats()
	rounds, err := contest(ctx, o, pass, m.bare, m.peak)
	if err != nil {
		return nil, err
	}
	after := c.Stats()
	var all time.Duration
	for _, t := range calls {
		all += t
	}
	// Batches run side by side: their sum counts each thread's time.
	infer := (after.Infer - before.Infer) / time.Duration(o.Threads)
	padded := float64(after.PaddedTokens - before.PaddedTokens)
	m.report.Shares = shares(tokenize, max(0, all-tokenize-infer), infer, 1-float64(after.Tokens-before.Tokens)/padded)
	m.report.fill(rounds, calls, m.operations)
	return m.report, nil
}
