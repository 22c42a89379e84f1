package model

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"sync"

	"robin/model/onnx"
	"robin/model/tokenizer"
)

// Runner runs a folder's graph on batches. It may be used from several goroutines; Close waits for them.
type Runner struct {
	folder  *Folder
	session *onnx.Session
	buffers sync.Pool
}

type buffers struct {
	inputs [3][]int64 // by role
	output []float32
}

// OpenRunner loads the graph. threads is how many work on one batch; 0 means all cores. The file is read again and must not
// have changed since Open.
func (f *Folder) OpenRunner(threads int) (*Runner, error) { return f.openGraph(f.graph, threads) }

func (f *Folder) openGraph(g graphFile, threads int) (*Runner, error) {
	data, err := readRegular(f.fsys, g.name)
	if err != nil {
		return nil, fmt.Errorf("model %s: %s: %w", f.Name, g.name, err)
	}
	if sha256.Sum256(data) != g.sum {
		return nil, fmt.Errorf("model %s: %s changed since the folder was opened: open it again", f.Name, g.name)
	}
	session, err := onnx.Open(data, onnx.SessionOptions{Name: f.Name, Inputs: f.ports.inputs, Output: f.ports.output, Threads: threads})
	if err != nil {
		return nil, err
	}
	r := &Runner{folder: f, session: session}
	r.buffers.New = func() any { return new(buffers) }
	return r, nil
}

// Close waits for running batches and frees the graph.
func (r *Runner) Close() error { return r.session.Close() }

// Encode tokenizes one text as the model wants it, after prefix.
func (f *Folder) Encode(prefix, text string) tokenizer.Encoding {
	return f.tokenizer.Encode(f.prepare(prefix+text), f.MaxTokens)
}

// TryEncode is Encode for texts that come from outside. A fault of the tokenizer, which no text should make it have, is the text's
// error and not the end of the process.
func (f *Folder) TryEncode(prefix, text string) (e tokenizer.Encoding, err error) {
	defer failed(&err)
	return f.Encode(prefix, text), nil
}

// TryEncodePair is EncodePair in the same way.
func (f *Folder) TryEncodePair(query, passage string) (e tokenizer.Encoding, err error) {
	defer failed(&err)
	return f.EncodePair(query, passage), nil
}

func failed(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("the tokenizer failed on the text: %v", p)
	}
}

// EncodePair tokenizes a query and a passage.
func (f *Folder) EncodePair(query, passage string) tokenizer.Encoding {
	return f.tokenizer.EncodePair(f.prepare(query), f.prepare(passage), f.MaxTokens)
}

// Tokens gives the tokens of one text of any length, after prefix, and where they are in both together.
func (f *Folder) Tokens(prefix, text string, special bool) []tokenizer.Token {
	return f.tokenizer.Tokens(f.prepare(prefix+text), special) // lower case has as many characters
}

func (f *Folder) prepare(text string) string {
	if f.Lowercase {
		return strings.ToLower(text)
	}
	return text
}

// run pads the encodings to the longest, runs the graph, and calls use with its output: for each row length × width
// numbers, or width when the graph pools. The output is valid until use returns.
func (r *Runner) run(batch []tokenizer.Encoding, width int, use func(out []float32, length int)) error {
	length := 1
	for i := range batch {
		length = max(length, len(batch[i].IDs))
	}
	rows := len(batch)
	b := r.buffers.Get().(*buffers)
	defer r.buffers.Put(b)
	var feed [3][]int64
	for _, role := range r.folder.ports.roles {
		b.inputs[role] = grow(b.inputs[role], rows*length)
		feed[role] = b.inputs[role]
	}
	pad := int64(r.folder.tokenizer.PadID())
	for i := range batch {
		e := &batch[i]
		row := i * length
		for j, id := range e.IDs {
			feed[ids][row+j] = int64(id)
			feed[mask][row+j] = 1
		}
		for j := len(e.IDs); j < length; j++ {
			feed[ids][row+j] = pad
			feed[mask][row+j] = 0
		}
		if feed[types] != nil {
			segment := feed[types][row : row+length]
			clear(segment)
			for j, t := range e.TypeIDs {
				segment[j] = int64(t)
			}
		}
	}
	shape := []int64{int64(rows), int64(length), int64(width)}
	if r.folder.Task == Rerank || r.folder.ports.pooled {
		shape = []int64{int64(rows), int64(width)}
	}
	size := 1
	for _, d := range shape {
		size *= int(d)
	}
	b.output = grow(b.output, size)
	inputs := make([][]int64, len(r.folder.ports.roles))
	for i, role := range r.folder.ports.roles {
		inputs[i] = feed[role]
	}
	if err := r.session.Run(rows, length, inputs, b.output, shape...); err != nil {
		return err
	}
	use(b.output, length)
	return nil
}

func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, n+n/4)
	}
	return s[:n]
}

// Vectors embeds encodings in one batch: pooled, and scaled to length 1 where the model wants that. A vector with a
// component that is not finite, or without direction, is returned as nil. lengths are those that the vectors had from the graph.
func (r *Runner) Vectors(batch []tokenizer.Encoding) (out [][]float32, lengths []float32, err error) {
	f := r.folder
	out, lengths = make([][]float32, len(batch)), make([]float32, len(batch))
	err = r.run(batch, f.Dim, func(hidden []float32, length int) {
		for i := range batch {
			if len(batch[i].IDs) == 0 {
				continue // no text and no special tokens around it
			}
			v := make([]float32, f.Dim)
			if f.ports.pooled {
				copy(v, hidden[i*f.Dim:])
			} else {
				pool(v, hidden[i*length*f.Dim:], len(batch[i].IDs), f.Pooling)
			}
			if lengths[i] = usable(v, f.Normalize); lengths[i] > 0 {
				out[i] = v
			}
		}
	})
	if err != nil {
		return nil, nil, err
	}
	return out, lengths, nil
}

// Logits scores pairs in one batch, before any activation.
func (r *Runner) Logits(batch []tokenizer.Encoding) ([]float32, error) {
	out := make([]float32, len(batch))
	err := r.run(batch, 1, func(logits []float32, _ int) { copy(out, logits) })
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Batches groups texts of similar length: indexes into lengths, longest first, where rows × longest row stays within budget
// tokens. A text that is over the budget by itself is a batch of one.
func Batches(lengths []int, budget int) [][]int {
	order := make([]int, len(lengths))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(lengths[b], lengths[a]) })
	var out [][]int
	for len(order) > 0 {
		n := Rows(lengths[order[0]], budget, len(order))
		out = append(out, order[:n:n])
		order = order[n:]
	}
	return out
}

// Rows says how many of n rows of up to length tokens fit into budget: at least one.
func Rows(length, budget, n int) int {
	return max(1, min(n, budget/max(length, 1)))
}
