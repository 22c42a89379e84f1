package main

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"robin"
	"robin/indexer"
)

// data is an opened data folder: its models and its collections.
type data struct {
	models *models
	engine *indexer.Engine
}

// openData opens dir for one command. The folder is locked until Close.
func openData(e *env, dir string, inf inference) (*data, error) {
	m, err := openModels(e, dir, inf)
	if err != nil {
		return nil, err
	}
	engine, err := m.openEngine(e, dir)
	if err != nil {
		m.Close()
		return nil, err
	}
	return &data{models: m, engine: engine}, nil
}

// openExisting is openData for the commands that only read or mend: a mistyped --data must not become a new, empty folder
// in which all is well.
func openExisting(e *env, dir string, inf inference) (*data, error) {
	if st, err := os.Stat(filepath.Join(dir, "collections")); err != nil || !st.IsDir() {
		return nil, fmt.Errorf("%s is not a data folder: there is no folder collections in it. Say where yours is with --data, or make one with robin import or robin serve", dir)
	}
	return openData(e, dir, inf)
}

// openEngine opens the collections of dir and waits until they are recovered.
func (m *models) openEngine(e *env, dir string) (*indexer.Engine, error) {
	engine, err := indexer.Open(e.ctx, indexer.Options{
		Dir: dir, Models: m.forIndexer,
		Logger: slog.New(slog.NewTextHandler(e.stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return nil, err
	}
	if err := engine.WaitReady(e.ctx); err != nil {
		return nil, errors.Join(err, engine.Close())
	}
	return engine, nil
}

// Close closes in reverse. An error is only logged: the store is durable without a clean close, and the next start
// recovers.
func (d *data) Close() {
	if err := d.engine.Close(); err != nil {
		slog.Warn("close the data folder", "error", err)
	}
	d.models.Close()
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// Run checks every collection of a data folder, or one.
func (c *verifyCmd) Run(e *env) error {
	return checkAll(e, c.Data, c.Collection, c.JSON, inference{}, nil)
}

// Run rebuilds and then checks.
func (c *repairCmd) Run(e *env) error {
	return checkAll(e, c.Data, c.Collection, c.JSON, c.inference, func(d *data) error {
		return d.engine.Rebuild(e.ctx, c.Collection)
	})
}

func checkAll(e *env, dir, only string, asJSON bool, inf inference, before func(*data) error) error {
	if only != "" {
		if err := checkCollection(only); err != nil {
			return err
		}
	}
	d, err := openExisting(e, dir, inf)
	if err != nil {
		return err
	}
	defer d.Close()
	if before != nil {
		if err := before(d); err != nil {
			return err
		}
	}
	names := []string{only}
	if only == "" {
		names = names[:0]
		infos, err := d.engine.Collections(e.ctx)
		if err != nil {
			return err
		}
		for _, i := range infos {
			names = append(names, i.Name)
		}
	}
	reports, bad := []any{}, 0
	m := newMeter(e.stderr, "verify")
	defer m.done()
	for i, n := range names {
		m.show(robin.Progress{Done: i, Total: len(names)})
		r, err := d.engine.Verify(e.ctx, n)
		if err != nil {
			return err
		}
		reports = append(reports, r)
		if !r.OK {
			bad++
		}
		if asJSON {
			continue
		}
		if r.OK {
			fmt.Fprintf(e.stdout, "%s: %d documents, sound\n", n, r.Documents)
		}
		for _, s := range r.Store {
			fmt.Fprintf(e.stdout, "%s: store: %s\n", n, s)
		}
		for _, s := range r.Derived {
			fmt.Fprintf(e.stdout, "%s: derived index: %s (robin repair --collection %s mends it)\n", n, s, n)
		}
	}
	if asJSON {
		if err := printJSON(e.stdout, map[string]any{"collections": reports}); err != nil {
			return err
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d collections are not sound", bad, len(names))
	}
	return nil
}
