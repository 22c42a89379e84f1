package throughput

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"robin/model"
)

// Tokenize measures the folder's tokenizer, on each thread by itself.
func Tokenize(ctx context.Context, f *model.Folder, texts []string, o Options) (*Report, error) {
	o = o.withDefaults(256)
	if len(texts) == 0 {
		return nil, errNoTexts
	}
	rep := newReport("tokenize", f, o)
	rep.Machine.Runtime = "" // takes no part
	rep.Texts = len(texts)
	for _, t := range texts {
		rep.Bytes += len(t)
	}
	groups := slices.Collect(slices.Chunk(texts, o.Batch))
	took := make([]time.Duration, len(groups))
	var calls []time.Duration
	pass := func() error {
		var tokens atomic.Int64
		err := each(ctx, len(groups), o.Threads, func(_ context.Context, i int) error {
			began := time.Now()
			n := 0
			for _, text := range groups[i] {
				n += len(f.Encode(f.PassagePrefix, text).IDs)
			}
			took[i] = time.Since(began)
			tokens.Add(int64(n))
			return nil
		})
		rep.Tokens = int(tokens.Load())
		calls = append(calls, took...)
		return err
	}
	if err := pass(); err != nil {
		return nil, err
	}
	calls = nil
	o.Progress("tokenize")
	rounds, err := contest(ctx, o, pass, nil, nil)
	if err != nil {
		return nil, err
	}
	rep.fill(rounds, calls, 0)
	return rep, nil
}
