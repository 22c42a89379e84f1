package indexer

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"robin"
)

// TestCopyOfTheFolderAtAnyMomentRecovers copies the data between the steps of writes, as a crash would leave it, and
// opens the copies: every acknowledged document is there, in all places.
func TestCopyOfTheFolderAtAnyMomentRecovers(t *testing.T) {
	t.Run("one vector each", func(t *testing.T) { recoverCopies(t, testSettings()) })
	t.Run("passages", func(t *testing.T) { recoverCopies(t, chunkedSettings()) })
}

func recoverCopies(t *testing.T, s robin.Settings) {
	rnd := seeded(t)
	o := testOptions(t.TempDir())
	o.CheckpointDocuments = 50
	moments := rand.New(rand.NewPCG(rnd.Uint64(), 0)) // guarded by mu: the collection's goroutines draw from it
	var mu sync.Mutex
	acked, maybe := map[string]string{}, map[string]string{} // maybe: written and not answered; "" for a delete
	type snapshot struct {
		step, dir    string
		acked, maybe map[string]string
	}
	var snaps []snapshot
	seen := map[string]int{}
	var e *Engine
	o.testHook = func(name, step string) {
		mu.Lock()
		defer mu.Unlock()
		if seen[step]++; seen[step] > 4 && moments.IntN(8) != 0 || len(snaps) > 24 {
			return
		}
		dir := filepath.Join(t.TempDir(), "copy")
		copyLive(t, e, o.Dir, dir)
		snaps = append(snaps, snapshot{step, dir, maps.Clone(acked), maps.Clone(maybe)})
	}
	e = mustOpen(t, o)
	mustPut(t, e, "c", s)
	for round := range 60 {
		batch, del := map[string]string{}, ""
		for range 1 + rnd.IntN(20) {
			id := fmt.Sprint("h", rnd.IntN(50)) // few ids, so that versions meet
			batch[id] = fmt.Sprintf(`{"id":%q,"title":"round %d of w%d","description":%q,"price":%d}`, id, round, rnd.IntN(9), words(rnd, rnd.IntN(50)), round)
		}
		mu.Lock()
		maps.Copy(maybe, batch)
		mu.Unlock()
		mustWrite(t, e, "c", slices.Collect(maps.Values(batch))...)
		mu.Lock()
		maps.Copy(acked, batch)
		clear(maybe)
		del = fmt.Sprint("h", rnd.IntN(50))
		maybe[del] = ""
		mu.Unlock()
		e.Delete(ctx, "c", []string{del})
		mu.Lock()
		delete(acked, del)
		clear(maybe)
		mu.Unlock()
		if round%9 == 8 {
			mustCheckpoint(t, e)
			mustCollection(t, e).saveDueColumns()
		}
	}
	e.Close()
	for step := range map[string]bool{"committed": true, "applied": true, "graph checkpointed": true, "text flushed": true, "log trimmed": true, "columns stored": true} {
		if seen[step] == 0 {
			t.Errorf("step %q was never reached", step)
		}
	}
	for _, s := range snaps {
		o := testOptions(s.dir)
		e, err := Open(ctx, o)
		if err != nil {
			t.Fatal(err)
		}
		e.WaitReady(ctx)
		got := map[string]string{}
		if err := e.Export(ctx, "c", func(d robin.Document) error { got[d.ID] = string(d.Raw); return nil }); err != nil {
			t.Fatalf("after %q: %v", s.step, err)
		}
		for id := range s.acked {
			if want, open := s.maybe[id]; got[id] != s.acked[id] && !(open && got[id] == want) {
				t.Errorf("after %q: %s is %q, want %q", s.step, id, got[id], s.acked[id])
			}
		}
		for id := range got {
			if got[id] != s.acked[id] && got[id] != s.maybe[id] {
				t.Errorf("after %q: %s is %q, which was never written last", s.step, id, got[id])
			}
		}
		mustVerify(t, e, "c")
		e.Close()
		os.RemoveAll(s.dir)
	}
}

// copyLive copies a data folder that is being written to. The store is copied as its last commit left it; the derived
// files as they happen to be, which may be the middle of a write.
func copyLive(t testing.TB, e *Engine, from, to string) {
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // it went away meanwhile
		}
		rel, _ := filepath.Rel(from, path)
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		out, err := os.Create(filepath.Join(to, rel))
		if err != nil {
			return err
		}
		defer out.Close()
		if d.Name() == storeFile {
			e.mu.Lock()
			c := e.mu.collections["c"]
			e.mu.Unlock()
			_, err = c.st.WriteTo(out)
			return err
		}
		in, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		defer in.Close()
		_, err = io.Copy(out, in)
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestRandomHistoryMatchesAMap does random things and keeps a map beside it.
func TestRandomHistoryMatchesAMap(t *testing.T) {
	t.Run("one vector each", func(t *testing.T) { randomHistory(t, testSettings()) })
	t.Run("passages", func(t *testing.T) { randomHistory(t, chunkedSettings()) })
}

func randomHistory(t *testing.T, s robin.Settings) {
	rnd := seeded(t)
	o := testOptions(t.TempDir())
	e := mustOpen(t, o)
	mustPut(t, e, "c", s)
	want := map[string]string{}
	doc := func(step int) (string, string) {
		id := fmt.Sprint("r", rnd.IntN(80))
		title := ""
		if rnd.IntN(10) > 0 {
			title = fmt.Sprintf("thing %d %d", rnd.IntN(6), rnd.IntN(30))
		}
		return id, fmt.Sprintf(`{"id":%q,"title":%q,"description":%q,"price":%d,"n":%d}`, id, title, words(rnd, rnd.IntN(3)*rnd.IntN(30)), rnd.IntN(100), step)
	}
	for step := range 150 {
		switch rnd.IntN(12) {
		case 0:
			e.Close()
			e = mustOpen(t, o)
		case 1:
			mustCheckpoint(t, e)
		case 2:
			limit := rnd.IntN(10)
			n, _, err := e.DeleteByFilter(ctx, "c", fmt.Sprintf("price < %d", limit))
			if err != nil {
				t.Fatal(err)
			}
			for id, raw := range want {
				var price int
				fmt.Sscanf(raw[strings.Index(raw, `"price":`):], `"price":%d`, &price)
				if price < limit {
					delete(want, id)
					n--
				}
			}
			if n != 0 {
				t.Fatalf("step %d: %d deleted too many", step, n)
			}
		case 3, 4:
			id := fmt.Sprint("r", rnd.IntN(80))
			n, _, _, err := e.Delete(ctx, "c", []string{id})
			if _, there := want[id]; err != nil || there != (n == 1) {
				t.Fatalf("step %d: %d, %v", step, n, err)
			}
			delete(want, id)
		default:
			var docs []string
			for range 1 + rnd.IntN(30) {
				id, raw := doc(step)
				want[id] = raw
				docs = append(docs, raw)
			}
			mustWrite(t, e, "c", docs...)
		}
		if step%30 == 29 {
			mustHold(t, e, want)
		}
	}
	mustHold(t, e, want)
}
