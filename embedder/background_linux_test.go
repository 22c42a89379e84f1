package embedder_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"robin/embedder"
)

// niced counts the threads of this process that stand back for others.
func niced(t *testing.T) (n int) {
	t.Helper()
	files, err := filepath.Glob("/proc/self/task/*/stat")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // the thread has ended
		}
		fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		if len(fields) > 16 && fields[16] == "10" { // proc(5): field 19, counted from 3 behind the name
			n++
		}
	}
	return n
}

func TestThreadsOfBulkWorkStandBackForQueries(t *testing.T) {
	before := niced(t)
	e := open(t, os.DirFS(tiny+"tiny-roberta"), embedder.Options{Workers: 3, Nice: 10})
	embed(t, e, embedder.Passage, randomTexts(rand.New(rand.NewPCG(9, 9)), 100)...)
	wait := func(want int) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); niced(t) != want; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%d threads stand back, want %d", niced(t), want)
			}
		}
	}
	wait(before + 3)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	wait(before) // none is left behind for other work
}
