package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"robin/embedder"
	"robin/importer"
	"robin/matrix"
	"robin/model"
	"robin/testdata/catalogue"
)

// embedAtOnce texts are embedded by one call.
const embedAtOnce = 1024

// demo gives the starter's vectors of n products that are made of those of the demo catalogue. They are kept in a file and read from
// it the next time.
func (c *benchAnnCmd) demo(e *env, n int, p *phases) (m *matrix.Matrix, err error) {
	folder, err := model.Open(embedder.Starter(), model.Options{Name: starterName})
	if err != nil {
		return nil, err
	}
	cache, err := c.cacheFolder()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(cache, fmt.Sprintf("demo-%d-%d-%.12s.npy", n, c.Seed, folder.Fingerprint))
	if m, err := matrix.Read(path, 0); !errors.Is(err, fs.ErrNotExist) {
		return m, err
	}
	r, w := io.Pipe()
	go func() { w.CloseWithError(catalogue.Enlarge(w, n, c.Seed)) }()
	texts, _, err := plainTexts(e.ctx, importer.Source{Reader: r, Name: "products.jsonl"}, n)
	if err := errors.Join(err, r.Close()); err != nil {
		return nil, err
	}
	inf := inference{Threads: c.Threads, Device: "cpu"}
	if err := inf.start(); err != nil {
		return nil, err
	}
	emb, err := embedder.Open(folder, embedder.Options{Workers: c.Threads})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, emb.Close()) }()
	m = matrix.New(len(texts), emb.Dim())
	for at := 0; at < len(texts); at += embedAtOnce {
		out, err := emb.Embed(e.ctx, texts[at:min(at+embedAtOnce, len(texts))], embedder.Passage)
		if err != nil {
			return nil, err
		}
		for i, v := range out.Vectors {
			copy(m.Row(at+i), v)
		}
		p.show("embed", at, len(texts))
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return nil, err
	}
	return m, m.Write(path)
}

// cacheFolder is where the vectors of --demo are kept.
func (c *benchAnnCmd) cacheFolder() (string, error) {
	if c.Cache != "" {
		return c.Cache, nil
	}
	user, err := os.UserCacheDir()
	if err != nil {
		return "", usagef("there is no cache folder here (%v); say where to keep vectors with --cache DIR", err)
	}
	return filepath.Join(user, "robin"), nil
}
