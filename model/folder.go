// Package model reads model folders as Hugging Face and sentence-transformers write them, checks them before anything is
// loaded, and runs their graphs on batches of tokenized text.
package model

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"

	"robin"
	"robin/model/onnx"
	"robin/model/tokenizer"
)

// Task is what a model was trained for.
type Task string

// The tasks.
const (
	Embed  Task = "embed"  // a text to a vector
	Rerank Task = "rerank" // a query and a passage to a score
)

// Pooling makes one vector of the vectors of a text's tokens.
type Pooling string

// The poolings.
const (
	Mean Pooling = "mean" // of the tokens that are no padding
	CLS  Pooling = "cls"  // the first token
	Max  Pooling = "max"  // of each component over the tokens that are no padding
)

// Info is what a model folder says about its model.
type Info struct {
	Name          string
	Version       string
	Task          Task
	Family        string // roberta, bert or xlm-roberta
	Dim           int    // of the vectors; 0 for Rerank
	Precision     string // of most of the weights: float32, float16 or int8
	MaxTokens     int    // longest input, special tokens included
	Pooling       Pooling
	Normalize     bool // vectors are scaled to length 1
	QueryPrefix   string
	PassagePrefix string
	Lowercase     bool   // text is lower-cased before the tokenizer sees it
	Activation    string // for Rerank, of the logit: "sigmoid" or "identity"
	Licence       string
	Fingerprint   string // SHA-256 in hex over everything that decides the numbers

	// MatryoshkaDimensions are the smaller dimensions that the model was trained to be cut to (Kusupati et al., 2022).
	MatryoshkaDimensions []int
}

// Folder is a checked model folder. It holds no native memory; OpenRunner does the loading.
type Folder struct {
	Info
	fsys      fs.FS
	graph     graphFile
	full      graphFile // of float32, beside a graph that is not; no name: there is none
	ports     ports
	tokenizer *tokenizer.Tokenizer
	work      work
}

// Options name a folder whose robin.json does not.
type Options struct {
	Name    string // default: "model"
	Version string // default: "1"
}

var versionPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// CheckName says what is wrong with a model's name, if anything. Names and versions become folder names.
func CheckName(name string) error {
	if !robin.ValidName(name) {
		return robin.Errorf(robin.CodeInvalidName, "the model name %q is not made of 1 to 64 of a-z, 0-9, _ and -, beginning with a letter or digit", name)
	}
	return nil
}

// CheckVersion says what is wrong with a model's version, if anything.
func CheckVersion(version string) error {
	if !versionPattern.MatchString(version) {
		return robin.Errorf(robin.CodeInvalidName, "the model version %q is not made of 1 to 64 of a-z, 0-9, ., _ and -, beginning with a letter or digit", version)
	}
	return nil
}

// OpenDir reads the model folder at a path.
func OpenDir(dir string, o Options) (*Folder, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("model folder %q: %w", dir, err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("model folder %q: it is a file; name the folder that holds model.onnx, config.json and tokenizer.json", dir)
	}
	f, err := Open(os.DirFS(dir), o)
	if err != nil {
		return nil, fmt.Errorf("model folder %q: %w", dir, err)
	}
	return f, nil
}

// Open reads a model folder and checks all that can be checked without running it. An error is one sentence that says which
// file is wrong, and what to do.
func Open(fsys fs.FS, o Options) (*Folder, error) {
	f := &Folder{fsys: fsys}
	cards, err := readCards(fsys)
	if err != nil {
		return nil, err
	}
	if err := cards.fill(&f.Info, o); err != nil {
		return nil, err
	}
	if err := verifyFiles(fsys, cards.robin.Files); err != nil {
		return nil, err
	}

	if f.tokenizer, err = tokenizer.Load(fsys); err != nil {
		if errors.Is(err, tokenizer.ErrMissing) {
			return nil, fmt.Errorf("there is no tokenizer (%w): save the tokenizer into the folder too", err)
		}
		return nil, fmt.Errorf("the tokenizer cannot be used: %w", err)
	}
	graph, err := f.readGraph()
	if err != nil {
		return nil, err
	}
	f.Precision = precision(graph)
	rows := cards.config.VocabSize
	if w, ok := graph.Find("word_embeddings.weight", "word_embeddings.weight_quantized", "word_embeddings"); ok && len(w.Dims) == 2 {
		rows = int(w.Dims[0])
	}
	if rows > 0 && f.tokenizer.VocabSize() > rows {
		return nil, fmt.Errorf("the tokenizer has %d tokens but the model's embedding has %d rows: the tokenizer belongs to another model", f.tokenizer.VocabSize(), rows)
	}
	if pad := cards.config.PadTokenID; pad != nil && f.Family != "bert" && *pad != int(f.tokenizer.PadID()) {
		return nil, fmt.Errorf("config.json says that padding is token %d and the tokenizer that it is %d: the tokenizer belongs to another model", *pad, f.tokenizer.PadID())
	}
	if f.ports, err = choosePorts(graph, f.Task, f.Dim); err != nil {
		return nil, fmt.Errorf("%s: %w", f.graph.name, err)
	}
	if f.full, err = f.findFull(cards.robin.Float32Graph); err != nil {
		return nil, err
	}
	if f.Fingerprint, err = f.fingerprint(); err != nil {
		return nil, err
	}
	f.work = work{cards.config.NumHiddenLayers, cards.config.HiddenSize, cards.config.IntermediateSize, integer(graph, cards.config.HiddenSize)}
	return f, nil
}

// precision names the type of most of the weights.
func precision(g *onnx.Graph) string {
	counts := map[string]int64{"float32": 0, "float16": 0, "int8": 0}
	for _, w := range g.Weights {
		n := int64(1)
		for _, d := range w.Dims {
			n *= d
		}
		name := w.Type.String()
		if w.Type == onnx.Uint8 {
			name = "int8" // the same bytes with another zero point
		}
		if _, ok := counts[name]; ok {
			counts[name] += n
		}
	}
	best := "float32"
	for _, name := range []string{"float16", "int8"} {
		if counts[name] > counts[best] {
			best = name
		}
	}
	return best
}

// Tokenizer gives the folder's tokenizer.
func (f *Folder) Tokenizer() *tokenizer.Tokenizer { return f.tokenizer }

// ModelVersion names the model for answers.
func (f *Folder) ModelVersion() robin.ModelVersion {
	return robin.ModelVersion{Name: f.Name, Version: f.Version, Fingerprint: f.Fingerprint}
}

// Bytes is the size of the folder's files.
func (f *Folder) Bytes() int64 {
	files, err := FolderFiles(f.fsys)
	if err != nil {
		return 0
	}
	var n int64
	for _, name := range files {
		if info, err := fs.Stat(f.fsys, name); err == nil {
			n += info.Size()
		}
	}
	return n
}

// ports are the inputs and the output of the graph that Robin uses.
type ports struct {
	inputs []string // in the graph's names: ids, mask and perhaps types, in the order of roles
	roles  []role
	output string
	pooled bool // the output is one vector per text, not per token
}

type role int

const (
	ids role = iota
	mask
	types
)

var roles = map[string]role{"input_ids": ids, "attention_mask": mask, "token_type_ids": types}

func choosePorts(g *onnx.Graph, task Task, dim int) (ports, error) {
	var p ports
	var names []string
	has := map[role]bool{}
	for _, in := range g.Inputs {
		names = append(names, in.Name)
		r, ok := roles[in.Name]
		if !ok {
			return p, fmt.Errorf("the graph wants an input %q, Robin can give input_ids, attention_mask and token_type_ids: export the model for feature extraction or text classification", in.Name)
		}
		if in.Type != onnx.Int64 {
			return p, fmt.Errorf("the input %s has the type %v, want int64: export the model again", in.Name, in.Type)
		}
		has[r] = true
		p.inputs, p.roles = append(p.inputs, in.Name), append(p.roles, r)
	}
	if !has[ids] || !has[mask] {
		return p, fmt.Errorf("the graph has the inputs %q, Robin needs input_ids and attention_mask: export the model for feature extraction or text classification", names)
	}
	wanted := []string{"last_hidden_state", "token_embeddings", "sentence_embedding"}
	if task == Rerank {
		wanted = []string{"logits", "scores"}
	}
	for _, name := range wanted {
		for _, out := range g.Outputs {
			if out.Name != name {
				continue
			}
			p.output = name
			return p, p.checkOutput(out, task, dim)
		}
	}
	if len(g.Outputs) == 1 {
		p.output = g.Outputs[0].Name
		return p, p.checkOutput(g.Outputs[0], task, dim)
	}
	names = names[:0]
	for _, out := range g.Outputs {
		names = append(names, out.Name)
	}
	return p, fmt.Errorf("the graph has the outputs %q, want one of %q: this is no model to %s with", names, wanted, task)
}

func (p *ports) checkOutput(out onnx.Port, task Task, dim int) error {
	if out.Type != onnx.Float32 {
		return fmt.Errorf("the output %s has the type %v, want float32: export the model with a float32 output", out.Name, out.Type)
	}
	rank := len(out.Dims)
	last := int64(-1)
	if rank > 0 {
		last = out.Dims[rank-1]
	}
	if task == Rerank {
		switch {
		case rank == 3 || last > 1:
			return fmt.Errorf("the output %s has the shape %v, want one score per pair: this is no cross-encoder with a single label", out.Name, out.Dims)
		case rank != 2 && rank != 0:
			return fmt.Errorf("the output %s has %d dimensions, want 2", out.Name, rank)
		}
		return nil
	}
	switch {
	case rank == 2 && out.Name != "sentence_embedding":
		return fmt.Errorf("the output %s has the shape %v, want a vector per token: this is no model to embed with", out.Name, out.Dims)
	case rank != 0 && rank != 2 && rank != 3:
		return fmt.Errorf("the output %s has %d dimensions, want 3", out.Name, rank)
	case last > 0 && last != int64(dim):
		return fmt.Errorf("the output %s has %d dimensions and config.json says %d: the files belong to different models", out.Name, last, dim)
	}
	p.pooled = rank == 2 || rank == 0 && out.Name == "sentence_embedding"
	return nil
}
