package model

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path"
	"sync"

	"robin/model/onnx"
	"robin/model/tokenizer"
)

// Rescue runs the texts for which a folder's graph of float16 or int8 gives no finite numbers on the float32 graph beside it. The
// two are one model, with one fingerprint over both, because their numbers are so near that they can be compared: that is proved
// when the float32 graph is loaded, which is with the first such text. It runs one text at a time on one thread, and its memory is
// that of the graph.
//
// A nil Rescue helps nobody.
type Rescue struct {
	folder *Folder
	main   *Runner
	mu     struct {
		sync.Mutex
		runner *Runner // nil until the first text
		err    error   // why there is none
	}
}

// How far the two graphs may be apart on text: quantization moves a vector by a few thousandths, another model by more than this.
const (
	leastAgreement = 0.9
	mostLogitGap   = 1
)

// Rescue gives what helps out main, which is of this folder, or nil where the folder has no float32 graph beside another.
func (f *Folder) Rescue(main *Runner) *Rescue {
	if f.full.name == "" {
		return nil
	}
	return &Rescue{folder: f, main: main}
}

// findFull looks for a float32 graph beside the one that is loaded. named is what robin.json says.
func (f *Folder) findFull(named string) (graphFile, error) {
	if named == "" && f.Precision == string(FullPrecision) {
		return graphFile{}, nil
	}
	names := fullFiles
	if named != "" {
		names = []string{named}
	}
	for _, name := range names {
		if name == f.graph.name {
			continue
		}
		if !fs.ValidPath(name) {
			return graphFile{}, fmt.Errorf("robin.json names the float32 graph %q, which is outside the folder", name)
		}
		data, err := readRegular(f.fsys, name)
		if errors.Is(err, fs.ErrNotExist) && named == "" {
			continue
		}
		if err != nil {
			return graphFile{}, fmt.Errorf("%s: %w", name, err)
		}
		if err := f.checkFull(data); err != nil {
			if named == "" && path.Base(name) != FullGraph { // it may be there for another purpose
				continue
			}
			return graphFile{}, fmt.Errorf("%s: %w", name, err)
		}
		return graphFile{name, sha256.Sum256(data)}, nil
	}
	return graphFile{}, nil
}

// checkFull says what keeps a graph from standing in for the one that is loaded.
func (f *Folder) checkFull(data []byte) error {
	g, err := onnx.Inspect(data)
	if err != nil {
		return err
	}
	p, err := choosePorts(g, f.Task, f.Dim)
	switch {
	case err != nil:
		return err
	case precision(g) != string(FullPrecision):
		return fmt.Errorf("it is of %s, and only one of float32 is of use beside a graph of %s: remove it", precision(g), f.Precision)
	case fmt.Sprint(p) != fmt.Sprint(f.ports):
		return fmt.Errorf("its inputs or outputs are not those of %s: they are of different models, remove one", f.graph.name)
	}
	return nil
}

// Load loads the float32 graph, unless it is loaded, and compares it with the other one.
func (r *Rescue) Load() error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.loadLocked()
}

func (r *Rescue) loadLocked() error {
	if r.mu.runner != nil || r.mu.err != nil {
		return r.mu.err
	}
	runner, err := r.folder.openGraph(r.folder.full, 1)
	if err == nil {
		if err = r.agree(runner); err != nil {
			err = errors.Join(err, runner.Close())
		}
	}
	if err != nil {
		r.mu.err = err
		return err
	}
	r.mu.runner = runner
	return nil
}

// agree runs a text, or a pair, on both graphs.
func (r *Rescue) agree(full *Runner) error {
	const query, text = "coffee mug", "insulated travel mug that keeps coffee hot on the train"
	f := r.folder
	if f.Task == Rerank {
		batch := []tokenizer.Encoding{f.EncodePair(query, text)}
		a, errA := r.main.Logits(batch)
		b, errB := full.Logits(batch)
		if err := errors.Join(errA, errB); err != nil {
			return err
		}
		if gap := math.Abs(float64(a[0] - b[0])); !(gap <= mostLogitGap) {
			return fmt.Errorf("model %s: %s and %s give scores that are %.3g apart: they are of different models", f.Name, f.graph.name, f.full.name, gap)
		}
		return nil
	}
	batch := []tokenizer.Encoding{f.Encode(f.PassagePrefix, text)}
	a, _, errA := r.main.Vectors(batch)
	b, _, errB := full.Vectors(batch)
	if err := errors.Join(errA, errB); err != nil {
		return err
	}
	if a[0] == nil || b[0] == nil {
		return fmt.Errorf("model %s: %s or %s gives no finite vector for ordinary text", f.Name, f.graph.name, f.full.name)
	}
	if c := cosine(a[0], b[0]); !(c >= leastAgreement) {
		return fmt.Errorf("model %s: %s and %s give vectors with a cosine of %.3f: they are of different models", f.Name, f.graph.name, f.full.name, c)
	}
	return nil
}

// Vector embeds one text in float32, as Vectors does, or gives nil.
func (r *Rescue) Vector(e tokenizer.Encoding) (v []float32, length float32) {
	r.run(func(full *Runner) {
		if out, lengths, err := full.Vectors([]tokenizer.Encoding{e}); err == nil {
			v, length = out[0], lengths[0]
		}
	})
	return v, length
}

// Logit scores one pair in float32, or gives NaN.
func (r *Rescue) Logit(e tokenizer.Encoding) float32 {
	x := float32(math.NaN())
	r.run(func(full *Runner) {
		if out, err := full.Logits([]tokenizer.Encoding{e}); err == nil {
			x = out[0]
		}
	})
	return x
}

func (r *Rescue) run(f func(*Runner)) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.loadLocked() == nil {
		f(r.mu.runner)
	}
}

// Close frees the graph, if it was loaded. The other runner is the caller's.
func (r *Rescue) Close() error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	runner := r.mu.runner
	r.mu.runner, r.mu.err = nil, onnx.ErrClosed
	if runner == nil {
		return nil
	}
	return runner.Close()
}

func cosine(a, b []float32) float64 {
	var ab, aa, bb float64
	for i, x := range a {
		y := float64(b[i])
		ab, aa, bb = ab+float64(x)*y, aa+float64(x)*float64(x), bb+y*y
	}
	return ab / math.Sqrt(aa*bb)
}
