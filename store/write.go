package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"syscall"

	bolt "go.etcd.io/bbolt"

	"robin/boltfile"
)

// Tx is one commit being put together. It reads its own writes.
type Tx struct {
	Reader
	next *Meta // what meta becomes when the commit succeeds
	err  error // the first that a method met; the commit then fails
}

// Update runs f and commits what it did, synced to the disk, as one step: all of it or nothing. An error that is
// ErrDiskFull, or comes from f, means that nothing was kept. ErrReadOnly means that the outcome is unknown, and every
// later Update fails the same way until the store is opened anew.
func (s *Store) Update(f func(*Tx) error) error {
	return s.commit(func(btx *bolt.Tx, m *Meta) error {
		tx := &Tx{Reader: Reader{tx: btx, meta: m}, next: m}
		if err := f(tx); err != nil {
			return err
		}
		if tx.err != nil {
			return tx.err
		}
		return putSealed(btx.Bucket(bucketMeta), tagMeta, keyState, encodeState(m.state()))
	})
}

func (s *Store) commit(f func(*bolt.Tx, *Meta) error) error {
	s.update.Lock()
	defer s.update.Unlock()
	if err := s.Failed(); err != nil {
		return err
	}
	next := *s.meta.Load()
	decided := false // f has returned without error: from here on an error is the commit's
	err := s.protect("commit", func() error {
		return s.db.Update(func(btx *bolt.Tx) error {
			if err := f(btx, &next); err != nil {
				return err
			}
			decided = true
			if s.commitFault != nil {
				return s.commitFault()
			}
			return nil
		})
	})
	switch {
	case err == nil:
		s.meta.Store(&next)
		return nil
	case !decided && !errors.Is(err, boltfile.ErrFault):
		return err
	case decided && noSpace(err):
		return fmt.Errorf("commit to %s: %w", s.path, ErrDiskFull)
	}
	err = fmt.Errorf("commit to %s: %w: %w", s.path, ErrReadOnly, err)
	s.failed.CompareAndSwap(nil, &err)
	return err
}

// noSpace says whether a commit failed because a write found no room. Data pages go to places that the file's header
// does not point to, so such a commit left no trace. A sync that reports the same errno is another matter: what it left
// is unknown.
func noSpace(err error) bool {
	var pe *os.PathError
	return errors.As(err, &pe) && pe.Op == "write" && (errors.Is(pe.Err, syscall.ENOSPC) || errors.Is(pe.Err, syscall.EDQUOT))
}

// Seq is the newest operation's, including this transaction's.
func (tx *Tx) Seq() uint64 { return tx.next.LastSeq }

// Documents counts the documents, including this transaction's changes.
func (tx *Tx) Documents() uint64 { return tx.next.Documents }

// Model returns the place of a model's fingerprint in Meta.Models, from 1, and adds it when it is new.
func (tx *Tx) Model(fingerprint string) (uint64, error) {
	for i, f := range tx.next.Models {
		if f == fingerprint {
			return uint64(i) + 1, nil
		}
	}
	models := append(append([]string{}, tx.next.Models...), fingerprint)
	b, err := json.Marshal(models)
	if err != nil {
		return 0, err
	}
	tx.next.Models = models
	return uint64(len(models)), putSealed(tx.tx.Bucket(bucketMeta), tagMeta, keyModels, b)
}

// Put writes a document: doc.ID, Flags, Model, TextHash and Raw. A document of that id keeps its number, a new one gets
// the next. With vec, the vector is replaced; without, it is kept when doc.Flags has HasVector and removed otherwise.
// Passages go with the vector that was made of the first of them. A mark goes when the text or the vector changes, and the
// id leaves the quarantine. It returns the operation that it logged. ErrDamaged, of what is stored, and ErrNotFound, of the
// vector to keep, come before anything is changed: the caller may go on without this document.
func (tx *Tx) Put(doc Doc, vec []float32) (Op, error) { return tx.put(doc, vec, nil, false) }

func (tx *Tx) put(doc Doc, vec []float32, cut *Passages, keepMark bool) (Op, error) {
	old, err := tx.ByID(doc.ID)
	isNew := errors.Is(err, ErrNotFound)
	vecs := tx.tx.Bucket(bucketVecs)
	if err == nil && old.Flags&Chunked != 0 {
		_, err = tx.passagesOf(&old) // whether they can be replaced
	}
	switch {
	case err != nil && !isNew:
		return Op{}, err
	case doc.Flags&HasVector != 0 && vec == nil && (isNew || vecs.Get(numberKey(old.Number)) == nil):
		return Op{}, fmt.Errorf("document %q: a vector to keep: %w", doc.ID, ErrNotFound)
	case isNew:
		doc.Number = tx.next.NextNumber
		tx.next.NextNumber++
		tx.next.Documents++
		if err := putSealed(tx.tx.Bucket(bucketIDs), tagIDs, []byte(doc.ID), uvarint(doc.Number)); err != nil {
			return Op{}, tx.fail(err)
		}
	default:
		doc.Number = old.Number
		tx.uncount(old.Flags)
	}
	if doc.Flags&HasVector != 0 {
		tx.next.Vectors++
	}
	if doc.Flags&Truncated != 0 {
		tx.next.Truncated++
	}
	key := numberKey(doc.Number)
	var gone Numbers
	if doc.Flags&HasVector == 0 || vec != nil {
		gone, err = tx.dropPassages(&old)
	} else {
		doc.Flags |= old.Flags & Chunked
	}
	if err != nil {
		return Op{}, tx.fail(err)
	}
	switch {
	case doc.Flags&HasVector == 0:
		err = vecs.Delete(key)
	case vec != nil:
		// Numbers grow, so new pairs come at the end: full pages, not half-full ones.
		vecs.FillPercent = 0.95
		err = putSealed(vecs, tagVecs, key, encodeVector(doc.Model, vec))
		if cut != nil && err == nil {
			doc.Flags |= Chunked
			err = tx.putPassages(&doc, cut)
		}
	}
	if err != nil {
		return Op{}, tx.fail(err)
	}
	op := Op{Kind: OpPut, Number: doc.Number, ID: doc.ID, Gone: gone, VectorChanged: vec != nil || (old.Flags|doc.Flags)&HasVector != doc.Flags&HasVector}
	if !keepMark && (op.VectorChanged || old.TextHash != doc.TextHash) {
		if err := tx.dropMark(doc.Number); err != nil {
			return op, tx.fail(err)
		}
	}
	if err := tx.release(doc.ID); err != nil {
		return op, err
	}
	if op, err = tx.append(op); err != nil {
		return op, err
	}
	doc.Seq = op.Seq
	docs := tx.tx.Bucket(bucketDocs)
	docs.FillPercent = 0.9
	return op, tx.fail(putSealed(docs, tagDocs, key, encodeDoc(&doc), doc.Raw))
}

// SetVector replaces a document's vector and nothing else, for a new model. It is an operation like a Put, but what a
// mark says of the text still holds. cut, if not nil, is how the text was cut for it, as with PutPassages.
func (tx *Tx) SetVector(number uint64, model uint64, truncated bool, vec []float32, cut *Passages) (Op, error) {
	doc, err := tx.Doc(number)
	if err != nil {
		return Op{}, tx.fail(err)
	}
	doc.Model, doc.Flags = model, HasVector
	if truncated {
		doc.Flags |= Truncated
	}
	// Put writes the page that Raw lies on.
	doc.Raw = append([]byte{}, doc.Raw...)
	return tx.put(doc, vec, cut, true)
}

// Delete removes the document of this id with all it has, or returns ErrNotFound. The caller may go on after that, and
// after ErrDamaged.
func (tx *Tx) Delete(id string) (Op, error) {
	doc, err := tx.ByID(id)
	if err != nil {
		return Op{}, err // nothing has been changed
	}
	if doc.Flags&Chunked != 0 {
		if _, err := tx.passagesOf(&doc); err != nil {
			return Op{}, err
		}
	}
	tx.next.Documents--
	tx.uncount(doc.Flags)
	gone, dropped := tx.dropPassages(&doc)
	key := numberKey(doc.Number)
	err = errors.Join(
		dropped,
		tx.tx.Bucket(bucketIDs).Delete([]byte(id)),
		tx.tx.Bucket(bucketDocs).Delete(key),
		tx.tx.Bucket(bucketVecs).Delete(key),
		tx.dropMark(doc.Number),
		tx.release(id),
	)
	if err != nil {
		return Op{}, tx.fail(err)
	}
	return tx.append(Op{Kind: OpDelete, Number: doc.Number, ID: id, Gone: gone, VectorChanged: doc.Flags&HasVector != 0})
}

// SetSettings replaces the settings and raises their version.
func (tx *Tx) SetSettings(settings json.RawMessage) error {
	tx.next.Settings = append(json.RawMessage{}, settings...)
	tx.next.SettingsVersion++
	return tx.fail(putSealed(tx.tx.Bucket(bucketMeta), tagMeta, keySettings, encodeSettings(tx.next.SettingsVersion, settings)))
}

// TrimLog forgets the operations up to and including seq, at most max of them, and returns how many are left to forget.
// Only operations that every derived index holds durably may go.
func (tx *Tx) TrimLog(seq uint64, max int) (left uint64, err error) {
	seq = min(seq, tx.next.LastSeq)
	b := tx.tx.Bucket(bucketLog)
	for ; tx.next.LogFloor < seq && max > 0; max-- {
		if err := b.Delete(numberKey(tx.next.LogFloor + 1)); err != nil {
			return 0, tx.fail(err)
		}
		tx.next.LogFloor++
	}
	return seq - min(seq, tx.next.LogFloor), nil
}

func (tx *Tx) append(op Op) (Op, error) {
	tx.next.LastSeq++
	op.Seq = tx.next.LastSeq
	b := tx.tx.Bucket(bucketLog)
	b.FillPercent = 0.95
	return op, tx.fail(putSealed(b, tagLog, numberKey(op.Seq), encodeOp(&op)))
}

func (tx *Tx) uncount(f Flags) {
	if f&HasVector != 0 {
		tx.next.Vectors--
	}
	if f&Truncated != 0 {
		tx.next.Truncated--
	}
}

func (tx *Tx) fail(err error) error {
	if err != nil && tx.err == nil {
		tx.err = err
	}
	return err
}

func uvarint(v uint64) []byte {
	var e encoder
	e.uvarint(v)
	return e.b
}
