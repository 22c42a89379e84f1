package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"

	"robin"
	"robin/importer"
	"robin/indexer"
)

// rehearsal is where a dry run looks: the collections as they are, if there are any, and an engine of its own in a
// folder that goes with it.
type rehearsal struct {
	models  *models
	engine  *indexer.Engine // nil: there is no data folder yet
	scratch *indexer.Engine
	dir     string
}

// rehearse opens a scratch engine. It lies in the data folder, so that it has the same disk; there a next start removes
// what a crash has left.
func (m *models) rehearse(ctx context.Context, engine *indexer.Engine, data string) (*rehearsal, error) {
	parent := ""
	if engine != nil {
		parent = filepath.Join(data, "trash")
		if err := os.MkdirAll(parent, 0o700); err != nil {
			return nil, err
		}
	}
	dir, err := os.MkdirTemp(parent, "robin-trial-*")
	if err != nil {
		return nil, err
	}
	r := &rehearsal{models: m, engine: engine, dir: dir}
	r.scratch, err = indexer.Open(ctx, indexer.Options{Dir: dir, Models: m.forIndexer})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return r, nil
}

// rehearsals is for api.Options.Rehearse.
func (m *models) rehearsals(engine *indexer.Engine, data string, log *slog.Logger) func(context.Context) (importer.Rehearsal, func(), error) {
	return func(ctx context.Context) (importer.Rehearsal, func(), error) {
		r, err := m.rehearse(ctx, engine, data)
		if err != nil {
			return nil, nil, err
		}
		return r, func() {
			if err := r.close(); err != nil {
				log.Error("remove what a dry run has left", "error", err)
			}
		}, nil
	}
}

// close removes the scratch engine and its folder.
func (r *rehearsal) close() error {
	var err error
	if r.scratch != nil {
		err = r.scratch.Close()
	}
	return errors.Join(err, os.RemoveAll(r.dir))
}

// Collection implements importer.Rehearsal.
func (r *rehearsal) Collection(ctx context.Context, name string) (robin.CollectionInfo, error) {
	if r.engine == nil {
		return robin.CollectionInfo{}, robin.Errorf(robin.CodeNoCollection, "there is no data folder yet")
	}
	return r.engine.Collection(ctx, name)
}

// Checker implements importer.Rehearsal.
func (r *rehearsal) Checker(s robin.Settings) (importer.Checker, error) {
	c, err := r.scratch.Checker(s)
	if err != nil {
		return nil, err
	}
	s = s.Defaulted()
	return rowChecker{c, r.models.embedders[s.Embedder], s.Dimension, s.Chunking}, nil
}

// rowChecker is an indexer's checker with the model's tokens.
type rowChecker struct {
	*indexer.Checker
	model     *textModel // nil: documents bring their vectors
	dimension int
	chunking  *robin.Chunking
}

func (c rowChecker) Tokens(text string) int { return c.model.CountTokens(text) }

// MaxTokens is how much of a document is read, with chunking of all its passages together, about: where passages end
// depends on the text.
func (c rowChecker) MaxTokens() int {
	switch {
	case c.model == nil:
		return 0
	case c.chunking != nil:
		return c.chunking.Tokens + (c.chunking.MaxChunks-1)*max(1, c.model.Room(c.chunking.Tokens)-*c.chunking.Overlap)
	}
	return c.model.MaxTokens()
}

func (c rowChecker) Dim() int {
	if c.model == nil {
		return c.dimension
	}
	return c.model.Dim()
}

// Trial implements importer.Rehearsal.
func (r *rehearsal) Trial(ctx context.Context, name string, s robin.Settings) (importer.Trial, error) {
	s.Reranker = "none" // it is not loaded here, and an import does not use it
	if _, _, err := r.scratch.PutCollection(ctx, name, s); err != nil {
		return nil, err
	}
	return trial{r.scratch, r}, nil
}

type trial struct {
	*indexer.Engine
	r *rehearsal
}

// Close closes the engine, which writes all that it had only in memory, and measures its folder.
func (t trial) Close() (diskBytes int64, err error) {
	t.r.scratch = nil
	if err := t.Engine.Close(); err != nil {
		return 0, err
	}
	return diskUse(t.r.dir)
}

// diskUse is what the files below dir take on disk. Holes do not count: the store grows its file ahead.
func diskUse(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			n += st.Blocks * 512
		} else {
			n += info.Size()
		}
		return nil
	})
	return n, err
}
