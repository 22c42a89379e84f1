package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// newStore makes a store, and at the test's end verifies it and closes it.
func newStore(t testing.TB) *Store {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store.db")
	if err := Create(path, json.RawMessage(`{"a":1}`)); err != nil {
		t.Fatal(err)
	}
	return openStore(t, path)
}

func openStore(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.closed() {
			return
		}
		if p := s.Verify(); len(p) > 0 {
			t.Errorf("verify: %q", p)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *Store) closed() bool { return s.db.Path() == "" }

func reopen(t testing.TB, s *Store) *Store {
	t.Helper()
	if p := s.Verify(); len(p) > 0 {
		t.Errorf("verify: %q", p)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return openStore(t, s.path)
}

func vec(x float32) []float32 { return []float32{x, 0, 0, 0} }

func mustPut(t testing.TB, s *Store, id, raw string, v []float32) Op {
	t.Helper()
	var op Op
	err := s.Update(func(tx *Tx) (err error) {
		doc := Doc{ID: id, Raw: []byte(raw)}
		if v != nil {
			doc.Flags = HasVector
			if doc.Model, err = tx.Model("m"); err != nil {
				return err
			}
		}
		op, err = tx.Put(doc, v)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return op
}

func get(t testing.TB, s *Store, id string) (doc Doc, err error) {
	t.Helper()
	err = s.View(func(r *Reader) error {
		doc, err = r.ByID(id)
		doc.Raw = bytes.Clone(doc.Raw)
		return err
	})
	return doc, err
}

func TestDocumentKeepsItsNumberThroughUpdatesAndANumberIsNeverUsedAgain(t *testing.T) {
	s := newStore(t)
	a := mustPut(t, s, "a", "1", vec(1))
	b := mustPut(t, s, "b", "2", vec(-1))
	if op := mustPut(t, s, "a", "3", vec(-1)); op.Number != a.Number || op.Seq != 3 || !op.VectorChanged {
		t.Fatalf("got %+v", op)
	}
	if err := s.Update(func(tx *Tx) error { _, err := tx.Delete("b"); return err }); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, s)
	if op := mustPut(t, s, "b", "4", nil); op.Number <= b.Number {
		t.Fatalf("number %d came again", op.Number)
	}
	if doc, err := get(t, s, "a"); err != nil || string(doc.Raw) != "3" || doc.Seq != 3 {
		t.Fatalf("got %+v, %v", doc, err)
	}
	if m := s.Meta(); m.Documents != 2 || m.Vectors != 1 || m.LastSeq != 5 {
		t.Fatalf("got %+v", m)
	}
}

func TestPutWithoutAVectorKeepsTheStoredOne(t *testing.T) {
	s := newStore(t)
	mustPut(t, s, "a", "1", vec(1))
	err := s.Update(func(tx *Tx) error {
		op, err := tx.Put(Doc{ID: "a", Raw: []byte("2"), Flags: HasVector, Model: 1}, nil)
		if op.VectorChanged {
			t.Error("the vector counts as changed")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	err = s.View(func(r *Reader) error {
		model, v, err := r.Vector(1)
		if model != 1 || v[0] != 1 {
			t.Errorf("got model %d, %v", model, v)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestVectorsAreReadTogetherAsOneByOne(t *testing.T) {
	s := newStore(t)
	r := seeded(t)
	for i := range 300 {
		var v []float32
		if i%5 > 0 {
			v = vec(float32(i%2*2 - 1))
		}
		mustPut(t, s, fmt.Sprint(i), "x", v)
	}
	for i := 0; i < 300; i += 7 {
		if err := s.Update(func(tx *Tx) error { _, err := tx.Delete(fmt.Sprint(i)); return err }); err != nil {
			t.Fatal(err)
		}
	}
	err := s.View(func(rd *Reader) error {
		for range 50 {
			numbers, rows := make([]uint64, r.IntN(40)), make([][]float32, 40)
			buf := make([]float32, 4*40)
			for i := range numbers {
				numbers[i] = r.Uint64N(310)
				rows[i] = buf[4*i : 4*i : 4*i+4*(i%2)] // every other one has room
			}
			if err := rd.ReadVectors(numbers, rows[:len(numbers)]); err != nil {
				return err
			}
			for i, number := range numbers {
				_, want, err := rd.Vector(number)
				if err != nil && !errors.Is(err, ErrNotFound) {
					return err
				}
				if !slices.Equal(rows[i], want) || (rows[i] == nil) != (want == nil) {
					t.Fatalf("number %d: got %v, want %v", number, rows[i], want)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFailedTransactionLeavesNothing(t *testing.T) {
	s := newStore(t)
	mustPut(t, s, "a", "1", vec(1))
	before := s.Meta()
	boom := errors.New("boom")
	err := s.Update(func(tx *Tx) error {
		if _, err := tx.Put(Doc{ID: "b", Raw: []byte("2")}, nil); err != nil {
			return err
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Fatalf("got %v", err)
	}
	if m := s.Meta(); m.LastSeq != before.LastSeq || m.Documents != before.Documents || m.NextNumber != before.NextNumber {
		t.Fatalf("got %+v, want %+v", m, before)
	}
	if _, err := get(t, s, "b"); !errors.Is(err, ErrNotFound) {
		t.Fatalf("got %v", err)
	}
}

func TestLogHoldsEveryOperationUntilItIsTrimmed(t *testing.T) {
	s := newStore(t)
	for i := range 10 {
		mustPut(t, s, fmt.Sprint("d", i%4), fmt.Sprint(i), nil)
	}
	err := s.Update(func(tx *Tx) error {
		if left, err := tx.TrimLog(7, 5); left != 2 || err != nil {
			t.Errorf("left %d, %v", left, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if f := s.Meta().LogFloor; f != 5 {
		t.Fatalf("floor %d", f)
	}
	want := uint64(7)
	err = s.View(func(r *Reader) error {
		for op, err := range r.Log(6) {
			if err != nil {
				return err
			}
			if op.Seq != want || op.ID != fmt.Sprint("d", (want-1)%4) {
				t.Errorf("got %+v at %d", op, want)
			}
			want++
		}
		return nil
	})
	if err != nil || want != 11 {
		t.Fatalf("ended at %d, %v", want, err)
	}
}

func TestCleanMarkIsVoidAfterTheNextCommitAndWhenItIsVoided(t *testing.T) {
	s := newStore(t)
	mustPut(t, s, "a", "1", nil)
	if err := s.MarkClean([]byte("note")); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, s)
	if n := s.CleanNote(); string(n) != "note" {
		t.Fatalf("got %q", n)
	}
	mustPut(t, s, "a", "2", nil)
	s = reopen(t, s)
	if n := s.CleanNote(); n != nil {
		t.Fatalf("got %q", n)
	}
	if err := s.MarkClean([]byte("note")); err != nil {
		t.Fatal(err)
	}
	if err := s.VoidClean(); err != nil {
		t.Fatal(err)
	}
	if n := reopen(t, s).CleanNote(); n != nil {
		t.Fatalf("got %q after it was voided", n)
	}
}

func TestCommitThatTheDiskDidNotConfirmMakesTheStoreReadOnly(t *testing.T) {
	s := newStore(t)
	mustPut(t, s, "a", "1", nil)
	s.commitFault = func() error { return syscall.EIO }
	put := func() error {
		return s.Update(func(tx *Tx) error { _, err := tx.Put(Doc{ID: "b", Raw: []byte("2")}, nil); return err })
	}
	if err := put(); !errors.Is(err, ErrReadOnly) || !errors.Is(err, syscall.EIO) {
		t.Fatalf("got %v", err)
	}
	s.commitFault = nil
	if err := put(); !errors.Is(err, ErrReadOnly) {
		t.Fatalf("the disk is well, but the store must stay read-only: %v", err)
	}
	if doc, err := get(t, s, "a"); err != nil || string(doc.Raw) != "1" {
		t.Fatalf("reads go on: %v, %v", doc, err)
	}
	s = reopen(t, s)
	mustPut(t, s, "b", "2", nil)
}

func TestFullDiskRollsBackAndWritesGoOnLater(t *testing.T) {
	s := newStore(t)
	s.commitFault = func() error { return &os.PathError{Op: "write", Path: s.path, Err: syscall.ENOSPC} }
	err := s.Update(func(tx *Tx) error { _, err := tx.Put(Doc{ID: "b", Raw: []byte("2")}, nil); return err })
	if !errors.Is(err, ErrDiskFull) {
		t.Fatalf("got %v", err)
	}
	s.commitFault = nil
	mustPut(t, s, "b", "3", nil)
}

func TestSecondOpenIsRefused(t *testing.T) {
	s := newStore(t)
	if _, err := Open(s.path, Options{}); !errors.Is(err, ErrLocked) {
		t.Fatalf("got %v", err)
	}
}

func TestNewerFormatIsRefusedAndLeftAlone(t *testing.T) {
	s := newStore(t)
	err := s.commit(func(tx *bolt.Tx, _ *Meta) error {
		var e encoder
		e.uvarint(FormatVersion + 1)
		e.b = append(e.b, make([]byte, 20)...)
		return putSealed(tx.Bucket(bucketMeta), tagMeta, keyIdentity, e.b)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.db.Close(); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(s.path)
	if _, err := Open(s.path, Options{}); !errors.Is(err, ErrFormat) {
		t.Fatalf("got %v", err)
	}
	if after, _ := os.ReadFile(s.path); !bytes.Equal(before, after) {
		t.Fatal("the file was changed")
	}
}

func TestRandomHistoryMatchesAMap(t *testing.T) {
	rnd := seeded(t)
	s := newStore(t)
	model, marked := map[string]string{}, map[string]Mark{}
	for step := range 300 {
		next, nextMarked := map[string]string{}, maps.Clone(marked)
		for k, v := range model {
			next[k] = v
		}
		abort := rnd.IntN(10) == 0
		err := s.Update(func(tx *Tx) error {
			for range 1 + rnd.IntN(8) {
				id := fmt.Sprint("id", rnd.IntN(60))
				if rnd.IntN(3) == 0 {
					_, err := tx.Delete(id)
					if _, there := next[id]; there != (err == nil) {
						t.Errorf("step %d: delete %s: %v", step, id, err)
					}
					delete(next, id)
					delete(nextMarked, id)
					continue
				}
				if n, err := tx.Number(id); err == nil && rnd.IntN(3) == 0 {
					m := Mark{Number: n, Kind: MarkKind(1 + rnd.IntN(2)), Twin: n%2 + 1, TwinID: fmt.Sprint("id", step), Cosine: rnd.Float32()}
					if _, there := nextMarked[id]; there && rnd.IntN(2) == 0 {
						_, err = tx.ClearMark(n)
						delete(nextMarked, id)
					} else if m.Twin != n {
						_, err = tx.SetMark(m)
						nextMarked[id] = m
					}
					if err != nil {
						return err
					}
					continue
				}
				raw := fmt.Sprint(step, id, rnd.Uint64())
				doc, v := Doc{ID: id, Raw: []byte(raw)}, []float32(nil)
				if rnd.IntN(2) == 0 {
					doc.Flags, v = HasVector, vec(1)
					doc.Model, _ = tx.Model("m")
				}
				op, err := tx.Put(doc, v)
				if err != nil {
					return err
				}
				if next[id] = raw; op.VectorChanged {
					delete(nextMarked, id)
				}
			}
			if abort {
				return errNever
			}
			return nil
		})
		if !abort {
			model, marked = next, nextMarked
		}
		if (err != nil) != abort {
			t.Fatalf("step %d: %v", step, err)
		}
		if rnd.IntN(40) == 0 {
			s = reopen(t, s)
		}
		if rnd.IntN(20) == 0 {
			s.Update(func(tx *Tx) error { _, err := tx.TrimLog(tx.Seq()/2, 1000); return err })
		}
	}
	n := 0
	err := s.View(func(r *Reader) error {
		for doc, err := range r.DocsByID() {
			if err != nil {
				return err
			}
			n++
			if string(doc.Raw) != model[doc.ID] {
				t.Errorf("%s is %q, want %q", doc.ID, doc.Raw, model[doc.ID])
			}
			m, err := r.Mark(doc.Number)
			if want, there := marked[doc.ID]; m != want || there != (err == nil) {
				t.Errorf("%s has the mark %+v, want %+v, %v", doc.ID, m, want, err)
			}
		}
		return nil
	})
	if err != nil || n != len(model) {
		t.Fatalf("%d documents, want %d, %v", n, len(model), err)
	}
}

var errNever = errors.New("not this time")
