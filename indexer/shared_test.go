package indexer

import (
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"robin"
)

// damageStored changes a byte of a document wherever it lies in the store's file, under the feet of the open store.
func damageStored(t testing.TB, o Options, content string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(o.Dir, collectionsDir, "c", storeFile), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; ; at++ {
		i := bytes.Index(b[at:], []byte(content))
		if i < 0 {
			return
		}
		at += i
		if _, err := f.WriteAt([]byte{content[0] ^ 1}, int64(at)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDamagedDocumentFailsOnlyTheRequestThatTouchesIt(t *testing.T) {
	o := testOptions(t.TempDir())
	gate := make(chan struct{})
	var held atomic.Bool
	o.testHook = func(_, step string) {
		if step == "committed" && held.Load() {
			<-gate
		}
	}
	e := mustOpen(t, o)
	mustPut(t, e, "c", testSettings())
	mustWrite(t, e, "c", product(1), product(2), product(3))
	damageStored(t, o, `"title":"product number1"`)

	// While one commit is held up, the requests after it gather for the next.
	held.Store(true)
	c, _ := e.collection("c")
	var wg sync.WaitGroup
	wg.Go(func() { write(t, e, robin.Upsert, product(4)) })
	queued := func(n int, request func()) {
		wg.Go(request)
		for end := time.Now().Add(10 * time.Second); len(c.commits) < n; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("a request does not queue up")
			}
		}
	}
	for end := time.Now().Add(10 * time.Second); c.st.Meta().LastSeq < 4; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the first commit is not made")
		}
	}
	queued(1, func() {
		if n, _, _, err := e.Delete(ctx, "c", []string{"p2", "p1"}); robin.CodeOf(err) != robin.CodeDamaged || n != 0 {
			t.Errorf("delete of a damaged document: %d, %v", n, err)
		}
	})
	queued(2, func() {
		if n, _, _, err := e.Delete(ctx, "c", []string{"p3"}); n != 1 || err != nil {
			t.Errorf("delete of another: %d, %v", n, err)
		}
	})
	queued(3, func() {
		if res, err := e.Write(ctx, "c", robin.Upsert, rawDocs(product(5))); res.Indexed != 1 || err != nil {
			t.Errorf("write of another: %+v, %v", res, err)
		}
	})
	held.Store(false)
	close(gate)
	wg.Wait()
	if raw(t, e, "p2") != product(2) || raw(t, e, "p3") != "" || raw(t, e, "p5") != product(5) {
		t.Error("a refused delete was done in part, or one that was answered was not")
	}
	if res := write(t, e, robin.Upsert, product(1), product(6)); res.Indexed != 1 || len(res.Errors) != 1 || res.Errors[0].Code != robin.CodeDamaged {
		t.Errorf("write over a damaged document: %+v", res)
	}
}
