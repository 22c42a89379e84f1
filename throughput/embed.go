package throughput

import (
	"context"
	"errors"
	"slices"
	"time"

	"robin/embedder"
	"robin/model"
	"robin/model/tokenizer"
)

// callers embed at the same time, as an import has it: one batch is tokenized while another runs.
const callers = 2

// Embed measures an embedder of the folder's model on texts, from strings to vectors.
func Embed(ctx context.Context, f *model.Folder, texts []string, o Options) (rep *Report, err error) {
	o = o.withDefaults(256)
	if len(texts) == 0 {
		return nil, errNoTexts
	}
	e, err := embedder.Open(f, embedder.Options{Workers: o.Threads})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	m, err := newMeasurement(ctx, "embed", f, o, func(i int) tokenizer.Encoding { return f.Encode(f.PassagePrefix, texts[i]) }, len(texts))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	for _, t := range texts {
		m.report.Bytes += len(t)
	}
	groups := slices.Collect(slices.Chunk(texts, o.Batch))
	timings := make([]embedder.Timing, len(groups))
	took := make([]time.Duration, len(groups))
	var calls []time.Duration
	var sum embedder.Timing
	pass := func() error {
		return each(ctx, len(groups), callers, func(ctx context.Context, i int) error {
			began := time.Now()
			out, err := e.Embed(ctx, groups[i], embedder.Passage)
			took[i], timings[i] = time.Since(began), out.Timing
			return err
		})
	}
	if err := pass(); err != nil { // warms up, and lets the embedder learn its speed
		return nil, err
	}
	before := e.Stats()
	rounds, err := contest(ctx, o, func() error {
		err := pass()
		calls = append(calls, took...)
		for _, t := range timings {
			sum.Tokenize += t.Tokenize
			sum.Queue += t.Queue
			sum.Infer += t.Infer
		}
		return err
	}, m.bare, m.peak)
	if err != nil {
		return nil, err
	}
	after := e.Stats()
	padded := float64(after.PaddedTokens - before.PaddedTokens)
	m.report.Shares = shares(sum.Tokenize, sum.Queue, sum.Infer, 1-float64(after.Tokens-before.Tokens)/padded)
	m.report.fill(rounds, calls, m.operations)
	return m.report, nil
}

func shares(tokenize, queue, infer time.Duration, padding float64) *Shares {
	all := (tokenize + queue + infer).Seconds()
	return &Shares{Tokenize: tokenize.Seconds() / all, Queue: queue.Seconds() / all, Infer: infer.Seconds() / all, Padding: padding}
}

// measurement is what embedding and reranking are compared with.
type measurement struct {
	report     *Report
	session    *session
	bare       func() error
	peak       *peak
	operations float64 // of all texts; 0 when unknown
}

func newMeasurement(ctx context.Context, task string, f *model.Folder, o Options, encode func(int) tokenizer.Encoding, n int) (*measurement, error) {
	m := &measurement{report: newReport(task, f, o)}
	m.report.Texts = n
	encodings := make([]tokenizer.Encoding, n)
	for i := range encodings {
		encodings[i] = encode(i)
		m.report.Tokens += len(encodings[i].IDs)
		m.operations += f.Operations(len(encodings[i].IDs))
	}
	if o.Alone {
		return m, nil
	}
	o.Progress("look for the session's best batches")
	var err error
	if m.session, err = openSession(ctx, f, encodings, o); err != nil {
		return nil, err
	}
	m.bare = func() error { return m.session.all(ctx) }
	m.report.Bare = &Bare{BatchTokens: m.session.budget, Side: m.session.side}
	if m.operations > 0 {
		o.Progress("multiply matrices")
		if m.peak, err = openPeak(f, o.Threads); err != nil {
			return nil, errors.Join(err, m.Close())
		}
		m.report.Peak = &Peak{Type: m.peak.kind.String()}
	}
	o.Progress(task + " in turns")
	return m, nil
}

// Close frees the sessions.
func (m *measurement) Close() error {
	var errs []error
	if m.peak != nil {
		errs = append(errs, m.peak.Close())
	}
	if m.session != nil {
		errs = append(errs, m.session.Close())
	}
	return errors.Join(errs...)
}
