package store

import (
	"errors"
	"testing"

	bolt "go.etcd.io/bbolt"
)

func mark(t testing.TB, s *Store, m Mark) {
	t.Helper()
	err := s.Update(func(tx *Tx) error {
		op, err := tx.SetMark(m)
		if err == nil && (op.Kind != OpMark || op.Number != m.Number || op.Seq != tx.Seq() || op.VectorChanged) {
			t.Errorf("logged %+v", op)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func marks(t testing.TB, s *Store) map[uint64]Mark {
	t.Helper()
	out := map[uint64]Mark{}
	err := s.View(func(r *Reader) error {
		for m, err := range r.Marks() {
			if err != nil {
				return err
			}
			if one, err := r.Mark(m.Number); err != nil || one != m {
				t.Errorf("mark of %d is %+v by itself, %+v in the list, %v", m.Number, one, m, err)
			}
			out[m.Number] = m
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := s.Meta().Marks; int(n) != len(out) {
		t.Errorf("the store counts %d marks and has %d", n, len(out))
	}
	return out
}

func TestMarkStaysThroughAReopenAndAnUpdateOfOtherFields(t *testing.T) {
	s := newStore(t)
	a, b := mustPut(t, s, "a", "1", vec(1)), mustPut(t, s, "b", "2", vec(1))
	want := Mark{Number: b.Number, Kind: MarkLink, Twin: a.Number, TwinID: "a", Cosine: 0.97}
	mark(t, s, Mark{Number: b.Number, Kind: MarkFlag, Twin: a.Number, TwinID: "a", Cosine: 1})
	mark(t, s, want)
	s = reopen(t, s)
	if got := marks(t, s); len(got) != 1 || got[b.Number] != want {
		t.Fatalf("got %+v", got)
	}
	err := s.Update(func(tx *Tx) error {
		_, err := tx.Put(Doc{ID: "b", Raw: []byte("3"), Flags: HasVector, Model: 1}, nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Update(func(tx *Tx) error { _, err := tx.SetVector(b.Number, 1, false, vec(-1), nil); return err }); err != nil {
		t.Fatal(err)
	}
	if got := marks(t, s); len(got) != 1 || got[b.Number] != want {
		t.Fatalf("after a new price and another model: %+v", got)
	}
}

func TestMarkGoesWithTheTextItWasMadeOf(t *testing.T) {
	s := newStore(t)
	a, b := mustPut(t, s, "a", "1", vec(1)), mustPut(t, s, "b", "2", vec(1))
	gone := func(what string, change func(tx *Tx) error) {
		t.Helper()
		mark(t, s, Mark{Number: b.Number, Kind: MarkFlag, Twin: a.Number, TwinID: "a", Cosine: 1})
		if err := s.Update(change); err != nil {
			t.Fatal(err)
		}
		if got := marks(t, s); len(got) != 0 {
			t.Fatalf("after %s: %+v", what, got)
		}
	}
	gone("a new vector", func(tx *Tx) error {
		_, err := tx.Put(Doc{ID: "b", Raw: []byte("3"), Flags: HasVector, Model: 1}, vec(-1))
		return err
	})
	gone("another text with the same vector", func(tx *Tx) error {
		_, err := tx.Put(Doc{ID: "b", Raw: []byte("4"), Flags: HasVector, Model: 1, TextHash: [32]byte{1}}, nil)
		return err
	})
	gone("taking it away", func(tx *Tx) error { _, err := tx.ClearMark(b.Number); return err })
	gone("a delete", func(tx *Tx) error { _, err := tx.Delete("b"); return err })
	err := s.Update(func(tx *Tx) error {
		if _, err := tx.ClearMark(a.Number); !errors.Is(err, ErrNotFound) {
			t.Errorf("a mark that is not there: %v", err)
		}
		if _, err := tx.SetMark(Mark{Number: b.Number, Kind: MarkFlag, Twin: a.Number}); !errors.Is(err, ErrNotFound) {
			t.Errorf("a document that is not there: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestStoreFromBeforeMarksOpensAndGetsThem(t *testing.T) {
	s := newStore(t)
	a, b := mustPut(t, s, "a", "1", nil), mustPut(t, s, "b", "2", nil)
	err := s.commit(func(tx *bolt.Tx, m *Meta) error {
		if tx.Bucket(bucketMarks) != nil {
			t.Error("an unmarked store has the bucket already")
		}
		var e encoder // the state as it was written then: six numbers
		for _, v := range []uint64{m.LastSeq, m.LogFloor, m.NextNumber, m.Documents, m.Vectors, m.Truncated} {
			e.uvarint(v)
		}
		return putSealed(tx.Bucket(bucketMeta), tagMeta, keyState, e.b)
	})
	if err != nil {
		t.Fatal(err)
	}
	s = reopen(t, s)
	mark(t, s, Mark{Number: b.Number, Kind: MarkFlag, Twin: a.Number, TwinID: "a"})
	s = reopen(t, s)
	if got := marks(t, s); len(got) != 1 {
		t.Fatalf("got %+v", got)
	}
}

func TestVerifyNamesMarksThatDoNotHold(t *testing.T) {
	s := newStore(t)
	a, b := mustPut(t, s, "a", "1", nil), mustPut(t, s, "b", "2", nil)
	good := Mark{Number: b.Number, Kind: MarkFlag, Twin: a.Number, TwinID: "a"}
	mark(t, s, good)
	put := func(key uint64, value []byte) {
		t.Helper()
		err := s.commit(func(tx *bolt.Tx, _ *Meta) error { return tx.Bucket(bucketMarks).Put(numberKey(key), value) })
		if err != nil {
			t.Fatal(err)
		}
	}
	sealed := func(m Mark) []byte { return Seal(tagMarks, numberKey(m.Number), encodeMark(&m)) }
	damaged := sealed(good)
	damaged[len(damaged)-1] ^= 1
	put(b.Number, damaged)
	if p := s.Verify(); len(p) != 1 {
		t.Errorf("a flipped bit: %q", p)
	}
	put(b.Number, sealed(Mark{Number: b.Number, Kind: 7, Twin: a.Number}))
	if p := s.Verify(); len(p) != 1 {
		t.Errorf("an unknown kind: %q", p)
	}
	put(b.Number, sealed(Mark{Number: b.Number, Kind: MarkFlag, Twin: b.Number}))
	if p := s.Verify(); len(p) != 1 {
		t.Errorf("its own twin: %q", p)
	}
	put(b.Number, sealed(good))
	put(99, sealed(Mark{Number: 99, Kind: MarkFlag, Twin: a.Number}))
	if p := s.Verify(); len(p) != 2 {
		t.Errorf("a mark of no document is one too many: %q", p)
	}
	err := s.commit(func(tx *bolt.Tx, _ *Meta) error { return tx.DeleteBucket(bucketMarks) })
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(s.path, Options{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("a lost bucket: %v", err)
	}
}
