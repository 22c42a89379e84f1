package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"robin/importer"
)

// failedOff is the --failed that keeps no rows.
const failedOff = "off"

// checkFailed refuses a --failed that an import would have to overwrite.
func (c *importCmd) checkFailed() error {
	if c.Failed == "" || c.Failed == failedOff {
		return nil
	}
	if len(c.Files) > 1 {
		return usagef("--failed %s can hold the rows of one file only: leave it out, and each file gets its own", c.Failed)
	}
	if _, err := os.Stat(c.Failed); !errors.Is(err, fs.ErrNotExist) {
		return usagef("--failed %s is there already: name another file, or move that one away", c.Failed)
	}
	return nil
}

// failedFile is where the failed rows of one imported file go. It never takes the place of a file.
type failedFile struct {
	path   string // as --failed says; empty: by the source's name, in the working folder
	source string
	made   string // its name, once it is made
}

// create makes the file. A name that is taken gets a number.
func (f *failedFile) create(format importer.Format) (io.WriteCloser, error) {
	if f.path != "" {
		return f.open(f.path)
	}
	base := filepath.Base(f.source)
	if f.source == "-" {
		base = "stdin"
	}
	base, _ = importer.SplitName(base)
	base = strings.TrimSuffix(base, ".failed") // of an earlier import
	for n := 1; ; n++ {
		name := fmt.Sprintf("%s.failed.%s", base, format)
		if n > 1 {
			name = fmt.Sprintf("%s.failed-%d.%s", base, n, format)
		}
		w, err := f.open(name)
		if !errors.Is(err, fs.ErrExist) || n == 1000 {
			return w, err
		}
	}
}

func (f *failedFile) open(name string) (io.WriteCloser, error) {
	w, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, err
	}
	f.made = name
	return w, nil
}

// fetch gets the rows that a task of the server could not import.
func (f *failedFile) fetch(ctx context.Context, cl *client, task string) error {
	res, err := cl.send(ctx, http.MethodGet, "/tasks/"+url.PathEscape(task)+"/failed", "", nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	format := importer.JSONL
	switch kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")); kind {
	case "text/csv":
		format = importer.CSV
	case "text/tab-separated-values":
		format = importer.TSV
	}
	w, err := f.create(format)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, res.Body)
	return errors.Join(err, w.Close())
}
