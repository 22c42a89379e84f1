package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// cutOf makes n passages of a text, with vectors.
func cutOf(n int) *Passages {
	p := &Passages{Head: 3}
	for i := range n {
		p.Spans = append(p.Spans, Span{10 * i, 10*i + 12})
		if i > 0 {
			p.Vectors = append(p.Vectors, vec(-1))
		}
	}
	return p
}

func mustPutPassages(t testing.TB, s *Store, id, raw string, cut *Passages) Op {
	t.Helper()
	var op Op
	err := s.Update(func(tx *Tx) (err error) {
		doc := Doc{ID: id, Raw: []byte(raw), Flags: HasVector}
		if doc.Model, err = tx.Model("m"); err != nil {
			return err
		}
		op, err = tx.PutPassages(doc, vec(1), cut)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return op
}

// vectorNumbers lists all numbers that have a vector.
func vectorNumbers(t testing.TB, s *Store) (list []uint64) {
	t.Helper()
	err := s.View(func(r *Reader) error {
		for sv, err := range r.Vectors() {
			if err != nil {
				return err
			}
			list = append(list, sv.Number)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestPassagesComeAndGoWithTheirDocument(t *testing.T) {
	s := newStore(t)
	mustPut(t, s, "short", "1", vec(1))
	if f := s.Meta().Format; f != firstFormat {
		t.Fatalf("a store without passages has format %d", f)
	}
	cut := cutOf(3)
	op := mustPutPassages(t, s, "long", "2", cut)
	if cut.Document != op.Number || cut.First != op.Number+1 || cut.Number(0) != op.Number || cut.Number(2) != op.Number+2 {
		t.Fatalf("got %+v for %+v", cut, op)
	}
	s = reopen(t, s)
	if m := s.Meta(); m.Format != passagesFormat || m.Documents != 2 || m.Vectors != 2 || m.Passages != 2 || m.NextNumber != 5 {
		t.Fatalf("got %+v", m)
	}
	read := func() (p Passages) {
		t.Helper()
		err := s.View(func(r *Reader) (err error) { p, err = r.Passages(op.Number); return err })
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if p := read(); p.Head != 3 || p.First != cut.First || !slices.Equal(p.Spans, cut.Spans) {
		t.Fatalf("got %+v, want %+v", p, cut)
	}
	// A document that keeps its vector keeps its passages.
	err := s.Update(func(tx *Tx) error {
		_, err := tx.Put(Doc{ID: "long", Raw: []byte("3"), Flags: HasVector, Model: 1}, nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if doc, _ := get(t, s, "long"); doc.Flags&Chunked == 0 || len(read().Spans) != 3 {
		t.Fatalf("got %+v", doc)
	}
	// New passages have new numbers; the old vectors are gone.
	mustPutPassages(t, s, "long", "4", cutOf(2))
	if got := vectorNumbers(t, s); !slices.Equal(got, []uint64{1, 2, 5}) {
		t.Fatalf("vectors %v", got)
	}
	// Short again, and long again.
	mustPut(t, s, "long", "5", vec(1))
	if doc, _ := get(t, s, "long"); doc.Flags&Chunked != 0 || s.Meta().Passages != 0 {
		t.Fatalf("got %+v, %+v", doc, s.Meta())
	}
	err = s.View(func(r *Reader) error { _, err := r.Passages(op.Number); return err })
	if !errors.Is(err, ErrNotFound) {
		t.Fatalf("got %v", err)
	}
	mustPutPassages(t, s, "long", "6", cutOf(4))
	if err := s.Update(func(tx *Tx) error { _, err := tx.Delete("long"); return err }); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, s)
	if got := vectorNumbers(t, s); !slices.Equal(got, []uint64{1}) || s.Meta().Passages != 0 {
		t.Fatalf("vectors %v, %+v", got, s.Meta())
	}
	// A new model cuts anew, and so does one that needs no cut.
	op = mustPutPassages(t, s, "long", "7", cutOf(2))
	for _, cut := range []*Passages{cutOf(3), nil} {
		if err := s.Update(func(tx *Tx) error { _, err := tx.SetVector(op.Number, 1, false, vec(-1), cut); return err }); err != nil {
			t.Fatal(err)
		}
		want := uint64(0)
		if cut != nil {
			want = 2
		}
		if m := s.Meta(); m.Passages != want || len(vectorNumbers(t, s)) != 2+int(want) {
			t.Fatalf("got %+v", m)
		}
	}
}

func TestStoreWithoutPassagesIsAsItWasBeforeThereWereAny(t *testing.T) {
	s := newStore(t)
	mustPut(t, s, "a", "1", vec(1))
	err := s.commit(func(tx *bolt.Tx, m *Meta) error {
		b := tx.Bucket(bucketMeta)
		state, _ := getSealed(b, tagMeta, keyState)
		n := 0
		for rest := state; len(rest) > 0; n++ {
			_, width := binary.Uvarint(rest)
			rest = rest[width:]
		}
		identity, _ := getSealed(b, tagMeta, keyIdentity)
		if n != 7 || identity[0] != 1 || tx.Bucket(bucketPassages) != nil {
			t.Errorf("%d counts, format %d", n, identity[0])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestDamagedPassagesFailBeforeAnythingIsChanged(t *testing.T) {
	s := newStore(t)
	op := mustPutPassages(t, s, "long", "1", cutOf(3))
	var good []byte
	put := func(value []byte) {
		t.Helper()
		err := s.commit(func(tx *bolt.Tx, _ *Meta) error {
			b := tx.Bucket(bucketPassages)
			if good == nil {
				good = bytes.Clone(b.Get(numberKey(op.Number)))
			}
			return b.Put(numberKey(op.Number), value)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	sealed := func(p *Passages) []byte { return Seal(tagPassages, numberKey(op.Number), encodePassages(p)) }
	put(sealed(cutOf(1)))
	if p := s.Verify(); len(p) == 0 {
		t.Error("one passage passes for several")
	}
	far := cutOf(3)
	far.First = 90
	put(sealed(far))
	if p := s.Verify(); len(p) == 0 {
		t.Error("numbers that were not given out pass")
	}
	bad := bytes.Clone(good)
	bad[len(bad)-1] ^= 1
	put(bad)
	err := s.Update(func(tx *Tx) error {
		if _, err := tx.Put(Doc{ID: "long", Raw: []byte("2")}, nil); !errors.Is(err, ErrDamaged) {
			t.Errorf("put: %v", err)
		}
		if _, err := tx.Delete("long"); !errors.Is(err, ErrDamaged) {
			t.Errorf("delete: %v", err)
		}
		return nil
	})
	if doc, _ := get(t, s, "long"); err != nil || string(doc.Raw) != "1" {
		t.Errorf("%v; got %+v", err, doc)
	}
	put(good)
	err = s.commit(func(tx *bolt.Tx, _ *Meta) error { return tx.Bucket(bucketVecs).Delete(numberKey(op.Number + 2)) })
	if p := s.Verify(); len(p) == 0 || err != nil {
		t.Errorf("a passage without its vector passes, %v", err)
	}
	err = s.commit(func(tx *bolt.Tx, _ *Meta) error {
		return putSealed(tx.Bucket(bucketVecs), tagVecs, numberKey(op.Number+2), encodeVector(1, vec(1)))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestRandomPassagesMatchAMap writes documents with and without passages, takes them away, aborts and reopens.
func TestRandomPassagesMatchAMap(t *testing.T) {
	rnd := seeded(t)
	s := newStore(t)
	parts := map[string]int{} // vectors of each document
	highest := uint64(0)
	for step := range 300 {
		next := map[string]int{}
		for k, v := range parts {
			next[k] = v
		}
		abort := rnd.IntN(8) == 0
		err := s.Update(func(tx *Tx) error {
			model, err := tx.Model("m")
			if err != nil {
				return err
			}
			for range 1 + rnd.IntN(6) {
				id := fmt.Sprint("id", rnd.IntN(30))
				doc := Doc{ID: id, Raw: fmt.Append(nil, step, rnd.Uint64()), Flags: HasVector, Model: model}
				before := tx.next.NextNumber
				switch n := rnd.IntN(6); {
				case n == 0:
					_, err = tx.Delete(id)
					if _, there := next[id]; there != (err == nil) {
						t.Errorf("step %d: delete %s: %v", step, id, err)
					}
					delete(next, id)
					err = nil
				case n == 1:
					doc.Flags, doc.Model, next[id] = 0, 0, 0
					_, err = tx.Put(doc, nil)
				case n == 2 && next[id] > 0:
					_, err = tx.Put(doc, nil) // keeps them
				case n <= 3:
					next[id] = 1
					_, err = tx.Put(doc, vec(1))
				default:
					cut := cutOf(2 + rnd.IntN(4))
					next[id] = len(cut.Spans)
					_, err = tx.PutPassages(doc, vec(1), cut)
					if !abort && cut.First < max(before, highest) {
						t.Errorf("step %d: the number %d came again", step, cut.First)
					}
				}
				if err != nil {
					return err
				}
			}
			if abort {
				return errNever
			}
			return nil
		})
		if (err != nil) != abort {
			t.Fatalf("step %d: %v", step, err)
		}
		if !abort {
			parts, highest = next, s.Meta().NextNumber
		}
		if rnd.IntN(40) == 0 {
			s = reopen(t, s)
		}
	}
	vectors, extra := 0, 0
	for _, n := range parts {
		vectors += n
		extra += max(0, n-1)
	}
	if m := s.Meta(); len(vectorNumbers(t, s)) != vectors || m.Passages != uint64(extra) {
		t.Fatalf("%d vectors and %+v, want %d and %d", len(vectorNumbers(t, s)), m, vectors, extra)
	}
	err := s.View(func(r *Reader) error {
		for doc, err := range r.Docs(0) {
			if err != nil {
				return err
			}
			p, err := r.Passages(doc.Number)
			if n := len(p.Spans); n != parts[doc.ID] && (n != 0 || parts[doc.ID] > 1) || (err == nil) != (n > 0) {
				t.Errorf("%s has %d passages, want %d: %v", doc.ID, n, parts[doc.ID], err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
