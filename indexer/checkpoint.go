package indexer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"

	"robin/ann"
	"robin/store"
)

// checkpoints is graph.db: generations of the stored graph, newest last. A generation is a bucket of numbered blocks
// with a manifest, which is written in the last of its transactions. One without a manifest was cut short and does not
// count. Two are kept, so that damage to one costs a longer replay and not a rebuild.
type checkpoints struct {
	path string
	db   *bolt.DB
}

const (
	graphFile = "graph.db"
	// checkpointBlock is the size of a stored piece. Pieces are far below a bbolt transaction's comfort.
	checkpointBlock = 64<<10 - 64
	// checkpointTx is how much goes into one transaction, which bbolt holds in memory.
	checkpointTx    = 8 << 20
	keptGenerations = 2
	tagGraph        = 'g'
	manifestVersion = 1
)

var keyManifest = []byte("manifest")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// manifest says what a generation is of.
type manifest struct {
	uuid        store.UUID
	fingerprint string // of the model
	applied     uint64 // every operation up to here is in the graph
	size        uint64 // bytes in the blocks
	sum         uint32 // CRC-32C over them
}

func (m manifest) encode() []byte {
	b := binary.AppendUvarint(nil, manifestVersion)
	b = append(b, m.uuid[:]...)
	b = binary.AppendUvarint(b, m.applied)
	b = binary.AppendUvarint(b, m.size)
	b = binary.LittleEndian.AppendUint32(b, m.sum)
	return append(b, m.fingerprint...)
}

func decodeManifest(b []byte) (m manifest, err error) {
	next := func() uint64 {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			err = store.ErrDamaged
			return 0
		}
		b = b[n:]
		return v
	}
	if v := next(); err == nil && v != manifestVersion {
		return m, fmt.Errorf("manifest version %d, want %d", v, manifestVersion)
	}
	if len(b) < len(m.uuid) {
		return m, store.ErrDamaged
	}
	b = b[copy(m.uuid[:], b):]
	m.applied = next()
	m.size = next()
	if err != nil || len(b) < 4 {
		return m, store.ErrDamaged
	}
	m.sum = binary.LittleEndian.Uint32(b)
	m.fingerprint = string(b[4:])
	return m, nil
}

// openCheckpoints opens graph.db, and makes it when it is missing. A file that cannot be trusted is moved to the
// quarantine: all of it can be made again.
func openCheckpoints(dir string) (c *checkpoints, quarantined error, err error) {
	path := filepath.Join(dir, graphFile)
	if exists(path) {
		if quarantined = store.CheckFile(path); quarantined == nil {
			c, quarantined = openCheckpointFile(path)
			if quarantined == nil {
				return c, nil, nil
			}
		}
		if err := quarantine(dir, graphFile); err != nil {
			return nil, quarantined, err
		}
	}
	c, err = openCheckpointFile(path)
	if err == nil {
		err = syncDir(dir)
	}
	return c, quarantined, err
}

func openCheckpointFile(path string) (*checkpoints, error) {
	db, err := store.OpenBolt(path, bolt.Options{Timeout: 500 * time.Millisecond, FreelistType: bolt.FreelistMapType})
	if err != nil {
		return nil, err
	}
	return &checkpoints{path: path, db: db}, nil
}

func (c *checkpoints) close() error {
	return guarded("close "+graphFile, c.db.Close)
}

// generations lists the complete ones, newest first, and all.
func (c *checkpoints) generations() (complete, all []uint64, err error) {
	err = guarded("list checkpoints", func() error {
		return c.db.View(func(tx *bolt.Tx) error {
			return tx.ForEach(func(name []byte, b *bolt.Bucket) error {
				if len(name) != 8 || b == nil {
					return fmt.Errorf("%w: unknown bucket %x", store.ErrDamaged, name)
				}
				gen := binary.BigEndian.Uint64(name)
				all = append(all, gen)
				if b.Get(keyManifest) != nil {
					complete = append([]uint64{gen}, complete...)
				}
				return nil
			})
		})
	})
	return complete, all, err
}

func generationKey(gen uint64) []byte { return binary.BigEndian.AppendUint64(nil, gen) }

// blockKey names a block within all of graph.db, so that a block of another generation does not pass.
func blockKey(gen uint64, block uint32) []byte {
	return binary.BigEndian.AppendUint32(generationKey(gen), block)
}

// write stores a graph as a new generation and forgets the oldest ones.
func (c *checkpoints) write(g *ann.Graph, m manifest) error {
	complete, all, err := c.generations()
	if err != nil {
		return err
	}
	gen := uint64(1)
	for _, old := range all {
		gen = max(gen, old+1)
	}
	w := &generationWriter{c: c, gen: gen}
	err = guarded("write checkpoint", func() error {
		if err := g.Encode(w); err != nil {
			return err
		}
		if err := w.cut(); err != nil {
			return err
		}
		m.size, m.sum = w.size, w.sum
		manifest := store.Seal(tagGraph, append(generationKey(gen), keyManifest...), m.encode())
		return w.commit(func(tx *bolt.Tx, b *bolt.Bucket) error {
			if err := b.Put(keyManifest, manifest); err != nil {
				return err
			}
			for _, old := range all {
				keep := false
				for _, k := range complete[:min(len(complete), keptGenerations-1)] {
					keep = keep || k == old
				}
				if !keep {
					if err := tx.DeleteBucket(generationKey(old)); err != nil {
						return err
					}
				}
			}
			return nil
		})
	})
	if err != nil {
		return fmt.Errorf("write checkpoint %d: %w", gen, errors.Join(err, c.drop(gen)))
	}
	return nil
}

// drop removes a generation, if it is there.
func (c *checkpoints) drop(gen uint64) error {
	return guarded("drop checkpoint", func() error {
		return c.db.Update(func(tx *bolt.Tx) error {
			err := tx.DeleteBucket(generationKey(gen))
			if err != nil && tx.Bucket(generationKey(gen)) == nil {
				return nil
			}
			return err
		})
	})
}

// generationWriter cuts what it is given into blocks and commits them some at a time.
type generationWriter struct {
	c      *checkpoints
	gen    uint64
	blocks uint32
	buf    []byte
	ready  [][]byte // sealed blocks that are not committed; the last has number blocks-1
	held   int
	size   uint64
	sum    uint32
}

func (w *generationWriter) Write(p []byte) (int, error) {
	w.size += uint64(len(p))
	w.sum = crc32.Update(w.sum, castagnoli, p)
	for n := len(p); ; {
		take := min(len(p), checkpointBlock-len(w.buf))
		w.buf = append(w.buf, p[:take]...)
		p = p[take:]
		if len(w.buf) < checkpointBlock {
			return n, nil
		}
		if err := w.cut(); err != nil {
			return n - len(p), err
		}
	}
}

// cut ends a block, and a transaction when there is enough for one.
func (w *generationWriter) cut() error {
	if len(w.buf) == 0 {
		return nil
	}
	w.ready = append(w.ready, store.Seal(tagGraph, blockKey(w.gen, w.blocks), w.buf))
	w.held += len(w.buf)
	w.blocks++
	w.buf = w.buf[:0]
	if w.held < checkpointTx {
		return nil
	}
	return w.commit(func(*bolt.Tx, *bolt.Bucket) error { return nil })
}

func (w *generationWriter) commit(also func(*bolt.Tx, *bolt.Bucket) error) error {
	err := w.c.db.Update(func(tx *bolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists(generationKey(w.gen))
		if err != nil {
			return err
		}
		b.FillPercent = 1
		for i, block := range w.ready {
			n := w.blocks - uint32(len(w.ready)) + uint32(i)
			if err := b.Put(binary.BigEndian.AppendUint32(nil, n), block); err != nil {
				return err
			}
		}
		return also(tx, b)
	})
	w.ready, w.held = nil, 0
	return err
}

// read loads a generation, if it is one of this store, this model and no later than lastSeq.
func (c *checkpoints) read(gen uint64, u store.UUID, fingerprint string, lastSeq uint64, vector func(uint64) ([]float32, error)) (g *ann.Graph, applied uint64, err error) {
	err = guarded("read checkpoint", func() error {
		return c.db.View(func(tx *bolt.Tx) error {
			b := tx.Bucket(generationKey(gen))
			if b == nil {
				return errors.New("it is gone")
			}
			m, err := readManifest(b, gen)
			if err != nil {
				return err
			}
			switch {
			case m.uuid != u:
				return fmt.Errorf("it belongs to another store, %s", m.uuid)
			case m.fingerprint != fingerprint:
				return errors.New("it is of another model")
			case m.applied > lastSeq:
				return fmt.Errorf("it is newer than the store: %d, %d", m.applied, lastSeq)
			}
			r := &generationReader{gen: gen, b: b}
			if g, err = ann.Decode(r, vector); err != nil {
				return err
			}
			applied = m.applied
			return r.end(m)
		})
	})
	if err != nil {
		return nil, 0, fmt.Errorf("checkpoint %d: %w", gen, err)
	}
	return g, applied, nil
}

func readManifest(b *bolt.Bucket, gen uint64) (manifest, error) {
	v := b.Get(keyManifest)
	if v == nil {
		return manifest{}, errors.New("it is not complete")
	}
	p, err := store.Unseal(tagGraph, append(generationKey(gen), keyManifest...), v)
	if err != nil {
		return manifest{}, err
	}
	return decodeManifest(p)
}

// generationReader joins the blocks, checking each.
type generationReader struct {
	gen  uint64
	b    *bolt.Bucket
	next uint32
	rest []byte
	size uint64
	sum  uint32
}

func (r *generationReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		v := r.b.Get(binary.BigEndian.AppendUint32(nil, r.next))
		if v == nil {
			return 0, io.EOF
		}
		block, err := store.Unseal(tagGraph, blockKey(r.gen, r.next), v)
		if err != nil {
			return 0, err
		}
		r.next++
		r.rest = block
		r.size += uint64(len(block))
		r.sum = crc32.Update(r.sum, castagnoli, block)
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// end checks that what was read is all there is.
func (r *generationReader) end(m manifest) error {
	if _, err := io.Copy(io.Discard, r); err != nil {
		return err
	}
	if r.size != m.size || r.sum != m.sum {
		return fmt.Errorf("%w: %d bytes with checksum %08x, want %d with %08x", store.ErrDamaged, r.size, r.sum, m.size, m.sum)
	}
	return nil
}

// verify reads every complete generation and names what does not hold.
func (c *checkpoints) verify() (problems []string) {
	complete, _, err := c.generations()
	if err != nil {
		return []string{fmt.Sprintf("%s: %v", graphFile, err)}
	}
	for _, gen := range complete {
		err := guarded("verify checkpoint", func() error {
			return c.db.View(func(tx *bolt.Tx) error {
				b := tx.Bucket(generationKey(gen))
				if b == nil {
					return nil // a checkpoint has replaced it meanwhile
				}
				m, err := readManifest(b, gen)
				if err != nil {
					return err
				}
				return (&generationReader{gen: gen, b: b}).end(m)
			})
		})
		if err != nil {
			problems = append(problems, fmt.Sprintf("%s: checkpoint %d: %v", graphFile, gen, err))
		}
	}
	return problems
}

// quarantine moves a derived file or folder away, so that it can be looked at and never gets in the way. The latest of
// each name is kept.
func quarantine(dir, name string) error {
	q := filepath.Join(dir, "quarantine")
	if err := os.MkdirAll(q, 0o700); err != nil {
		return err
	}
	to := filepath.Join(q, strings.ReplaceAll(name, string(filepath.Separator), "-"))
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(dir, name), to); err != nil {
		return err
	}
	return errors.Join(syncDir(q), syncDir(filepath.Dir(filepath.Join(dir, name))))
}
