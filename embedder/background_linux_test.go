package embedder_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

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

func waitNiced(t *testing.T, want int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); niced(t) != want; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d threads stand back, want %d", niced(t), want)
		}
	}
}

func TestThreadsOfBulkWorkStandBackForQueries(t *testing.T) {
	before := niced(t)
	e := open(t, os.DirFS(tiny+"tiny-roberta"), embedder.Options{Workers: 3, Nice: 10})
	embed(t, e, embedder.Passage, randomTexts(rand.New(rand.NewPCG(9, 9)), 100)...)
	waitNiced(t, before+3)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	waitNiced(t, before) // none is left behind for other work
}

// onFirstThread runs f on the thread that the program began with.
func onFirstThread(t *testing.T, f func()) {
	t.Helper()
	var held sync.WaitGroup
	stop := make(chan struct{})
	defer func() { close(stop); held.Wait() }()
	for range 1000 { // each holds its thread, so that one of them gets the first
		first := make(chan bool)
		held.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			if unix.Gettid() == os.Getpid() {
				f()
				first <- true
				return
			}
			first <- false
			<-stop
		})
		if <-first {
			return
		}
		time.Sleep(time.Millisecond) // the first may be the one that waits for timers
	}
	t.Skip("none of 1000 threads is the first")
}

// The first thread of a program does not end with a goroutine that holds it.
func TestFirstThreadNeverStandsBack(t *testing.T) {
	before, during := niced(t), 0
	onFirstThread(t, func() { embedder.Background(10, func() { during = niced(t) }) })
	if during != before+1 {
		t.Errorf("%d threads stand back at work, want %d", during, before+1)
	}
	waitNiced(t, before)
}
