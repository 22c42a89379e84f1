package store

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"robin"
)

func quarantine(t testing.TB, s *Store, list ...Quarantined) {
	t.Helper()
	if err := s.Update(func(tx *Tx) error { return tx.Quarantine(list) }); err != nil {
		t.Fatal(err)
	}
}

func quarantined(t testing.TB, s *Store) map[string]Quarantined {
	t.Helper()
	out := map[string]Quarantined{}
	err := s.View(func(r *Reader) error {
		for q, err := range r.Quarantine() {
			if err != nil {
				return err
			}
			out[q.ID] = q
		}
		if n := r.Quarantined(); n != len(out) {
			t.Errorf("it counts %d and has %d", n, len(out))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

func TestQuarantineStaysThroughAReopenAndIsNoOperation(t *testing.T) {
	s := newStore(t)
	mustPut(t, s, "a", "1", vec(1))
	seq := s.Meta().LastSeq
	first := Quarantined{ID: "a", At: noon, Model: "m", Version: "1.2", Fingerprint: "f0", Reason: "was not finite"}
	second := Quarantined{ID: "no such document", At: noon.Add(time.Millisecond), Model: "m"}
	quarantine(t, s, Quarantined{ID: "a", At: noon.Add(-time.Hour), Reason: "older"}, second)
	quarantine(t, s, first)
	s = reopen(t, s)
	if got := quarantined(t, s); !maps.Equal(got, map[string]Quarantined{"a": first, second.ID: second}) {
		t.Errorf("got %+v", got)
	}
	if now := s.Meta().LastSeq; now != seq {
		t.Errorf("the quarantine took sequence numbers: %d to %d", seq, now)
	}
}

func TestWritingOrDeletingAnIdTakesItOutOfQuarantine(t *testing.T) {
	s := newStore(t)
	mustPut(t, s, "deleted", "1", vec(1))
	all := []string{"deleted", "left", "new", "released"}
	for _, id := range all {
		quarantine(t, s, Quarantined{ID: id, At: noon})
	}
	mustPut(t, s, "new", "1", vec(1))
	err := s.Update(func(tx *Tx) error {
		if _, err := tx.Delete("deleted"); err != nil {
			return err
		}
		if was, err := tx.Release("never there"); was || err != nil {
			t.Errorf("released what was not there: %v, %v", was, err)
		}
		was, err := tx.Release("released")
		if !was {
			t.Error("it was not there")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Collect(maps.Keys(quarantined(t, s))); !slices.Equal(got, []string{"left"}) {
		t.Errorf("left are %q", got)
	}
}

func TestQuarantineIsBoundedAndTheOldestGo(t *testing.T) {
	s := newStore(t)
	var list []Quarantined
	for i := range robin.MaxQuarantined + 300 {
		list = append(list, Quarantined{ID: fmt.Sprint("d", i), At: noon.Add(time.Duration(i) * time.Second)})
	}
	quarantine(t, s, list[:700]...)
	quarantine(t, s, list[700:]...)
	got := quarantined(t, s)
	for i, q := range list {
		if _, there := got[q.ID]; there != (i >= 300) {
			t.Errorf("entry %d of %d: there is %v", i, len(list), there)
		}
	}
}

func TestDamagedQuarantineIsFoundAndKeepsNothingElseFromBeingRead(t *testing.T) {
	s := newStore(t)
	mustPut(t, s, "a", "1", vec(1))
	quarantine(t, s, Quarantined{ID: "bad", At: noon, Reason: "zero"})
	err := s.db.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketQuarantine)
		v := slices.Clone(b.Get([]byte("bad")))
		v[len(v)-1] ^= 1
		return b.Put([]byte("bad"), v)
	})
	if err != nil {
		t.Fatal(err)
	}
	if p := s.Verify(); len(p) != 1 {
		t.Errorf("verify says %q", p)
	}
	if doc, err := get(t, s, "a"); err != nil || string(doc.Raw) != "1" {
		t.Errorf("got %q, %v", doc.Raw, err)
	}
	mustPut(t, s, "bad", "2", vec(1)) // and the entry goes with it
}
