package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"robin"
	"robin/drift"
	"robin/model"
)

// Run makes a smaller version of an installed model, measures how far its answers are from those of the float32 one, and installs it
// when that is little enough.
func (c *modelsQuantizeCmd) Run(e *env) error {
	source, name, version, err := c.names()
	if err != nil {
		return err
	}
	f, err := model.OpenDir(source.dir, model.Options{Name: source.name, Version: source.version})
	if err != nil {
		return err
	}
	f.Name, f.Version = source.name, source.version
	if err := source.tryOnce(e, f, c.inference); err != nil {
		return err
	}
	texts, err := (&benchOptions{File: c.Texts, N: c.N}).texts(e)
	if err != nil {
		return err
	}
	s, err := newStage(c.Data)
	if err != nil {
		return err
	}
	defer s.close()
	if err := c.write(e, f, source.dir, s.dir); err != nil {
		return err
	}
	origin, err := model.ReadOrigin(os.DirFS(source.dir))
	if err != nil {
		return err
	}
	origin.Name, origin.Version, origin.QuantizedFrom = name, version, f.Fingerprint
	var rep *drift.Report
	s.last = func() error {
		fmt.Fprintf(e.stderr, "comparing it with the float32 model on %d texts\n", len(texts))
		rep, err = c.drift(e, f, s.dir, texts)
		if err != nil {
			return err
		}
		return c.limit(rep)
	}
	info, err := s.install(e, name, origin, c.inference)
	if rep != nil && !c.JSON {
		err = errors.Join(err, rep.Print(e.stdout))
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(e.stdout, struct {
			Model robin.ModelInfo `json:"model"`
			Drift *drift.Report   `json:"drift"`
		}{info, rep})
	}
	return printModel(e, info, "is installed; a running server sees it after a restart", false)
}

// names works out what is quantized and what that is called.
func (c *modelsQuantizeCmd) names() (source installed, name, version string, err error) {
	if c.N < 2 {
		return source, "", "", usagef("-n is %d; at least 2 texts can be compared", c.N)
	}
	if c.Name == starterName {
		return source, "", "", usagef("the %s models are built in, and of int8 already", starterName)
	}
	if source, err = findInstalled(c.Data, c.Name); err != nil {
		return source, "", "", err
	}
	name, version, _ = strings.Cut(c.As, "/")
	name = cmp.Or(name, source.name+"-"+c.To)
	if err := checkNewName(name, version); err != nil {
		return source, "", "", err
	}
	if version == "" {
		version, err = nextVersion(c.Data, name)
	}
	return source, name, version, err
}

// write puts the quantized graph and all else of the source into dir. What the source's reference.json says is only nearly true of
// it, so that stays behind.
func (c *modelsQuantizeCmd) write(e *env, f *model.Folder, from, dir string) error {
	q, err := f.Quantize(model.Precision(c.To))
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stderr, "%d matrices are of %s now, %d stay float32\n", q.Matrices, c.To, q.Left)
	if err := writeNew(filepath.Join(dir, "model.onnx"), bytes.NewReader(q.Graph)); err != nil {
		return err
	}
	if c.KeepFloat32 {
		if err := copyFile(filepath.Join(from, filepath.FromSlash(f.GraphFile())), filepath.Join(dir, model.FullGraph)); err != nil {
			return err
		}
	}
	files, err := model.FolderFiles(os.DirFS(from))
	if err != nil {
		return err
	}
	for _, name := range files {
		if path.Ext(name) == ".onnx" || name == "reference.json" {
			continue
		}
		to := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := copyFile(filepath.Join(from, filepath.FromSlash(name)), to); err != nil {
			return err
		}
	}
	return nil
}

func (c *modelsQuantizeCmd) drift(e *env, before *model.Folder, dir string, texts []string) (*drift.Report, error) {
	after, err := model.OpenDir(dir, model.Options{})
	if err != nil {
		return nil, err
	}
	if err := c.inference.start(); err != nil {
		return nil, err
	}
	return drift.Compare(e.ctx, before, after, texts, c.Threads)
}

// limit refuses a model that is too far from what it was.
func (c *modelsQuantizeCmd) limit(r *drift.Report) error {
	const instead = "nothing was installed; float16 keeps more (--to float16), or ask for less if that will do"
	if v := r.Vector; v != nil && !(v.LeastCosine >= c.MinCosine) {
		return fmt.Errorf("a vector of %s has a cosine of %.4f with that of float32, --min-cosine asks for %g: %s. The text is %.60q", c.To, v.LeastCosine, c.MinCosine, instead, v.Worst)
	}
	if s := r.Score; s != nil && !(s.Tau >= c.MinTau) {
		return fmt.Errorf("the orders that the %s scores make have a tau of %.3f with those of float32, --min-tau asks for %g: %s", c.To, s.Tau, c.MinTau, instead)
	}
	return nil
}
