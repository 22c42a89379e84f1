package indexer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/RoaringBitmap/roaring/v2/roaring64"

	"robin/attr"
	"robin/store"
)

// columnsFile holds what an open collection knows of all its documents: their numbers, which of them have a vector, and
// their attributes. An orderly shutdown writes it, so that the next start need not read every document for a few of its
// fields. It counts for exactly the state of the store that it names; without it all is read.
const (
	columnsFile    = "columns.bin"
	columnsVersion = 1
	tagColumns     = 'c'
)

var keyColumns = []byte("columns")

// columnsOf names the state that a file of columns is of.
func columnsOf(m store.Meta, fingerprint string) []byte {
	b := append(binary.AppendUvarint(nil, columnsVersion), m.UUID[:]...)
	b = binary.AppendUvarint(b, m.LastSeq)
	b = binary.AppendUvarint(b, m.SettingsVersion)
	b = binary.AppendUvarint(b, uint64(len(fingerprint)))
	return append(b, fingerprint...)
}

// saveColumns writes the file. Nothing may change meanwhile. The numbers come from the store, so that the next start
// compares the indexes with it and not with themselves.
func (c *collection) saveColumns(v *view) error {
	known := documentSets{roaring64.New(), roaring64.New()}
	err := c.st.View(func(r *store.Reader) error {
		for n, err := range r.Numbers() {
			if err != nil {
				return err
			}
			known.numbers.Add(n)
		}
		for sv, err := range r.VectorNumbers() {
			if err != nil {
				return err
			}
			if c.isModel(v.schema, sv.Model) {
				known.vectors.Add(sv.Number)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	b := columnsOf(c.st.Meta(), v.schema.model)
	for _, set := range []*roaring64.Bitmap{known.numbers, known.vectors} {
		p, err := set.ToBytes()
		if err != nil {
			return err
		}
		b = append(binary.AppendUvarint(b, uint64(len(p))), p...)
	}
	b = store.Seal(tagColumns, keyColumns, v.attrs.AppendBinary(b))
	return writeWhole(filepath.Join(c.dir, columnsFile), func(f *os.File) error {
		_, err := f.Write(b)
		return err
	})
}

// documentSets are the numbers of documents, and those of the vectors that are of the model in use, of further passages too.
type documentSets struct {
	numbers, vectors *roaring64.Bitmap
}

// loadColumns reads the file, if it is of the present state and no document is missing in it or too many.
func (c *collection) loadColumns(sc *schema) (sets documentSets, table *attr.Table, err error) {
	err = guarded("read "+columnsFile, func() error {
		b, err := os.ReadFile(filepath.Join(c.dir, columnsFile))
		if err != nil {
			return err
		}
		if b, err = store.Unseal(tagColumns, keyColumns, b); err != nil {
			return err
		}
		m := c.st.Meta()
		of := columnsOf(m, sc.model)
		if len(b) < len(of) || string(b[:len(of)]) != string(of) {
			return errors.New("it is of another state of the store")
		}
		b = b[len(of):]
		for _, set := range []**roaring64.Bitmap{&sets.numbers, &sets.vectors} {
			n, w := binary.Uvarint(b)
			if w <= 0 || n > uint64(len(b)-w) {
				return store.ErrDamaged
			}
			*set = roaring64.New()
			if err := (*set).UnmarshalBinary(b[w : w+int(n)]); err != nil {
				return err
			}
			b = b[w+int(n):]
		}
		table, err = attr.DecodeTable(attributeTypes(sc.settings), b)
		return err
	})
	if err == nil {
		err = c.sameDocuments(sets.numbers, table)
	}
	return sets, table, err
}

// sameDocuments compares numbers with the store's ids and with a table.
func (c *collection) sameDocuments(numbers *roaring64.Bitmap, table *attr.Table) error {
	stored := roaring64.New()
	err := c.st.View(func(r *store.Reader) error {
		for n, err := range r.Numbers() {
			if err != nil {
				return err
			}
			stored.Add(n)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if n := c.st.Meta().Documents; !stored.Equals(numbers) || stored.GetCardinality() != n {
		return fmt.Errorf("it has %d documents, the store %d and says %d", numbers.GetCardinality(), stored.GetCardinality(), n)
	}
	if !sameSet(table.All(), numbers) {
		return fmt.Errorf("it has the attributes of %d documents, and there are %d", table.Len(), numbers.GetCardinality())
	}
	return nil
}

func sameSet(s attr.Set, b *roaring64.Bitmap) bool {
	if uint64(s.Len()) != b.GetCardinality() {
		return false
	}
	for n := range s.All() {
		if !b.Contains(n) {
			return false
		}
	}
	return true
}

// loadDocuments gives the view its attributes: after an orderly shutdown from the file that it left, else from all documents.
func (c *collection) loadDocuments(ctx context.Context, v *view, clean bool) (documentSets, error) {
	if clean {
		sets, table, err := c.loadColumns(v.schema)
		if err == nil {
			v.attrs = table
			v.passages, err = c.loadPassages(sets.vectors)
			return sets, err
		}
		if !errors.Is(err, os.ErrNotExist) {
			c.log.Warn("every document is read, because the file of columns is not used", "why", err)
		}
	}
	return c.loadDocs(ctx, v)
}
