// Package embedder turns texts into vectors. Callers' texts meet in one bounded queue, are batched by length up to a token
// budget, and run through the model; queries have a lane and a worker of their own, and wait for no batch of bulk work.
// The starter model travels in this package.
package embedder

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"robin"
	"robin/model"
	"robin/model/tokenizer"
)

// Kind says what a text is. Some models were trained with a different prefix for each.
type Kind int

// The kinds.
const (
	Passage Kind = iota // what a document says
	Query               // what a user searches for; goes ahead of passages
)

// Options configure an Embedder. The zero value works.
type Options struct {
	// Workers run batches side by side in one session, each with Threads threads. Default: a worker per core with one thread
	// each. Against one worker with two threads that was 1.7 times as fast in bulk on 2 busy cores (525 and 314 texts/s),
	// because threads of one run wait for each other after every operator. One more worker takes queries alone.
	Workers, Threads int
	// Nice is how far the threads of bulk work stand back for others, 0 to 19 on the scale of nice(2); Linux only. A query that
	// comes while they are on every core is then run at once, and not when a time slice ends: beside an import on 2 cores the
	// P95 of its embedding was 4.7 ms with 0, 1.5 with 5, 1.1 with 10 or 19; with nothing beside it 0.9.
	Nice int
	// MaxBatchTokens bounds a batch, padding included, and so the memory of a run. Default 2048. More than
	// 512 tokens gained nothing on CPUs.
	MaxBatchTokens int
	// BatchTime is how long a batch of bulk work should take, and so how long a call goes on after its context ended. Batches
	// are sized by the speed measured so far. Default 10 ms.
	BatchTime time.Duration
	// QueueSize is the number of passages that may wait. Default 4096. As many queries may wait as one in eight of it.
	QueueSize int
	// CacheSize is the number of query vectors kept. Default 1024; negative: none.
	CacheSize int
	// Observe is told of every finished Embed. It is called by the callers' goroutines.
	Observe func(Timing)
}

// Timing says where the time of one Embed went.
type Timing struct {
	Kind     Kind
	Texts    int
	Cached   int // answered from the cache
	Tokens   int
	Tokenize time.Duration
	Queue    time.Duration // the longest wait of a text for its batch
	Infer    time.Duration // the longest batch
	Err      error
}

// Embeddings are the vectors of some texts, in their order. The caller owns them.
type Embeddings struct {
	Vectors   [][]float32
	Lengths   []float32     // that the vectors had before they were scaled to 1
	Tokens    []int         // of each text before truncation, special tokens included
	Truncated []bool        // whether the text had more tokens than the model reads
	Faults    map[int]error // what the tokenizer failed with on texts that have no vector for that
	Timing    Timing
}

// ErrClosed is returned by Embed after Close.
var ErrClosed = errors.New("the embedder is closed")

// NotFiniteError names the texts for which the model gave NaN, infinity or a vector without direction, also alone and in
// float32, and those that its tokenizer failed on. The other texts of the call have their vectors.
type NotFiniteError struct {
	Model   string
	Indexes []int
	Faults  map[int]error // as in Embeddings
}

// Error names the texts by position.
func (e *NotFiniteError) Error() string {
	for _, i := range e.Indexes {
		if fault := e.Faults[i]; fault != nil {
			return fmt.Sprintf("model %s gave no usable vector for the texts at %v: %v", e.Model, e.Indexes, fault)
		}
	}
	return fmt.Sprintf("model %s gave no usable vector (NaN, infinite or zero) for the texts at %v", e.Model, e.Indexes)
}

// Embedder embeds texts with one model. Its workers own the model's session; Close ends them.
type Embedder struct {
	folder  *model.Folder
	options Options
	runner  *model.Runner
	rescue  *model.Rescue // for texts that come out without a usable vector
	cache   *cache
	queue   *queue
	workers sync.WaitGroup
	rate    atomic.Uint64 // float64 bits of the tokens per second of recent batches
	counts  counters
}

// Open loads the folder's model and runs it once, so that the first query is as fast as the next, and a model whose graph
// does not do what its folder says is found out here.
func Open(folder *model.Folder, o Options) (*Embedder, error) {
	if folder.Task != model.Embed {
		return nil, fmt.Errorf("model %s is for reranking, not for embedding: name a bi-encoder", folder.Name)
	}
	o = o.withDefaults()
	runner, err := folder.OpenRunner(o.Threads)
	if err != nil {
		return nil, err
	}
	e := &Embedder{folder: folder, options: o, runner: runner, rescue: folder.Rescue(runner), cache: newCache(o.CacheSize), queue: newQueue(o.QueueSize)}
	if err := e.warmUp(); err != nil {
		return nil, errors.Join(err, runner.Close())
	}
	// While bulk batches run on every core, the system gives a thread that has slept its turn soon: the worker for queries
	// shares a core with a batch and does not wait for its end. It took the P95 of a query beside an import from 21 ms to 5,
	// and with Nice to 1.1.
	for i := range o.Workers + 1 {
		e.workers.Add(1)
		go e.work(i == o.Workers)
	}
	return e, nil
}

func (o Options) withDefaults() Options {
	if o.Workers <= 0 {
		o.Workers = runtime.NumCPU()
	}
	if o.Threads <= 0 {
		o.Threads = 1
	}
	if o.MaxBatchTokens <= 0 {
		o.MaxBatchTokens = 2048
	}
	if o.BatchTime <= 0 {
		o.BatchTime = 10 * time.Millisecond
	}
	if o.QueueSize <= 0 {
		o.QueueSize = 4096
	}
	if o.CacheSize == 0 {
		o.CacheSize = 1024
	}
	return o
}

// warmUp runs texts of several lengths, proves that padding does not change a vector, and learns the speed.
func (e *Embedder) warmUp() error {
	const text = "insulated travel mug that keeps coffee hot on the train"
	short := e.folder.Encode("", "mug")
	long := e.folder.Encode("", text+", "+text+", "+text)
	if _, _, err := e.runner.Vectors([]tokenizer.Encoding{long}); err != nil {
		return fmt.Errorf("the first run failed: %w", err)
	}
	alone, _, err := e.runner.Vectors([]tokenizer.Encoding{short})
	if err != nil {
		return fmt.Errorf("the first run failed: %w", err)
	}
	batch := []tokenizer.Encoding{short, long, long, long, long, long, long, long}
	var together [][]float32
	for range 2 {
		began := time.Now()
		if together, _, err = e.runner.Vectors(batch); err != nil {
			return fmt.Errorf("the first batch failed: %w", err)
		}
		e.learn(len(batch)*len(long.IDs), time.Since(began))
	}
	if alone[0] == nil || together[0] == nil || together[1] == nil {
		return &NotFiniteError{Model: e.folder.Name, Indexes: []int{0}}
	}
	// The bound is loose, because int8 models with activation scales over the whole batch are merely imprecise. A graph that
	// ignores the mask is far beyond it.
	if c := dot(alone[0], together[0]) / (norm(alone[0]) * norm(together[0])); c < 0.98 {
		return fmt.Errorf("model %s gives a text another vector when a longer one is beside it (cosine %.3f): the graph ignores attention_mask; export it again", e.folder.Name, c)
	}
	return nil
}

// Embed gives one vector per text. When the queue is full it returns a robin.Error with CodeOverloaded at once; a call
// with more texts than the queue holds waits for its later ones instead. When ctx ends, texts that did not run yet are
// dropped. With a NotFiniteError (code vector_not_finite) the vectors of the texts it names are nil and the others valid.
func (e *Embedder) Embed(ctx context.Context, texts []string, kind Kind) (Embeddings, error) {
	out := Embeddings{Vectors: make([][]float32, len(texts)), Lengths: make([]float32, len(texts)), Tokens: make([]int, len(texts)), Truncated: make([]bool, len(texts))}
	out.Timing = Timing{Kind: kind, Texts: len(texts)}
	err := e.embed(ctx, texts, kind, &out)
	out.Timing.Err = err
	e.counts.add(&out)
	if e.options.Observe != nil {
		e.options.Observe(out.Timing)
	}
	if bad := (*NotFiniteError)(nil); err != nil && !errors.As(err, &bad) {
		return Embeddings{Timing: out.Timing}, err
	}
	return out, err
}

// admitted is how many texts of one call enter the queue together: few enough that tokenizing the next ones overlaps with
// running these, and enough to sort by length.
const admitted = 256

func (e *Embedder) embed(ctx context.Context, texts []string, kind Kind, out *Embeddings) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	prefix := e.folder.PassagePrefix
	if kind == Query {
		prefix = e.folder.QueryPrefix
	}
	call := &call{ctx: ctx, done: make(chan struct{})}
	call.open.Store(1) // this function's own share, given back when all is queued
	items := make([]item, 0, len(texts))
	var bad []int // texts without a usable vector
	for start := 0; start < len(texts); start += admitted {
		first := len(items)
		began := time.Now()
		for i := start; i < min(start+admitted, len(texts)); i++ {
			if kind == Query {
				if hit, ok := e.cache.get(texts[i]); ok {
					out.Vectors[i], out.Lengths[i], out.Tokens[i], out.Truncated[i] = hit.vector, hit.length, hit.tokens, hit.truncated
					out.Timing.Cached++
					continue
				}
			}
			enc, err := e.folder.TryEncode(prefix, texts[i])
			if err != nil {
				e.counts.tokenizerFailures.Add(1)
				bad = append(bad, i)
				if out.Faults == nil {
					out.Faults = map[int]error{}
				}
				out.Faults[i] = err
				continue
			}
			out.Tokens[i], out.Truncated[i] = enc.Total, enc.Truncated
			out.Timing.Tokens += len(enc.IDs)
			items = append(items, item{call: call, index: i, encoding: enc})
		}
		out.Timing.Tokenize += time.Since(began)
		if err := e.queue.put(ctx, items[first:], kind, start > 0); err != nil {
			call.abandon()
			return err
		}
	}
	if call.open.Add(-1) > 0 {
		select {
		case <-call.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for i := range items {
		it := &items[i]
		out.Timing.Queue = max(out.Timing.Queue, it.waited)
		out.Timing.Infer = max(out.Timing.Infer, it.ran)
		switch {
		case it.err != nil:
			return it.err
		case it.vector == nil:
			bad = append(bad, it.index)
			continue
		}
		out.Vectors[it.index], out.Lengths[it.index] = it.vector, it.length
		if kind == Query {
			e.cache.put(texts[it.index], cached{vector: it.vector, length: it.length, tokens: out.Tokens[it.index], truncated: out.Truncated[it.index]})
		}
	}
	if bad != nil {
		slices.Sort(bad)
		err := &NotFiniteError{Model: e.folder.Name, Indexes: bad, Faults: out.Faults}
		return robin.Errorf(robin.CodeNotFinite, "%w", err)
	}
	return nil
}

// Tokens gives the tokens of a text of any length, alone or after the prefix of a kind.
func (e *Embedder) Tokens(text string, prefix bool, kind Kind, special bool) []tokenizer.Token {
	before := ""
	switch {
	case prefix && kind == Query:
		before = e.folder.QueryPrefix
	case prefix:
		before = e.folder.PassagePrefix
	}
	return e.folder.Tokens(before, text, special)
}

// Close lets queued work end with ErrClosed, waits for the workers and frees the model. A second call does nothing.
func (e *Embedder) Close() error {
	e.queue.close()
	e.workers.Wait()
	return errors.Join(e.rescue.Close(), e.runner.Close())
}

// LoadRescue loads the float32 graph that the folder may have beside its own, and compares the two. Without it that is done for
// the first text that needs it.
func (e *Embedder) LoadRescue() error { return e.rescue.Load() }

// Dim is the number of components of a vector.
func (e *Embedder) Dim() int { return e.folder.Dim }

// Name is the model's name.
func (e *Embedder) Name() string { return e.folder.Name }

// Fingerprint is the SHA-256 over everything that decides the vectors. Vectors of two fingerprints cannot be compared.
func (e *Embedder) Fingerprint() string { return e.folder.Fingerprint }

// Version names the model for answers.
func (e *Embedder) Version() robin.ModelVersion { return e.folder.ModelVersion() }

// Info is what the folder says about the model.
func (e *Embedder) Info() model.Info { return e.folder.Info }
