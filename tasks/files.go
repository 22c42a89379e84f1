package tasks

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"robin"
)

// rowsPrefix begins the name of a task's file of rows in the spool folder: the prefix, the task's id, the format as the
// extension. It goes when the task is forgotten.
const rowsPrefix = "rows-"

// CreateRows makes the file of rows of the task whose Work got ctx, in place of one that the task wrote before a
// restart. It is not made durable: a task that is cut off writes it again.
func (r *Registry) CreateRows(ctx context.Context, format string) (io.WriteCloser, error) {
	id := ID(ctx)
	if id == "" || format != filepath.Base(format) {
		return nil, errors.New("no task to keep rows of")
	}
	r.removeRows(id)
	return os.OpenFile(filepath.Join(r.opts.Dir, spoolDir, rowsPrefix+id+"."+format), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

// OpenRows opens a task's file of rows and gives its format, or says that there is none.
func (r *Registry) OpenRows(id string) (f *os.File, format string, err error) {
	if _, err := r.Get(id); err != nil {
		return nil, "", err
	}
	for _, path := range r.rowsOf(id) {
		f, err := os.Open(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, "", err
		}
		if err == nil {
			return f, strings.TrimPrefix(filepath.Ext(path), "."), nil
		}
	}
	return nil, "", robin.Errorf(robin.CodeNoTask, "task %s has no failed rows", id)
}

func (r *Registry) rowsOf(id string) []string {
	paths, _ := filepath.Glob(filepath.Join(r.opts.Dir, spoolDir, rowsPrefix+id+".*")) // ids are digits
	return paths
}

func (r *Registry) removeRows(id string) {
	for _, path := range r.rowsOf(id) {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			r.opts.Logger.Error("delete a task's rows", "file", path, "error", err)
		}
	}
}
