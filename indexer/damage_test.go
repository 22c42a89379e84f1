package indexer

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"robin"
)

// files lists the files of a collection by kind.
func files(t testing.TB, dir string) map[string][]string {
	m := map[string][]string{}
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			kind := d.Name()
			if strings.HasSuffix(kind, ".zap") {
				kind = "zap"
			}
			m[kind] = append(m[kind], path)
		}
		return err
	})
	return m
}

// damageEach damages the files of one kind, one at a time, and opens the data each time: it must come back whole, or say
// that it is damaged. Nothing wrong may be served, and the process must live.
func damageEach(t *testing.T, kind string, times int, damage func(content []byte) []byte) (refused, whole int) {
	t.Helper()
	o := testOptions(t.TempDir())
	dir := closedCollection(t, o, 60)
	pristine := filepath.Join(t.TempDir(), "pristine")
	copyTree(t, o.Dir, pristine)
	for range times {
		os.RemoveAll(o.Dir)
		copyTree(t, pristine, o.Dir)
		list := files(t, dir)[kind]
		if len(list) == 0 {
			t.Fatalf("there is no %s", kind)
		}
		for _, path := range list {
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			os.WriteFile(path, damage(content), 0o600)
		}
		e, err := Open(ctx, o)
		if err != nil {
			t.Fatal(err)
		}
		e.WaitReady(ctx)
		served := false
		for i := range 60 {
			id := fmt.Sprint("p", i)
			d, err := e.Document(ctx, "c", id)
			if err == nil && string(d.Raw) != product(i) || err != nil && robin.CodeOf(err) != robin.CodeDamaged {
				t.Errorf("%s: %q, %v", id, d.Raw, err)
			}
			served = served || err == nil
		}
		rep, err := e.Verify(ctx, "c")
		switch {
		case err != nil:
			t.Error(err)
		case rep.OK && served:
			whole++
		case len(rep.Store) > 0:
			refused++
		default:
			t.Errorf("damage to %s is served: %+v", kind, rep)
		}
		e.Close()
	}
	return refused, whole
}

const flips = 30

func TestFlippedBitsAreMendedOrRefused(t *testing.T) {
	rnd := seeded(t)
	for _, kind := range []string{storeFile, graphFile, columnsFile, rootBolt, "zap"} {
		refused, whole := damageEach(t, kind, flips, func(b []byte) []byte {
			// Where there is content: the tail of a bbolt file is room to grow.
			end := len(bytes.TrimRight(b, "\x00"))
			b[rnd.IntN(end)] ^= 1 << rnd.IntN(8)
			return b
		})
		t.Logf("%s: %d refused, %d whole", kind, refused, whole)
		if kind != storeFile && refused > 0 {
			t.Errorf("damage to %s, which can be rebuilt, was not mended %d times", kind, refused)
		}
	}
}

func TestTruncatedFilesAreMendedOrRefused(t *testing.T) {
	rnd := seeded(t)
	for _, kind := range []string{storeFile, graphFile, columnsFile, rootBolt, "zap"} {
		refused, whole := damageEach(t, kind, 8, func(b []byte) []byte { return b[:rnd.IntN(len(bytes.TrimRight(b, "\x00")))] })
		t.Logf("%s: %d refused, %d whole", kind, refused, whole)
		if kind != storeFile && refused > 0 {
			t.Errorf("damage to %s, which can be rebuilt, was not mended %d times", kind, refused)
		}
	}
}

func TestDamagedStoreIsNamedAndTheOthersServe(t *testing.T) {
	o := testOptions(t.TempDir())
	dir := closedCollection(t, o, 20)
	e := mustOpen(t, o)
	mustPut(t, e, "other", testSettings())
	e.Close()
	if err := os.Truncate(filepath.Join(dir, storeFile), 5000); err != nil {
		t.Fatal(err)
	}
	e = mustOpen(t, o)
	if _, err := e.Document(ctx, "c", "p1"); robin.CodeOf(err) != robin.CodeDamaged {
		t.Errorf("got %v", err)
	}
	if _, err := e.Write(ctx, "c", robin.Upsert, rawDocs(product(1))); robin.CodeOf(err) != robin.CodeDamaged {
		t.Errorf("got %v", err)
	}
	if info, _ := e.Collection(ctx, "c"); info.Status != robin.Damaged || !strings.Contains(info.Detail, storeFile) {
		t.Errorf("got %+v", info)
	}
	if ready, detail := e.Ready(); !ready {
		t.Errorf("not ready: %s", detail)
	}
	if _, err := e.Write(ctx, "other", robin.Upsert, rawDocs(product(1))); err != nil {
		t.Error(err)
	}
}

func TestVerifyNamesDamageToWhatIsLoaded(t *testing.T) {
	o := testOptions(t.TempDir())
	e := mustOpen(t, o)
	mustPut(t, e, "c", testSettings())
	mustWrite(t, e, "c", product(1), product(2), product(3))
	c, _ := e.collection("c")
	v := c.view.Load()
	f := func(says string, break_, mend func()) {
		t.Helper()
		break_()
		rep, err := e.Verify(ctx, "c")
		if err != nil || rep.OK || !strings.Contains(strings.Join(rep.Derived, "\n"), says) {
			t.Errorf("want %q: %+v, %v", says, rep, err)
		}
		mend()
		mustVerify(t, e, "c")
	}
	vec, _ := v.graph.Vector(2)
	f("the graph lacks 1 vectors", func() { v.graph.Delete(2) }, func() { v.graph.Add(2, vec) })
	f("1 others", func() { v.graph.Add(9, vec) }, func() { v.graph.Delete(9) })
	other := make([]float32, len(vec))
	other[0] = 1
	f("1 vectors in the graph are not the stored ones", func() { v.graph.Add(2, other) }, func() { v.graph.Add(2, vec) })
	f("attributes", func() { v.attrs.Delete(1) }, func() { v.attrs.Set(1, nil) })
	seq := v.text.applied.Load()
	d, _ := parseDocument([]byte(product(2)), "id")
	f("it lacks 1 documents of the store", func() { v.text.apply([]textChange{{number: 2}}, seq) },
		func() { v.text.apply([]textChange{v.text.change(2, &d)}, seq) })
}

// TestIndexThatGoesOutIsMendedWhileTheOtherAnswers takes each index out, as an error in it does.
func TestIndexThatGoesOutIsMendedWhileTheOtherAnswers(t *testing.T) {
	for _, out := range []string{"text", "vectors"} {
		o := testOptions(t.TempDir())
		e := mustOpen(t, o)
		mustPut(t, e, "c", testSettings())
		mustWrite(t, e, "c", product(1))
		c, _ := e.collection("c")
		v, why := c.view.Load(), "a test took it out"
		if out == "text" {
			v.textOut.Store(&why)
		} else {
			v.graphOut.Store(&why)
		}
		res := mustWrite(t, e, "c", product(2)) // passes the index by
		if res.Indexed != 1 {
			t.Fatalf("got %+v", res)
		}
		deadline := time.Now().Add(30 * time.Second)
		for {
			info, _ := e.Collection(ctx, "c")
			if info.Status == robin.Ready {
				break
			}
			if info.Status != robin.Degraded || !strings.Contains(info.Detail, why) {
				t.Fatalf("got %+v", info)
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s was not mended", out)
			}
			time.Sleep(50 * time.Millisecond)
		}
		mustHold(t, e, map[string]string{"p1": product(1), "p2": product(2)})
		e.Close()
		mustHold(t, mustOpen(t, o), map[string]string{"p1": product(1), "p2": product(2)})
	}
}
