package tasks

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"robin"
)

// watched counts what is read of a body, and calls at each read.
type watched struct {
	r  io.Reader
	n  int64
	at func(n int64)
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	w.n += int64(n)
	if w.at != nil {
		w.at(w.n)
	}
	return n, err
}

const mib = 1 << 20

// refuse spools a body of 32 MiB and wants an error with the code after at most most bytes, and no file left.
func refuse(t *testing.T, r *Registry, size int64, code robin.Code, most int64, at func(n int64)) {
	t.Helper()
	body := &watched{r: bytes.NewReader(make([]byte, 32*mib)), at: at}
	s, n, err := r.Spool(body, size)
	if robin.CodeOf(err) != code || s.Spool != "" || n != 0 {
		t.Errorf("spooled %q, %d bytes, %v; want %s", s.Spool, n, err, code)
	}
	if body.n > most {
		t.Errorf("%d bytes were read, want at most %d", body.n, most)
	}
	if left, err := os.ReadDir(filepath.Join(r.opts.Dir, spoolDir)); err != nil || len(left) > 0 {
		t.Errorf("left in the spool folder: %v, %v", left, err)
	}
}

func TestSpoolLeavesTheReserveOfTheDiskFree(t *testing.T) {
	r := open(t, Options{Dir: t.TempDir()})
	free := uint64(0)
	r.space = func() (uint64, uint64, error) { return free, 100 << 30, nil } // 512 MiB must stay
	refuse(t, r, 0, robin.CodeDiskFull, 0, nil)
	free = (512 + 20) * mib
	refuse(t, r, 32*mib, robin.CodeDiskFull, 0, nil) // what is declared does not fit
	refuse(t, r, 0, robin.CodeDiskFull, 24*mib, func(n int64) { free = uint64((512+20)*mib - n) })
	free = (512 + 40) * mib
	if s, n, err := r.Spool(strings.NewReader("fits"), 4); err != nil || n != 4 {
		t.Errorf("%d bytes, %v", n, err)
	} else {
		r.DropSpool(s)
	}
	r.opts.MinFreeBytes = 600 * mib
	refuse(t, r, 0, robin.CodeDiskFull, 0, nil)
	r.opts.MinFreeBytes = 0
	r.space = func() (uint64, uint64, error) { return 3 * mib, 100 * mib, nil } // 5 % of a small disk
	refuse(t, r, 0, robin.CodeDiskFull, 0, nil)
	r.space = func() (uint64, uint64, error) { return 0, 0, errors.New("no such call here") }
	if s, _, err := r.Spool(strings.NewReader("x"), 0); err != nil {
		t.Errorf("a disk that tells nothing: %v", err)
	} else {
		r.DropSpool(s)
	}
	if free, total, err := diskSpace(r.opts.Dir); err != nil || free == 0 || total < free {
		t.Errorf("this disk has %d of %d bytes free, %v", free, total, err)
	}
}

func TestABodyWhoseTaskCouldNotWaitIsNotSpooled(t *testing.T) {
	r := open(t, Options{Dir: t.TempDir(), Parallel: 1, Waiting: 1})
	running := start(t, r, nil, untilCanceled)
	wait(t, r, running.ID, func(task robin.Task) bool { return task.Status == robin.TaskProcessing })
	waiting := false
	refuse(t, r, 0, robin.CodeOverloaded, 8*mib, func(n int64) {
		if !waiting && n > mib { // somebody else takes the place while the body comes
			start(t, r, nil, untilCanceled)
			waiting = true
		}
	})
	refuse(t, r, 0, robin.CodeOverloaded, 0, nil)
}
