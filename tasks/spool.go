package tasks

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"robin"
)

const (
	spoolDir    = "spool"
	spoolPrefix = "body-"
	spoolStep   = 4 << 20 // copied between two looks at the disk
)

// Spooled is the part of a task's input that names its spool file. Inputs embed it; the file is deleted when the task
// ends.
type Spooled struct {
	Spool string `json:"spool"` // file name inside the spool folder
}

func spoolOf(input json.RawMessage) string {
	var s Spooled
	_ = json.Unmarshal(input, &s)
	return s.Spool
}

// Spool copies body to a new file and makes it durable: when it returns, the bytes survive a power cut. size is how many
// will come, 0 when that is not known; n is how many came. A body for which the disk has no room, or whose task could not
// wait, is refused before and while it comes, and leaves nothing. A caller that does not start a task with it must
// DropSpool it.
func (r *Registry) Spool(body io.Reader, size int64) (s Spooled, n int64, err error) {
	if err := r.takes(size); err != nil {
		return s, 0, err
	}
	dir := filepath.Join(r.opts.Dir, spoolDir)
	f, err := os.CreateTemp(dir, spoolPrefix+"*")
	if err != nil {
		return s, 0, spoolError(err)
	}
	s.Spool = filepath.Base(f.Name())
	n, err = r.fill(f, body)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		r.removeSpool(s.Spool)
		return Spooled{}, 0, spoolError(err)
	}
	return s, n, nil
}

func spoolError(err error) error {
	if errors.Is(err, syscall.ENOSPC) {
		return robin.Errorf(robin.CodeDiskFull, "the disk has no room for the body: %w", err)
	}
	return fmt.Errorf("spool: %w", err)
}

// fill copies body and looks after each step whether there is still room.
func (r *Registry) fill(f *os.File, body io.Reader) (n int64, err error) {
	for {
		step, err := io.CopyN(f, body, spoolStep)
		n += step
		switch {
		case errors.Is(err, io.EOF):
			return n, nil
		case err != nil:
			return n, err
		}
		if err := r.takes(0); err != nil {
			return n, err
		}
	}
}

// takes says whether size more bytes may be spooled: the reserve of the disk stays free, as writes leave it, and the
// body's task will be allowed to wait.
func (r *Registry) takes(size int64) error {
	r.mu.Lock()
	err := r.roomLocked()
	r.mu.Unlock()
	if err != nil {
		return err
	}
	free, total, err := r.space()
	if err != nil {
		r.opts.Logger.Warn("cannot tell how much space the disk has", "error", err)
		return nil
	}
	reserve := r.opts.MinFreeBytes
	if reserve == 0 {
		reserve = min(total/20, 512<<20)
	}
	if free < reserve || free-reserve < uint64(max(size, 0)) {
		return robin.Errorf(robin.CodeDiskFull, "the disk has %d MiB left and Robin keeps %d MiB free: there is no room for the body; make room, or import without async", free>>20, reserve>>20)
	}
	return nil
}

// diskSpace is what the file system of dir has left for us, and has in total.
func diskSpace(dir string) (free, total uint64, err error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, 0, err
	}
	return st.Bavail * uint64(st.Bsize), st.Blocks * uint64(st.Bsize), nil
}

// OpenSpool opens a spooled body.
func (r *Registry) OpenSpool(s Spooled) (*os.File, error) { return openSpool(r.opts.Dir, s) }

// DropSpool deletes a spooled body that no task was started with.
func (r *Registry) DropSpool(s Spooled) { r.removeSpool(s.Spool) }

func openSpool(dir string, s Spooled) (*os.File, error) {
	if !strings.HasPrefix(s.Spool, spoolPrefix) || s.Spool != filepath.Base(s.Spool) {
		return nil, robin.Errorf(robin.CodeDamaged, "%q is not the name of a spool file", s.Spool)
	}
	return os.Open(filepath.Join(dir, spoolDir, s.Spool))
}

func (r *Registry) removeSpool(name string) {
	if name == "" || name != filepath.Base(name) {
		return
	}
	if err := os.Remove(filepath.Join(r.opts.Dir, spoolDir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		r.opts.Logger.Error("delete spool file", "file", name, "error", err)
	}
}

// removeOrphans deletes spool files that no unfinished task needs: uploads that the stop cut off, and rows of tasks that
// are forgotten.
func (r *Registry) removeOrphans(keep map[string]bool) {
	files, err := os.ReadDir(filepath.Join(r.opts.Dir, spoolDir))
	if err != nil {
		r.opts.Logger.Error("list spool files", "error", err)
		return
	}
	for _, f := range files {
		if !keep[f.Name()] && f.Type().IsRegular() && strings.HasPrefix(f.Name(), spoolPrefix) {
			r.removeSpool(f.Name())
		}
		if rest, ok := strings.CutPrefix(f.Name(), rowsPrefix); ok {
			id, _, _ := strings.Cut(rest, ".")
			if r.mu.tasks[id] == nil {
				r.removeSpool(f.Name())
			}
		}
	}
}
