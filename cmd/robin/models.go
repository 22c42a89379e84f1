package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"robin"
	"robin/embedder"
	"robin/indexer"
	"robin/model"
	"robin/model/onnx"
	"robin/rerank"
)

// starterName is the name of both models that travel in the binary.
const starterName = "starter"

// models are the loaded models of one process.
type models struct {
	embedders map[string]*textModel
	rerankers map[string]*pairModel
	infos     []robin.ModelInfo
}

func newModels() *models {
	return &models{embedders: map[string]*textModel{}, rerankers: map[string]*pairModel{}}
}

// textModel serves one bi-encoder to the indexer and, through apiEmbedder, to the API.
type textModel struct{ *embedder.Embedder }

// pairModel is one cross-encoder.
type pairModel struct{ *rerank.CrossEncoder }

// Embed implements indexer.Embedder. A passage for which the model gives no usable vector gets none, and the indexer
// rejects its row; the others go on.
func (m *textModel) Embed(ctx context.Context, texts []string, query bool) (indexer.Embeddings, error) {
	e, err := m.embed(ctx, texts, query)
	return indexer.Embeddings{Vectors: e.Vectors, Truncated: e.Truncated, Faults: e.Faults}, err
}

func (m *textModel) embed(ctx context.Context, texts []string, query bool) (embedder.Embeddings, error) {
	e, err := m.Embedder.Embed(ctx, texts, kindOf(query))
	var bad *embedder.NotFiniteError
	if !query && errors.As(err, &bad) {
		err = nil
	}
	return e, err
}

// Cut implements indexer.Cutter. Settings may ask for more than the model reads that is there now.
func (m *textModel) Cut(text string, head int, c robin.Chunking) (spans []indexer.Span, kept int, left bool) {
	parts, kept, left := m.Embedder.Cut(text, embedder.CutOptions{
		Tokens: min(c.Tokens, m.MaxTokens()), Overlap: *c.Overlap, Most: c.MaxChunks, Head: head,
	})
	for _, p := range parts {
		spans = append(spans, indexer.Span(p))
	}
	return spans, kept, left
}

// MaxTokens implements indexer.Cutter.
func (m *textModel) MaxTokens() int { return m.Info().MaxTokens }

func kindOf(query bool) embedder.Kind {
	if query {
		return embedder.Query
	}
	return embedder.Passage
}

// vectors embeds texts that are compared with each other, neither query nor passage.
func (m *textModel) vectors(ctx context.Context, texts []string) ([][]float32, error) {
	e, err := m.Embedder.Embed(ctx, texts, embedder.Passage)
	return e.Vectors, err
}

// start loads ONNX Runtime.
func (inf inference) start() error {
	if err := onnx.CheckDevice(inf.Device); err != nil {
		return usageError{fmt.Errorf("--device: %w", err)}
	}
	return onnx.Start(onnx.Options{Library: inf.ONNXRuntime, Device: inf.Device})
}

// openModels loads the starter models and the newest version of each model in dir/models.
func openModels(e *env, dir string, inf inference) (*models, error) {
	if err := inf.start(); err != nil {
		return nil, err
	}
	m := newModels()
	if err := m.loadStarters(inf); err != nil {
		m.Close()
		return nil, err
	}
	installed, err := installedModels(dir)
	if err != nil {
		m.Close()
		return nil, err
	}
	for _, i := range installed {
		f, err := model.OpenDir(i.dir, model.Options{Name: i.name, Version: i.version})
		if err == nil {
			err = i.tryOnce(e, f, inf)
		}
		if err == nil {
			f.Name, f.Version = i.name, i.version
			err = m.load(f, inf, i.dir)
		}
		if err != nil {
			// One bad folder must not take the server down; a collection that names the model says that it is missing.
			fmt.Fprintf(e.stderr, "robin: the model %s is left out: %v\n", i.name, err)
		}
	}
	return m, nil
}

// loadStarters loads both starter models side by side.
func (m *models) loadStarters(inf inference) error {
	starters := []fs.FS{embedder.Starter(), rerank.Starter()}
	parts, errs := make([]*models, len(starters)), make([]error, len(starters))
	var wg sync.WaitGroup
	for i, starter := range starters {
		parts[i] = newModels()
		wg.Go(func() {
			f, err := model.Open(starter, model.Options{Name: starterName})
			if err != nil {
				errs[i] = fmt.Errorf("the built-in model: %w", err)
				return
			}
			errs[i] = parts[i].load(f, inf, "built in")
		})
	}
	wg.Wait()
	for _, p := range parts {
		maps.Copy(m.embedders, p.embedders)
		maps.Copy(m.rerankers, p.rerankers)
		m.infos = append(m.infos, p.infos...)
	}
	return errors.Join(errs...)
}

func (m *models) load(f *model.Folder, inf inference, source string) error {
	switch f.Task {
	case model.Embed:
		x, err := embedder.Open(f, embedder.Options{Workers: inf.Threads, Nice: inf.nice})
		if err != nil {
			return err
		}
		m.embedders[f.Name] = &textModel{x}
	case model.Rerank:
		x, err := rerank.OpenCrossEncoder(f, rerank.CrossEncoderOptions{Workers: inf.Threads})
		if err != nil {
			return err
		}
		m.rerankers[f.Name] = &pairModel{x}
	}
	info := modelInfo(&f.Info, source)
	info.Bytes = f.Bytes()
	m.infos = append(m.infos, info)
	return nil
}

// Close ends the models. An error while freeing native memory has no remedy and the process is ending.
func (m *models) Close() {
	for _, x := range m.rerankers {
		_ = x.Close()
	}
	for _, x := range m.embedders {
		_ = x.Close()
	}
}

// forIndexer implements indexer.Options.Models.
func (m *models) forIndexer() (indexer.Models, error) {
	out := indexer.Models{Embedders: map[string]indexer.Embedder{}, Rerankers: map[string]indexer.Reranker{}}
	for name, x := range m.embedders {
		out.Embedders[name] = x
	}
	for name, x := range m.rerankers {
		out.Rerankers[name] = x
	}
	return out, nil
}

// installed is a model folder below the data folder: models/NAME/VERSION.
type installed struct{ name, version, dir string }

// installedModels lists the newest version of each model in dir/models, by name.
func installedModels(dir string) ([]installed, error) {
	root := filepath.Join(dir, "models")
	names, err := os.ReadDir(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the models: %w", err)
	}
	var all []installed
	for _, n := range names {
		if !n.IsDir() || model.CheckName(n.Name()) != nil {
			continue
		}
		versions, err := os.ReadDir(filepath.Join(root, n.Name()))
		if err != nil {
			return nil, fmt.Errorf("list the versions of model %s: %w", n.Name(), err)
		}
		versions = slices.DeleteFunc(versions, func(v fs.DirEntry) bool { return !v.IsDir() || model.CheckVersion(v.Name()) != nil })
		if len(versions) == 0 {
			continue
		}
		newest := slices.MaxFunc(versions, func(a, b fs.DirEntry) int { return compareVersions(a.Name(), b.Name()) })
		all = append(all, installed{n.Name(), newest.Name(), filepath.Join(root, n.Name(), newest.Name())})
	}
	return all, nil
}

// newestOf finds the newest version of a model in dir/models.
func newestOf(dir, name string) (i installed, found bool, err error) {
	all, err := installedModels(dir)
	if err != nil {
		return installed{}, false, err
	}
	at := slices.IndexFunc(all, func(i installed) bool { return i.name == name })
	if at < 0 {
		return installed{}, false, nil
	}
	return all[at], true, nil
}

// compareVersions orders version names part by part, numbers as numbers: 2 before 10, 1.9 before 1.10.
func compareVersions(a, b string) int {
	split := func(s string) []string {
		return strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(".-_", r) })
	}
	return slices.CompareFunc(split(a), split(b), func(x, y string) int {
		i, errX := strconv.Atoi(x)
		j, errY := strconv.Atoi(y)
		if errX == nil && errY == nil {
			return cmp.Compare(i, j)
		}
		return cmp.Compare(x, y)
	})
}

// loadRescue loads the float32 graph that a folder may have beside its own, and compares the two.
func (m *models) loadRescue(f *model.Folder) error {
	if f.Task == model.Rerank {
		return m.rerankers[f.Name].LoadRescue()
	}
	return m.embedders[f.Name].LoadRescue()
}
