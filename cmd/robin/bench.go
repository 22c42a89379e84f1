package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"robin/embedder"
	"robin/importer"
	"robin/indexer"
	"robin/model"
	"robin/rerank"
	"robin/testdata/catalogue"
	"robin/throughput"
)

// Run measures an embedder.
func (c *benchEmbedCmd) Run(e *env) error {
	return c.measure(e, c.inference, c.Compare, c.Embedder, embedder.Starter(), throughput.Embed)
}

// Run measures a reranker.
func (c *benchRerankCmd) Run(e *env) error {
	return c.measure(e, c.inference, c.Compare, c.Reranker, rerank.Starter(), throughput.Rerank)
}

// Run measures an embedder's tokenizer.
func (c *benchTokenizeCmd) Run(e *env) error {
	return c.measure(e, inference{Threads: c.Threads}, false, c.Embedder, embedder.Starter(), throughput.Tokenize)
}

// measurement is one of throughput's.
type measurement func(context.Context, *model.Folder, []string, throughput.Options) (*throughput.Report, error)

func (c *benchOptions) measure(e *env, inf inference, compare bool, name string, starter fs.FS, run measurement) error {
	for flag, value := range map[string]int{"threads": inf.Threads, "batch": c.Batch, "rounds": c.Rounds, "n": c.N} {
		if value < 0 {
			return usagef("--%s is %d; it must not be negative", flag, value)
		}
	}
	folder, err := c.folder(e, inf, name, starter)
	if err != nil {
		return err
	}
	texts, err := c.texts(e)
	if err != nil {
		return err
	}
	if err := inf.start(); err != nil {
		return err
	}
	rep, err := run(e.ctx, folder, texts, throughput.Options{
		Threads: inf.Threads, Batch: c.Batch, Rounds: c.Rounds, Alone: !compare,
		Progress: func(what string) { fmt.Fprintln(e.stderr, what) },
	})
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(e.stdout, rep)
	}
	return rep.Print(e.stdout)
}

// folder opens a built-in or installed model by its name, or any model folder by its path. What is not built in is tried in a
// process of its own before it is loaded here.
func (c *benchOptions) folder(e *env, inf inference, name string, starter fs.FS) (*model.Folder, error) {
	if name == starterName {
		return model.Open(starter, model.Options{Name: name})
	}
	if strings.ContainsRune(name, filepath.Separator) {
		as := model.Options{Name: collectionName(filepath.Clean(name))}
		if _, err := tryModel(e, newcomer{dir: name, name: as, inference: inf}); err != nil {
			return nil, err
		}
		return model.OpenDir(name, as)
	}
	i, found, err := newestOf(c.Data, name)
	if err != nil {
		return nil, err
	}
	if found {
		f, err := model.OpenDir(i.dir, model.Options{Name: i.name, Version: i.version})
		if err == nil {
			err = i.tryOnce(e, f, inf)
		}
		return f, err
	}
	return nil, fmt.Errorf("there is no model %q; robin models list shows those there are, and a folder's path has a %c in it", name, filepath.Separator)
}

// texts reads what is embedded of the first N documents of the file, or of the demo catalogue. Rows that are no documents
// and documents without text are passed over.
func (c *benchOptions) texts(e *env) ([]string, error) {
	s := importer.Source{Reader: bytes.NewReader(catalogue.Products()), Name: "products.jsonl.gz"}
	switch c.File {
	case "":
	case "-":
		s.Reader, s.Name = e.stdin, c.File
	default:
		f, err := os.Open(c.File)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		s.Reader, s.Name = f, c.File
	}
	texts, template, err := plainTexts(e.ctx, s, c.N)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", s.Name, err)
	}
	fmt.Fprintf(e.stderr, "%d texts of %s: %s\n", len(texts), s.Name, template)
	return texts, nil
}

// plainTexts gives the texts that a collection would embed of the source's first n documents; n 0: of all.
func plainTexts(ctx context.Context, s importer.Source, n int) (texts []string, template string, err error) {
	r, err := importer.Open(s)
	if err != nil {
		return nil, "", err
	}
	defer r.Close()
	settings, byLine, err := guessPlain(r.Sample(guessRows))
	if err != nil {
		return nil, "", err
	}
	plain, err := indexer.NewPlain(settings)
	if err != nil {
		return nil, "", err
	}
	rows := plainRows{r, plain, byLine}
	for n == 0 || len(texts) < n {
		row, err := rows.next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, "", err
		}
		if row.why == "" && strings.TrimSpace(row.text) != "" {
			texts = append(texts, row.text)
		}
	}
	if len(texts) == 0 {
		return nil, "", errors.New("it holds no document with text")
	}
	return texts, settings.EmbedTemplate, nil
}
