package indexer

import (
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"robin/ann"
	"robin/store"
)

// prepare makes sure that there is a base that the changes of g can follow. It writes one when g was not read from this
// file, when writing has failed, and when the changes have added up. g may change meanwhile. After it, addChanges is to
// be called with what has changed.
func (c *checkpoints) prepare(g *ann.Graph) error {
	if c.of == g && c.tail.room(g) {
		return nil
	}
	c.of = nil
	gens, err := c.generations()
	if err != nil {
		return err
	}
	var old []uint64 // what makes way: all but the newest that are complete
	kept := 0
	for _, gen := range gens {
		c.last = max(c.last, gen.number)
		if gen.parts > 0 && kept < keptGenerations-1 {
			kept++
		} else {
			old = append(old, gen.number)
		}
	}
	for _, gen := range old {
		if err := c.drop(gen); err != nil {
			return err
		}
	}
	c.last++
	t := tail{gen: c.last}
	err = guarded("write checkpoint", func() error {
		return g.EncodeAll(func(blocks [][]byte) error {
			n, err := c.put(t.gen, 0, t.blocks, blocks, nil)
			t.blocks += uint32(len(blocks))
			t.size.base += n
			return err
		})
	})
	if err != nil {
		return fmt.Errorf("write checkpoint %d: %w", t.gen, errors.Join(err, c.drop(t.gen)))
	}
	c.of, c.tail = g, t
	return nil
}

// room says whether the changes of g may follow.
func (t *tail) room(g *ann.Graph) bool {
	row := (t.size.base + t.size.changes) / uint64(max(1, g.Len()))
	return t.parts < maxParts && t.size.changes+row*uint64(g.Changed()) <= max(t.size.base/2, checkpointTx)
}

// addChanges stores what Graph.EncodeChanges gave, as of m.applied.
func (c *checkpoints) addChanges(blocks [][]byte, m manifest) error {
	g, t := c.of, c.tail
	c.of = nil // until it is whole: what was encoded does not count as changed any more
	t.parts++
	err := guarded("write checkpoint", func() error {
		for done := 0; ; {
			n, size := done, 0
			for n < len(blocks) && size < checkpointTx {
				size += len(blocks[n])
				n++
			}
			t.size.changes += uint64(size)
			var last []byte
			if n == len(blocks) {
				m.base, m.blocks, m.baseSize, m.size = t.blocks, uint32(n), t.size.base, t.size.changes
				last = m.encode()
			}
			if _, err := c.put(t.gen, t.parts, uint32(done), blocks[done:n], last); err != nil || last != nil {
				return err
			}
			done = n
		}
	})
	if err != nil {
		return fmt.Errorf("write checkpoint %d, part %d: %w", t.gen, t.parts, err)
	}
	c.of, c.tail = g, t
	return nil
}

// written counts the bytes of the pages that were written since the file was opened.
func (c *checkpoints) written() int64 {
	stats := c.db.Stats()
	return stats.TxStats.GetPageAlloc()
}

// put writes blocks, the first of which has number from, and a manifest if there is one, in one transaction.
func (c *checkpoints) put(gen uint64, part, from uint32, blocks [][]byte, manifest []byte) (size uint64, err error) {
	return size, c.db.Update(func(tx *bolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists(generationKey(gen))
		if err != nil {
			return err
		}
		b.FillPercent = 1
		for i, block := range blocks {
			key := blockKey(part, from+uint32(i))
			if err := b.Put(key, store.Seal(tagGraph, sealKey(gen, key), block)); err != nil {
				return err
			}
			size += uint64(len(block))
		}
		if manifest == nil {
			return nil
		}
		key := manifestKey(part)
		return b.Put(key, store.Seal(tagGraph, sealKey(gen, key), manifest))
	})
}
