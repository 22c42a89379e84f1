package store

import (
	"encoding/binary"
	"fmt"
	"iter"
	"math"

	bolt "go.etcd.io/bbolt"
)

// MarkKind says what a mark says of its document.
type MarkKind uint8

// The kinds of mark.
const (
	MarkFlag MarkKind = 1 // a possible duplicate of its twin
	MarkLink MarkKind = 2 // another offer of its twin
)

// Mark says that a document says what another one does. It is of the document's text: it goes when the document goes, or
// when its text or vector changes. Its twin may change or go meanwhile; the mark still names it.
type Mark struct {
	Number uint64 // of the marked document
	Kind   MarkKind
	Twin   uint64 // number of the other document
	TwinID string
	Cosine float32 // of the two vectors, when the mark was made; 0 when it was not measured
}

func encodeMark(m *Mark) []byte {
	var e encoder
	e.b = append(e.b, byte(m.Kind))
	e.uvarint(m.Twin)
	e.b = binary.LittleEndian.AppendUint32(e.b, math.Float32bits(m.Cosine))
	e.b = append(e.b, m.TwinID...)
	return e.b
}

func decodeMark(number uint64, p []byte) (Mark, error) {
	d := decoder{b: p}
	m := Mark{Number: number}
	if k := d.take(1); k != nil {
		m.Kind = MarkKind(k[0])
	}
	m.Twin = d.uvarint()
	if c := d.take(4); c != nil {
		m.Cosine = math.Float32frombits(binary.LittleEndian.Uint32(c))
	}
	m.TwinID = string(d.b)
	if d.err == nil && m.Kind != MarkFlag && m.Kind != MarkLink {
		return m, fmt.Errorf("%w: the mark of document number %d has the unknown kind %d", ErrDamaged, number, m.Kind)
	}
	return m, d.err
}

// Mark returns the mark of a document, or ErrNotFound.
func (r *Reader) Mark(number uint64) (Mark, error) {
	var p []byte
	var err error
	if b := r.tx.Bucket(bucketMarks); b != nil {
		p, err = getSealed(b, tagMarks, numberKey(number))
	}
	if err == nil && p == nil {
		err = ErrNotFound
	}
	if err != nil {
		return Mark{}, fmt.Errorf("mark of document number %d: %w", number, err)
	}
	return decodeMark(number, p)
}

// Marks yields the marks in the order of their documents' numbers.
func (r *Reader) Marks() iter.Seq2[Mark, error] {
	return func(yield func(Mark, error) bool) {
		b := r.tx.Bucket(bucketMarks)
		if b == nil {
			return
		}
		for k, v := range keysOf(b) {
			number, err := keyNumber(k)
			m := Mark{Number: number}
			if err == nil {
				var p []byte
				if p, err = Unseal(tagMarks, k, v); err == nil {
					m, err = decodeMark(number, p)
				}
			}
			if !yield(m, err) {
				return
			}
		}
	}
}

// SetMark marks a document, in place of the mark that it has. ErrNotFound and ErrDamaged, of the document, come before
// anything is changed.
func (tx *Tx) SetMark(m Mark) (Op, error) {
	doc, err := tx.Doc(m.Number)
	if err != nil {
		return Op{}, err
	}
	b, err := tx.tx.CreateBucketIfNotExists(bucketMarks)
	if err != nil {
		return Op{}, tx.fail(err)
	}
	key := numberKey(m.Number)
	if b.Get(key) == nil {
		tx.next.Marks++
	}
	if err := putSealed(b, tagMarks, key, encodeMark(&m)); err != nil {
		return Op{}, tx.fail(err)
	}
	return tx.append(Op{Kind: OpMark, Number: m.Number, ID: doc.ID})
}

// ClearMark takes a document's mark away, or returns ErrNotFound when there is none.
func (tx *Tx) ClearMark(number uint64) (Op, error) {
	if _, err := tx.Mark(number); err != nil {
		return Op{}, err
	}
	doc, err := tx.Doc(number)
	if err != nil {
		return Op{}, err
	}
	if err := tx.dropMark(number); err != nil {
		return Op{}, tx.fail(err)
	}
	return tx.append(Op{Kind: OpMark, Number: number, ID: doc.ID})
}

// dropMark removes a mark, if there is one, as a part of another operation.
func (tx *Tx) dropMark(number uint64) error {
	b := tx.tx.Bucket(bucketMarks)
	key := numberKey(number)
	if b == nil || b.Get(key) == nil {
		return nil
	}
	tx.next.Marks--
	return b.Delete(key)
}

// marksThere says whether the bucket of marks is missing although there are marks. Stores from before there were marks
// have none, and get one with the first mark.
func marksThere(tx *bolt.Tx, m *Meta) error {
	if m.Marks > 0 && tx.Bucket(bucketMarks) == nil {
		return fmt.Errorf("%w: bucket %q is missing", ErrDamaged, bucketMarks)
	}
	return nil
}
