package indexer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/RoaringBitmap/roaring/v2/roaring64"

	"robin/attr"
	"robin/store"
)

// columnsFile holds what an open collection knows of all its documents, so that a start need not take it out of each of them:
// their attributes and, when an orderly shutdown has written it, their numbers and which of them have a vector. It names the
// operation that it is of. Without it all is read.
const (
	columnsFile = "columns.bin"
	tagColumns  = 'c'

	columnsOfAll        = 1 // version of a file that has the numbers
	columnsOfAttributes = 2 // and of one that has not, because it was written while the collection was in use
)

var keyColumns = []byte("columns")

// appendColumnsHead appends what a file of columns begins with.
func (c *collection) appendColumnsHead(b []byte, version, seq uint64, sc *schema) []byte {
	uuid := c.st.Meta().UUID
	b = append(binary.AppendUvarint(b, version), uuid[:]...)
	b = binary.AppendUvarint(b, seq)
	b = binary.AppendUvarint(b, sc.version)
	return append(binary.AppendUvarint(b, uint64(len(sc.model))), sc.model...)
}

// saveColumns writes the file after an orderly end. The numbers come from the store, so that the next start compares the
// indexes with it and not with themselves.
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
	b := c.appendColumnsHead(nil, columnsOfAll, c.st.Meta().LastSeq, v.schema)
	for _, set := range []*roaring64.Bitmap{known.numbers, known.vectors} {
		p, err := set.ToBytes()
		if err != nil {
			return err
		}
		b = append(binary.AppendUvarint(b, uint64(len(p))), p...)
	}
	return c.writeColumns(v.attrs.AppendBinary(b))
}

func (c *collection) writeColumns(b []byte) error {
	return writeWhole(filepath.Join(c.dir, columnsFile), func(f *os.File) error {
		_, err := f.Write(store.SealHead(tagColumns, keyColumns, b))
		if err == nil {
			_, err = f.Write(b)
		}
		return err
	})
}

// manyChanges is how many changes are not left for the next start to make up for.
func (c *collection) manyChanges() uint64 {
	return max(c.eng.opt.CheckpointDocuments, c.st.Meta().Documents/16)
}

// columnsDue says whether so much has changed since the file of columns that it is to be written again. It has some dozens of
// bytes for each document, however few have changed: written each time a sixteenth has, it is no more than some hundreds for
// each change.
func (c *collection) columnsDue(v *view) bool {
	return v.attrsApplied.Load() >= c.columnsSeq.Load()+c.manyChanges()
}

// saveDueColumns writes the attributes to the file, if that is due. Writes and searches go on: what they change meanwhile is of a
// later operation than the one that the file names, so a start takes it from the documents.
func (c *collection) saveDueColumns() {
	c.saving.Lock()
	defer c.saving.Unlock()
	v, err := c.acquire()
	if err != nil {
		return // it is closing
	}
	defer v.release()
	if !c.columnsDue(v) {
		return
	}
	start := time.Now()
	seq := v.attrsApplied.Load()
	b := v.attrs.AppendBinary(c.appendColumnsHead(nil, columnsOfAttributes, seq, v.schema))
	if err := c.writeColumns(b); err != nil {
		c.log.Warn("the file of columns was not written; a start after a crash will take longer", "err", err)
		return
	}
	c.columnsSeq.Store(seq)
	c.log.Debug("the columns were stored", "bytes", len(b), "operation", seq, "took", time.Since(start))
	c.hook("columns stored")
}

// documentSets are the numbers of documents, and those of the vectors that are of the model in use, of further passages too.
type documentSets struct {
	numbers, vectors *roaring64.Bitmap
}

// storedColumns is what a file of columns holds.
type storedColumns struct {
	seq   uint64 // every operation up to here is in it
	sets  *documentSets
	table *attr.Table // of a document that a later operation changes it may have anything
}

// loadColumns reads the file, if it is of this store, of its settings and of no later operation than its last.
func (c *collection) loadColumns(sc *schema) (saved storedColumns, err error) {
	err = guarded("read "+columnsFile, func() error {
		b, err := os.ReadFile(filepath.Join(c.dir, columnsFile))
		if err != nil {
			return err
		}
		if b, err = store.Unseal(tagColumns, keyColumns, b); err != nil {
			return err
		}
		number := func() uint64 {
			n, w := binary.Uvarint(b)
			if w <= 0 {
				err, w = store.ErrDamaged, 0
			}
			b = b[w:]
			return n
		}
		part := func(n uint64) (p []byte) {
			if n > uint64(len(b)) {
				err, n = store.ErrDamaged, 0
			}
			p, b = b[:n], b[n:]
			return p
		}
		version := number()
		if err == nil && version != columnsOfAll && version != columnsOfAttributes {
			return fmt.Errorf("it has version %d", version)
		}
		m := c.st.Meta()
		uuid := part(uint64(len(m.UUID)))
		saved.seq = number()
		settings := number()
		model := part(number())
		switch {
		case err != nil:
			return err
		case string(uuid) != string(m.UUID[:]):
			return errors.New("it is of another store")
		case saved.seq > m.LastSeq:
			return fmt.Errorf("it is newer than the store: %d, %d", saved.seq, m.LastSeq)
		case settings != sc.version || string(model) != sc.model:
			return errors.New("it is of other settings or another model")
		}
		if version == columnsOfAll {
			saved.sets = &documentSets{roaring64.New(), roaring64.New()}
			for _, set := range []*roaring64.Bitmap{saved.sets.numbers, saved.sets.vectors} {
				p := part(number())
				if err == nil {
					err = set.UnmarshalBinary(p)
				}
				if err != nil {
					return err
				}
			}
		}
		saved.table, err = attr.DecodeTable(attributeTypes(sc.settings), b)
		return err
	})
	return saved, err
}

// sameDocuments compares numbers with the store's ids and with a table.
func (c *collection) sameDocuments(numbers *roaring64.Bitmap, table *attr.Table) error {
	have := make([]uint64, 0, numbers.GetCardinality())
	err := c.st.View(func(r *store.Reader) error {
		for n, err := range r.Numbers() {
			if err != nil {
				return err
			}
			have = append(have, n)
		}
		return nil
	})
	if err != nil {
		return err
	}
	stored := roaring64.New()
	stored.AddMany(have)
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
	it := b.ManyIterator()
	var numbers []uint64
	for batch := range s.Batches() {
		numbers = slices.Grow(numbers[:0], len(batch))[:len(batch)]
		if it.NextMany(numbers) < len(batch) || !slices.Equal(batch, numbers) {
			return false
		}
	}
	return true
}

// loadDocuments gives the view its attributes. After an orderly shutdown they come from the file that it has left. After another
// end every document is read, because any may be damaged, but its attributes are taken out of it only when the file does
// not have them, which is what takes most of the time.
func (c *collection) loadDocuments(ctx context.Context, v *view, clean bool) (documentSets, error) {
	saved, err := c.loadColumns(v.schema)
	whole := clean && saved.sets != nil && saved.seq == c.st.Meta().LastSeq
	if err == nil && whole {
		err = c.sameDocuments(saved.sets.numbers, saved.table)
	}
	if err != nil {
		if !errors.Is(err, os.ErrNotExist) {
			c.log.Warn("the attributes are read from all documents, because the file of columns is not used", "why", err)
			c.removeColumns()
		}
		return c.loadDocs(ctx, v, 0)
	}
	c.columnsSeq.Store(saved.seq)
	v.attrs = saved.table
	if !whole {
		return c.loadDocs(ctx, v, saved.seq)
	}
	v.passages, err = c.loadPassages(saved.sets.vectors)
	return *saved.sets, err
}

// removeColumns removes a file that is not of the store. If that was put back to an earlier state, it would pass once the store
// has as many operations again.
func (c *collection) removeColumns() {
	err := os.Remove(filepath.Join(c.dir, columnsFile))
	if err == nil {
		err = syncDir(c.dir)
	}
	if err != nil {
		c.log.Warn("the file of columns was not removed", "err", err)
	}
}

// removeUnfinished removes what a crash has left of files that were being written.
func (c *collection) removeUnfinished() {
	c.labelling.Lock() // the file of labels may be written before the collection is open
	defer c.labelling.Unlock()
	entries, err := os.ReadDir(c.dir)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), unfinishedPrefix) {
			err = errors.Join(err, os.Remove(filepath.Join(c.dir, e.Name())))
		}
	}
	if err != nil {
		c.log.Warn("unfinished files are left", "err", err)
	}
}
