package store

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"time"
	"unsafe"

	bolt "go.etcd.io/bbolt"
)

// Castagnoli, because processors compute it: it costs 0.1 ns a byte where others cost 1.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A tag enters the checksum of each value, so that a page of one bucket can never pass for a page of another.
const (
	tagMeta  byte = 'm'
	tagDocs  byte = 'd'
	tagIDs   byte = 'i'
	tagVecs  byte = 'v'
	tagLog   byte = 'l'
	tagMarks byte = 'k'

	tagQuarantine byte = 'q'
	tagPassages   byte = 'p'
)

const recordVersion = 1

// sealHead is the length of what a seal puts before the payload: CRC-32C, little endian, and the record version.
const sealHead = 5

// Seal returns crc32c(tag ‖ key ‖ version ‖ payload) ‖ version ‖ payload. The payload is the concatenation of parts.
func Seal(tag byte, key []byte, parts ...[]byte) []byte {
	n := sealHead
	for _, p := range parts {
		n += len(p)
	}
	v := make([]byte, sealHead, n)
	for _, p := range parts {
		v = append(v, p...)
	}
	copy(v, SealHead(tag, key, v[sealHead:]))
	return v
}

// SealHead returns what Seal puts before a payload, for one that is too large to be copied for it.
func SealHead(tag byte, key, payload []byte) []byte {
	v := make([]byte, sealHead)
	v[4] = recordVersion
	binary.LittleEndian.PutUint32(v, crc32.Update(sealSum(tag, key, v[4:]), castagnoli, payload))
	return v
}

// Unseal checks a sealed value and returns its payload, which is a part of value.
func Unseal(tag byte, key, value []byte) ([]byte, error) {
	if len(value) < sealHead {
		return nil, fmt.Errorf("%w: value %c/%x is cut short", ErrDamaged, tag, key)
	}
	if binary.LittleEndian.Uint32(value) != sealSum(tag, key, value[4:]) {
		return nil, fmt.Errorf("%w: value %c/%x does not match its checksum", ErrDamaged, tag, key)
	}
	if value[4] != recordVersion {
		return nil, fmt.Errorf("%w: value %c/%x has version %d, this program reads version %d", ErrFormat, tag, key, value[4], recordVersion)
	}
	return value[sealHead:], nil
}

func sealSum(tag byte, key, rest []byte) uint32 {
	sum := crc32.Update(tagSums[tag], castagnoli, key)
	return crc32.Update(sum, castagnoli, rest)
}

// tagSums are the sums of tags alone: working one out each time was half of what checking an id took.
var tagSums = func() (sums [256]uint32) {
	for tag := range sums {
		sums[tag] = crc32.Checksum([]byte{byte(tag)}, castagnoli)
	}
	return sums
}()

func putSealed(b *bolt.Bucket, tag byte, key []byte, parts ...[]byte) error {
	return b.Put(key, Seal(tag, key, parts...))
}

// getSealed returns nil, nil when there is no such key in any bucket but meta's, whose keys must all be there except
// for the clean mark.
func getSealed(b *bolt.Bucket, tag byte, key []byte) ([]byte, error) {
	return seekSealed(b.Cursor(), tag, key)
}

// seekSealed is getSealed for many keys of a bucket, by one cursor.
func seekSealed(c *bolt.Cursor, tag byte, key []byte) ([]byte, error) {
	if k, v := c.Seek(key); bytes.Equal(k, key) {
		return Unseal(tag, key, v)
	}
	if tag == tagMeta && string(key) != string(keyClean) {
		return nil, fmt.Errorf("%w: %s is missing", ErrDamaged, key)
	}
	return nil, absent(c, tag, key)
}

// absent says, of a key that was not found, whether damage may have hidden it. bbolt looks a key up by halves, and a key
// that is damaged, on a leaf or in a branch, sends the look-up to the wrong side of it. There the look-up ends at that key:
// all others beyond it lie on one side. So both that it ended between must hold, and must be in order.
func absent(c *bolt.Cursor, tag byte, key []byte) error {
	var before, w []byte
	after, v := c.Seek(key)
	if after == nil {
		before, w = c.Last()
	} else {
		before, w = c.Prev()
		if _, err := Unseal(tag, after, v); err != nil {
			return err
		}
	}
	if before != nil {
		if _, err := Unseal(tag, before, w); err != nil {
			return err
		}
	}
	if after != nil && bytes.Compare(after, key) <= 0 || bytes.Compare(before, key) >= 0 {
		return fmt.Errorf("%w: key %c/%x is looked for between %x and %x", ErrDamaged, tag, key, before, after)
	}
	return nil
}

// encoder appends; decoder takes from the front and remembers the first error, so that callers check once.
type encoder struct{ b []byte }

func (e *encoder) uvarint(v uint64) { e.b = binary.AppendUvarint(e.b, v) }
func (e *encoder) bytes(p []byte)   { e.b = append(binary.AppendUvarint(e.b, uint64(len(p))), p...) }

type decoder struct {
	b   []byte
	err error
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	p := d.b[:n:n]
	d.b = d.b[n:]
	return p
}

func (d *decoder) bytes() []byte { return d.take(d.uvarint()) }

func (d *decoder) fail() {
	if d.err == nil {
		d.err = fmt.Errorf("%w: record is cut short", ErrDamaged)
	}
	d.b = nil
}

func (d *decoder) end() error {
	if d.err == nil && len(d.b) != 0 {
		d.err = fmt.Errorf("%w: record has %d bytes too many", ErrDamaged, len(d.b))
	}
	return d.err
}

func encodeIdentity(format uint64, u UUID, created time.Time) []byte {
	var e encoder
	e.uvarint(format)
	e.b = append(e.b, u[:]...)
	e.uvarint(uint64(created.UnixMilli()))
	return e.b
}

func decodeIdentity(p []byte) (format uint64, u UUID, created time.Time, err error) {
	d := decoder{b: p}
	if format = d.uvarint(); d.err == nil && (format < firstFormat || format > FormatVersion) {
		return format, u, created, fmt.Errorf("%w: the file has format %d, this program reads %d to %d; use the version of Robin that wrote it", ErrFormat, format, firstFormat, FormatVersion)
	}
	copy(u[:], d.take(16))
	created = time.UnixMilli(int64(d.uvarint())).UTC()
	return format, u, created, d.end()
}

func encodeSettings(version uint64, settings json.RawMessage) []byte {
	var e encoder
	e.uvarint(version)
	e.b = append(e.b, settings...)
	return e.b
}

func decodeSettings(p []byte) (version uint64, settings json.RawMessage, err error) {
	d := decoder{b: p}
	version = d.uvarint()
	return version, append(json.RawMessage{}, d.b...), d.err
}

func encodeState(s state) []byte {
	var e encoder
	for _, v := range []uint64{s.LastSeq, s.LogFloor, s.NextNumber, s.Documents, s.Vectors, s.Truncated, s.Marks} {
		e.uvarint(v)
	}
	if s.Passages > 0 { // or a program that knows no passages could not read the store although it has none
		e.uvarint(s.Passages)
	}
	return e.b
}

func decodeState(p []byte) (s state, err error) {
	d := decoder{b: p}
	for _, v := range []*uint64{&s.LastSeq, &s.LogFloor, &s.NextNumber, &s.Documents, &s.Vectors, &s.Truncated} {
		*v = d.uvarint()
	}
	if d.err == nil && len(d.b) > 0 { // a store from before there were marks does not count them
		s.Marks = d.uvarint()
	}
	if d.err == nil && len(d.b) > 0 {
		s.Passages = d.uvarint()
	}
	return s, d.end()
}

// Flags of a document.
type Flags uint8

// The flags.
const (
	HasVector Flags = 1 << iota // a vector is stored beside the document
	Truncated                   // its embedded text was longer than the model's limit
	Chunked                     // its embedded text was cut into passages; set by the store
)

// Doc is a stored document. Raw, as a Reader gives it, is valid until the transaction ends unless said otherwise.
type Doc struct {
	Number   uint64
	Seq      uint64 // of the operation that wrote this state
	ID       string
	Flags    Flags
	Model    uint64   // place of the vector's model in Meta.Models, from 1; 0 without a vector
	TextHash [32]byte // SHA-256 of what the vector was made of: the embedded text, or the vector that the document brought
	Raw      []byte
}

func encodeDoc(d *Doc) (head []byte) {
	var e encoder
	e.b = make([]byte, 0, 64+len(d.ID))
	e.b = append(e.b, byte(d.Flags))
	e.uvarint(d.Seq)
	e.uvarint(d.Model)
	e.b = append(e.b, d.TextHash[:]...)
	e.bytes([]byte(d.ID))
	return e.b
}

func decodeDoc(number uint64, p []byte) (Doc, error) {
	d := decoder{b: p}
	doc := Doc{Number: number}
	if f := d.take(1); f != nil {
		doc.Flags = Flags(f[0])
	}
	doc.Seq = d.uvarint()
	doc.Model = d.uvarint()
	copy(doc.TextHash[:], d.take(32))
	doc.ID = string(d.bytes())
	doc.Raw = d.b
	return doc, d.err
}

func encodeVector(model uint64, vec []float32) []byte {
	b := binary.AppendUvarint(make([]byte, 0, 2+4*len(vec)), model)
	for _, x := range vec {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}

// decodeVector appends to dst.
func decodeVector(dst []float32, p []byte) (model uint64, vec []float32, err error) {
	d := decoder{b: p}
	model = d.uvarint()
	if d.err == nil && len(d.b)%4 != 0 {
		d.fail()
	}
	n := len(d.b) / 4
	dst = slices.Grow(dst, n)
	out := dst[len(dst) : len(dst)+n]
	if littleEndian { // a fifth of the time
		copy(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(out))), 4*n), d.b)
	} else {
		for i := range out {
			out[i] = math.Float32frombits(binary.LittleEndian.Uint32(d.b[4*i:]))
		}
	}
	return model, dst[:len(dst)+n], d.err
}

// littleEndian says whether float32s lie in memory as in a record.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// OpKind says what an operation did.
type OpKind uint8

// The kinds of operation.
const (
	OpPut    OpKind = 1
	OpDelete OpKind = 2
	OpMark   OpKind = 3 // a mark was set, changed or taken away; the document is as it was
)

// Op is one entry of the log. It names the document and not its content: the newest content is in the store, and
// bringing a derived index up to it is idempotent.
type Op struct {
	Seq    uint64
	Kind   OpKind
	Number uint64
	ID     string
	// VectorChanged is false for a put that kept the embedded text, and so the vector.
	VectorChanged bool
	// Gone are the numbers of passages whose vectors it removed. The log does not have them.
	Gone Numbers
}

func encodeOp(op *Op) []byte {
	var e encoder
	flags := byte(0)
	if op.VectorChanged {
		flags = 1
	}
	e.b = append(e.b, byte(op.Kind), flags)
	e.uvarint(op.Number)
	e.bytes([]byte(op.ID))
	return e.b
}

func decodeOp(seq uint64, p []byte) (Op, error) {
	d := decoder{b: p}
	op := Op{Seq: seq}
	if h := d.take(2); h != nil {
		op.Kind, op.VectorChanged = OpKind(h[0]), h[1]&1 != 0
	}
	op.Number = d.uvarint()
	op.ID = string(d.bytes())
	if err := d.end(); err != nil {
		return op, err
	}
	if op.Kind < OpPut || op.Kind > OpMark {
		return op, fmt.Errorf("%w: operation %d has the unknown kind %d", ErrDamaged, seq, op.Kind)
	}
	return op, nil
}

func numberKey(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func keyNumber(k []byte) (uint64, error) {
	if len(k) != 8 {
		return 0, fmt.Errorf("%w: key %x is not a number", ErrDamaged, k)
	}
	return binary.BigEndian.Uint64(k), nil
}
