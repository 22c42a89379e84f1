package main

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"robin"
	"robin/importer"
)

// Run writes JSONL. A file appears under its name only when it is whole.
func (c *exportCmd) Run(e *env) error {
	if err := checkCollection(c.Collection); err != nil {
		return err
	}
	return toFile(e, c.Output, func(w io.Writer) error { return c.write(e, w) })
}

// toFile writes standard output for "-", or a file that appears under its name only when it is whole.
func toFile(e *env, name string, write func(io.Writer) error) error {
	if name == "-" {
		return write(e.stdout)
	}
	tmp, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*.part")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // fails once the file has its name
	if err := errors.Join(write(tmp), tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), name)
}

func (c *exportCmd) write(e *env, w io.Writer) error {
	if c.URL != "" {
		cl, err := newClient(c.URL)
		if err != nil {
			return err
		}
		body, err := cl.do(e.ctx, http.MethodGet, "/collections/"+c.Collection+"/documents/export", "", nil)
		if err != nil {
			return err
		}
		defer body.Close()
		_, err = io.Copy(w, body)
		return err
	}
	d, err := openExisting(e, c.Data, inference{})
	if err != nil {
		return err
	}
	defer d.Close()
	info, err := d.engine.Collection(e.ctx, c.Collection)
	if err != nil {
		return err
	}
	progress := e.stderr
	if c.Output == "-" {
		progress = io.Discard // the documents themselves may be on the terminal
	}
	m := newMeter(progress, "export "+c.Collection)
	defer m.done()
	out := bufio.NewWriter(w)
	written := 0
	err = d.engine.Export(e.ctx, c.Collection, func(doc robin.Document) error {
		written++
		m.show(robin.Progress{Done: written, Total: info.Documents})
		return importer.WriteLine(out, doc.Raw)
	})
	return errors.Join(err, out.Flush())
}
