package main

import (
	"fmt"
	"os"
	"strings"

	"robin"
	"robin/eval"
)

// Run indexes the folder's corpus in a temporary data folder and measures each stage.
func (c *evalCmd) Run(e *env) error {
	f, err := eval.Load(c.Dir)
	if err != nil {
		return err
	}
	var baseline *eval.Report
	if c.Baseline != "" {
		b, err := os.ReadFile(c.Baseline)
		if err != nil {
			return err
		}
		if baseline, err = eval.ReadBaseline(b); err != nil {
			return fmt.Errorf("read the baseline %s: %w", c.Baseline, err)
		}
	}
	rep, err := c.measure(e, f)
	if err != nil {
		return err
	}
	if c.JSON {
		err = printJSON(e.stdout, rep)
	} else {
		err = rep.Print(e.stdout)
	}
	if err != nil || baseline == nil {
		return err
	}
	worse, err := eval.Compare(baseline, rep, c.Tolerance)
	if err != nil {
		return fmt.Errorf("compare with %s: %w", c.Baseline, err)
	}
	if len(worse) > 0 {
		return fmt.Errorf("worse than %s: %s", c.Baseline, strings.Join(worse, "; "))
	}
	return nil
}

func (c *evalCmd) measure(e *env, f *eval.Folder) (*eval.Report, error) {
	models, err := openModels(e, c.Data, c.inference)
	if err != nil {
		return nil, err
	}
	defer models.Close()
	rep := &eval.Report{Folder: f.Dir}
	if len(f.Corpus) > 0 {
		tmp, err := os.MkdirTemp("", "robin-eval-")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(tmp)
		engine, err := models.openEngine(e, tmp)
		if err != nil {
			return nil, err
		}
		defer engine.Close()
		if rep, err = c.corpus(e, engine, f); err != nil {
			return nil, err
		}
	}
	if len(f.Pairs) > 0 {
		embed, ok := models.embedders[c.Embedder]
		if !ok {
			return nil, fmt.Errorf("there is no embedder %q; robin models list shows those there are", c.Embedder)
		}
		if rep.Pairs, err = eval.MeasurePairs(e.ctx, embed.vectors, f); err != nil {
			return nil, err
		}
		if rep.Pairs.F1 != nil {
			if rep.Duplicates, err = eval.MeasureDuplicates(e.ctx, embed.vectors, f); err != nil {
				return nil, err
			}
		}
		v := embed.Version()
		rep.Models.Embedder = &v
	}
	return rep, nil
}

func (c *evalCmd) corpus(e *env, engine eval.Engine, f *eval.Folder) (*eval.Report, error) {
	const name = "eval"
	settings := eval.Settings()
	settings.Embedder, settings.Reranker = c.Embedder, c.Reranker
	if c.ChunkTokens > 0 {
		settings.Chunking = &robin.Chunking{Tokens: c.ChunkTokens}
	}
	index := newMeter(e.stderr, "index "+f.Dir)
	err := eval.Index(e.ctx, engine, f, name, settings, func(done int) {
		index.show(robin.Progress{Done: done, Total: len(f.Corpus)})
	})
	index.done()
	if err != nil {
		return nil, err
	}
	search := newMeter(e.stderr, "search "+f.Dir)
	defer search.done()
	return eval.Measure(e.ctx, engine, f, name, func(done, total int) {
		search.show(robin.Progress{Done: done, Total: total})
	})
}
