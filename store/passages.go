package store

import (
	"errors"
	"fmt"
	"iter"

	bolt "go.etcd.io/bbolt"
)

// Span is a part of a text, in bytes.
type Span struct{ Start, End int }

// Numbers are some in a row.
type Numbers struct {
	First uint64
	Count int
}

// Passages are how a document's embedded text was cut, and where the vectors of the parts are. The first has the
// document's own number; the others have numbers in a row, which no document has.
type Passages struct {
	Document uint64 // number of the document
	Head     int    // bytes from the front of the text that were embedded again ahead of each passage but the first
	First    uint64 // number of the second passage
	Spans    []Span // two or more
	// Vectors of the passages after the first, for a Put. Reading does not fill them in.
	Vectors [][]float32
}

// Number is that of the passage at a place, from 0.
func (p *Passages) Number(i int) uint64 {
	if i == 0 {
		return p.Document
	}
	return p.First + uint64(i) - 1
}

// Extra is how many numbers the passages have beside the document's.
func (p *Passages) Extra() int { return len(p.Spans) - 1 }

func encodePassages(p *Passages) []byte {
	var e encoder
	e.uvarint(uint64(p.Head))
	e.uvarint(p.First)
	for _, s := range p.Spans {
		e.uvarint(uint64(s.Start))
		e.uvarint(uint64(s.End - s.Start))
	}
	return e.b
}

func decodePassages(document uint64, b []byte) (Passages, error) {
	d := decoder{b: b}
	p := Passages{Document: document, Head: int(d.uvarint()), First: d.uvarint()}
	for d.err == nil && len(d.b) > 0 {
		s := Span{Start: int(d.uvarint())}
		s.End = s.Start + int(d.uvarint())
		p.Spans = append(p.Spans, s)
	}
	if d.err == nil && (len(p.Spans) < 2 || p.First == 0) {
		return p, fmt.Errorf("%w: the passages of document number %d are %d, from number %d", ErrDamaged, document, len(p.Spans), p.First)
	}
	return p, d.err
}

// Passages returns how a document's text was cut, or ErrNotFound when it was not.
func (r *Reader) Passages(document uint64) (Passages, error) {
	var b []byte
	var err error
	if bucket := r.tx.Bucket(bucketPassages); bucket != nil {
		b, err = getSealed(bucket, tagPassages, numberKey(document))
	}
	if err == nil && b == nil {
		err = ErrNotFound
	}
	if err != nil {
		return Passages{}, fmt.Errorf("passages of document number %d: %w", document, err)
	}
	return decodePassages(document, b)
}

// AllPassages yields the documents whose texts were cut, with their passages, in the order of their numbers.
func (r *Reader) AllPassages() iter.Seq2[Passages, error] {
	return func(yield func(Passages, error) bool) {
		bucket := r.tx.Bucket(bucketPassages)
		if bucket == nil {
			return
		}
		for k, v := range keysOf(bucket) {
			number, err := keyNumber(k)
			var p Passages
			if err == nil {
				var b []byte
				if b, err = Unseal(tagPassages, k, v); err == nil {
					p, err = decodePassages(number, b)
				}
			}
			if !yield(p, err) {
				return
			}
		}
	}
}

// PutPassages is Put for a document whose text was cut: vec is the first passage's, and cut, if not nil, has the vectors of
// the others. It sets cut.Document and cut.First.
func (tx *Tx) PutPassages(doc Doc, vec []float32, cut *Passages) (Op, error) {
	return tx.put(doc, vec, cut, false)
}

// putPassages gives the passages after the first their numbers and stores them. The document has none.
func (tx *Tx) putPassages(doc *Doc, cut *Passages) error {
	if len(cut.Vectors) != cut.Extra() || cut.Extra() < 1 {
		return fmt.Errorf("document %q: %d vectors for %d more passages", doc.ID, len(cut.Vectors), cut.Extra())
	}
	if err := tx.raiseFormat(passagesFormat); err != nil {
		return err
	}
	b, err := tx.tx.CreateBucketIfNotExists(bucketPassages)
	if err != nil {
		return err
	}
	cut.Document, cut.First = doc.Number, tx.next.NextNumber
	tx.next.NextNumber += uint64(cut.Extra())
	tx.next.Passages += uint64(cut.Extra())
	vecs := tx.tx.Bucket(bucketVecs)
	for i, vec := range cut.Vectors {
		if err := putSealed(vecs, tagVecs, numberKey(cut.First+uint64(i)), encodeVector(doc.Model, vec)); err != nil {
			return err
		}
	}
	return putSealed(b, tagPassages, numberKey(doc.Number), encodePassages(cut))
}

// passagesOf reads the passages of a document that has some.
func (r *Reader) passagesOf(doc *Doc) (Passages, error) {
	p, err := r.Passages(doc.Number)
	if errors.Is(err, ErrNotFound) {
		err = fmt.Errorf("%w: document %q has no passages and says that it has", ErrDamaged, doc.ID)
	}
	return p, err
}

// Check says, with ErrDamaged or ErrNotFound, whether a document can be replaced and deleted.
func (r *Reader) Check(id string) error {
	doc, err := r.ByID(id)
	if err == nil && doc.Flags&Chunked != 0 {
		_, err = r.passagesOf(&doc)
	}
	return err
}

// dropPassages removes the passages that a document has, as a part of another operation.
func (tx *Tx) dropPassages(doc *Doc) (gone Numbers, err error) {
	if doc.Flags&Chunked == 0 {
		return gone, nil
	}
	p, err := tx.passagesOf(doc)
	if err != nil {
		return gone, err
	}
	gone = Numbers{p.First, p.Extra()}
	vecs := tx.tx.Bucket(bucketVecs)
	for i := range p.Extra() {
		if err := vecs.Delete(numberKey(p.First + uint64(i))); err != nil {
			return gone, err
		}
	}
	tx.next.Passages -= uint64(gone.Count)
	return gone, tx.tx.Bucket(bucketPassages).Delete(numberKey(doc.Number))
}

// raiseFormat marks the store as one that programs which read only earlier formats must not touch.
func (tx *Tx) raiseFormat(format uint64) error {
	if tx.next.Format >= format {
		return nil
	}
	tx.next.Format = format
	return putSealed(tx.tx.Bucket(bucketMeta), tagMeta, keyIdentity, encodeIdentity(format, tx.next.UUID, tx.next.Created))
}

// passagesThere says whether the bucket of passages is missing although there are some.
func passagesThere(tx *bolt.Tx, m *Meta) error {
	if m.Passages > 0 && tx.Bucket(bucketPassages) == nil {
		return fmt.Errorf("%w: bucket %q is missing", ErrDamaged, bucketPassages)
	}
	return nil
}
