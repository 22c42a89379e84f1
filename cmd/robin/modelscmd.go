package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"robin"
	"robin/model"
	"robin/model/onnx"
)

// Run lists the models of a data folder or of a running server.
func (c *modelsListCmd) Run(e *env) error {
	var list struct {
		Models []robin.ModelInfo `json:"models"`
	}
	if c.URL != "" {
		cl, err := newClient(c.URL)
		if err != nil {
			return err
		}
		if err := cl.call(e.ctx, http.MethodGet, "/models", nil, &list); err != nil {
			return err
		}
	} else {
		m, err := openModels(e, c.Data, inference{})
		if err != nil {
			return err
		}
		defer m.Close()
		list.Models = m.infos
	}
	if c.JSON {
		return printJSON(e.stdout, list)
	}
	w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tVERSION\tTASK\tFAMILY\tDIMENSION\tMAX TOKENS\tLICENCE\tFINGERPRINT\tSOURCE")
	for _, i := range list.Models {
		dim := "-"
		if i.Dimension > 0 {
			dim = fmt.Sprint(i.Dimension)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%.12s\t%s\n",
			i.Name, i.Version, i.Task, i.Family, dim, i.MaxTokens, cmp.Or(i.Licence, "not said"), i.Fingerprint, i.Source)
	}
	return w.Flush()
}

// Run checks a folder and runs the model once.
func (c *modelsVerifyCmd) Run(e *env) error {
	info, err := tryModel(c.Dir, model.Options{}, c.inference)
	if err != nil {
		return err
	}
	return printModel(e, info, "is sound", c.JSON)
}

// Run copies a folder to DATA/models/NAME/VERSION. The copy is made beside its place, tried there, and then renamed, so
// that a folder that exists under its name is whole.
func (c *modelsImportCmd) Run(e *env) error {
	name := cmp.Or(c.Name, collectionName(filepath.Clean(c.Dir)))
	if err := model.CheckName(name); err != nil {
		return usageError{err}
	}
	src, err := model.OpenDir(c.Dir, model.Options{Name: name})
	if err != nil {
		return err
	}
	version := cmp.Or(c.As, src.Version)
	if err := model.CheckVersion(version); err != nil {
		return usageError{err}
	}
	if name == starterName {
		return usagef("the name %s belongs to the built-in models: choose another with --name", starterName)
	}
	final := filepath.Join(c.Data, "models", name, version)
	if _, err := os.Lstat(final); err == nil {
		return fmt.Errorf("%s is there already: give this one another version with --as", final)
	}
	parent := filepath.Dir(final)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(parent, ".import-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp) // nothing is left of it after the rename
	if err := copyFolder(c.Dir, tmp); err != nil {
		return fmt.Errorf("copy the model: %w", err)
	}
	info, err := tryModel(tmp, model.Options{Name: name, Version: version}, c.inference)
	if err != nil {
		return err
	}
	if err := os.Rename(tmp, final); err != nil {
		return err
	}
	if err := syncDir(parent); err != nil {
		return err
	}
	info.Name, info.Version, info.Source = name, version, final
	return printModel(e, info, "is installed; a running server sees it after a restart", c.JSON)
}

// tryModel opens a folder, loads it and runs it once.
func tryModel(dir string, o model.Options, inf inference) (robin.ModelInfo, error) {
	f, err := model.OpenDir(dir, o)
	if err != nil {
		return robin.ModelInfo{}, err
	}
	if err := onnx.Start(onnx.Options{Library: inf.ONNXRuntime}); err != nil {
		return robin.ModelInfo{}, err
	}
	m := &models{embedders: map[string]*textModel{}, rerankers: map[string]*pairModel{}}
	defer m.Close()
	if err := m.load(f, inf, dir); err != nil {
		return robin.ModelInfo{}, fmt.Errorf("model folder %q does not run: %w", dir, err)
	}
	return m.infos[0], nil
}

func printModel(e *env, i robin.ModelInfo, outcome string, asJSON bool) error {
	if asJSON {
		return printJSON(e.stdout, i)
	}
	_, err := fmt.Fprintf(e.stdout, "model %s version %s (%s, %s, %d tokens, fingerprint %.12s) %s\n",
		i.Name, i.Version, i.Family, i.Task, i.MaxTokens, i.Fingerprint, outcome)
	return err
}

// modelFiles are the kinds of files that a model folder is made of; weights for other frameworks stay behind.
var modelFiles = []string{".json", ".onnx", ".txt", ".md", ".model"}

// copyFolder copies the regular files of a model folder. Links and devices are refused: they would leave the folder.
func copyFolder(from, to string) error {
	return filepath.WalkDir(from, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case d.IsDir() && rel != "." && strings.HasPrefix(d.Name(), "."):
			return filepath.SkipDir
		case d.IsDir():
			return os.MkdirAll(target, 0o755)
		case !slices.Contains(modelFiles, strings.ToLower(filepath.Ext(path))):
			return nil
		case !d.Type().IsRegular():
			return fmt.Errorf("%s is not a regular file", path)
		}
		return copyFile(path, target)
	})
}

func copyFile(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Sync(), dst.Close())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
