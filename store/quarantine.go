package store

import (
	"cmp"
	"errors"
	"iter"
	"slices"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"

	"robin"
)

// Quarantined is an id that could not be written, because the model gave no usable vector for its text. There may be no
// document of that id, or an older state of it. The entry goes when the id is written or deleted.
type Quarantined struct {
	ID          string
	At          time.Time // to the millisecond
	Model       string
	Version     string
	Fingerprint string
	Reason      string
}

func encodeQuarantined(q *Quarantined) []byte {
	var e encoder
	e.uvarint(uint64(q.At.UnixMilli()))
	for _, s := range []string{q.Model, q.Version, q.Fingerprint} {
		e.bytes([]byte(s))
	}
	e.b = append(e.b, q.Reason...)
	return e.b
}

func decodeQuarantined(id string, p []byte) (Quarantined, error) {
	d := decoder{b: p}
	q := Quarantined{ID: id, At: time.UnixMilli(int64(d.uvarint())).UTC()}
	for _, s := range []*string{&q.Model, &q.Version, &q.Fingerprint} {
		*s = string(d.bytes())
	}
	q.Reason = string(d.b)
	return q, d.err
}

// Quarantine yields the entries in the byte order of their ids.
func (r *Reader) Quarantine() iter.Seq2[Quarantined, error] {
	return func(yield func(Quarantined, error) bool) {
		b := r.tx.Bucket(bucketQuarantine)
		if b == nil {
			return
		}
		for k, v := range keysOf(b) {
			p, err := Unseal(tagQuarantine, k, v)
			q := Quarantined{ID: string(k)}
			if err == nil {
				q, err = decodeQuarantined(q.ID, p)
			}
			if !yield(q, err) {
				return
			}
		}
	}
}

// Quarantined counts the entries.
func (r *Reader) Quarantined() (n int) {
	if b := r.tx.Bucket(bucketQuarantine); b != nil {
		for range keysOf(b) {
			n++
		}
	}
	return n
}

// Quarantine adds entries, each in place of the one that its id has, and takes away the oldest beyond robin.MaxQuarantined. It
// is no operation: nothing that is derived from the store depends on it.
func (tx *Tx) Quarantine(list []Quarantined) error {
	b, err := tx.tx.CreateBucketIfNotExists(bucketQuarantine)
	if err != nil {
		return tx.fail(err)
	}
	for i := range list {
		if err := putSealed(b, tagQuarantine, []byte(list[i].ID), encodeQuarantined(&list[i])); err != nil {
			return tx.fail(err)
		}
	}
	return tx.fail(tx.trimQuarantine(b))
}

func (tx *Tx) trimQuarantine(b *bolt.Bucket) error {
	var all []Quarantined
	for q, err := range tx.Reader.Quarantine() {
		if err != nil && !errors.Is(err, ErrDamaged) {
			return err
		}
		all = append(all, q) // a damaged one has no time, and goes first
	}
	slices.SortFunc(all, func(a, b Quarantined) int { return cmp.Or(a.At.Compare(b.At), strings.Compare(a.ID, b.ID)) })
	for len(all) > robin.MaxQuarantined {
		if err := b.Delete([]byte(all[0].ID)); err != nil {
			return err
		}
		all = all[1:]
	}
	return nil
}

// Release takes the entry of an id away and says whether there was one. Put and Delete do it too.
func (tx *Tx) Release(id string) (bool, error) {
	b := tx.tx.Bucket(bucketQuarantine)
	if b == nil || b.Get([]byte(id)) == nil {
		return false, nil
	}
	return true, tx.fail(b.Delete([]byte(id)))
}

func (tx *Tx) release(id string) error {
	_, err := tx.Release(id)
	return err
}

// quarantine checks the entries and that there are not too many.
func (v *verification) quarantine() {
	n := 0
	for _, err := range v.r.Quarantine() {
		if n++; err != nil {
			v.bad("quarantine: %v", err)
		}
	}
	if n > robin.MaxQuarantined {
		v.bad("%d documents are in quarantine, at most %d can be", n, robin.MaxQuarantined)
	}
}
