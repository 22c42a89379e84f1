package indexer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"

	"robin/ann"
	"robin/boltfile"
	"robin/store"
)

// checkpoints is graph.db: generations of the stored graph, newest last. A generation is a bucket with a base, part 0, and
// the changes since, part after part, each of numbered blocks. A part of changes has a manifest, which is written in the last
// of its transactions; without one it was cut short and does not count. Every part is a state of the graph, together with
// those before it, so damage to one costs a longer replay and not a rebuild; for the same reason two generations are kept.
type checkpoints struct {
	path string
	db   *bolt.DB

	// What follows is for whoever writes: one at a time.
	last uint64     // the highest number that a generation had
	of   *ann.Graph // the graph of which tail holds all but the changed rows; nil when there is none
	tail tail
}

// tail is what the next part is to follow.
type tail struct {
	gen    uint64
	parts  uint32 // of changes
	size   struct{ base, changes uint64 }
	blocks uint32 // of the base
}

const (
	graphFile = "graph.db"
	// checkpointTx is how much goes into one transaction, which bbolt holds in memory.
	checkpointTx    = 8 << 20
	keptGenerations = 2
	tagGraph        = 'g'
	manifestVersion = 2

	// maxParts and half of the base are how far changes may add up before there is a new base. So all that is written is at
	// most some three times what changed, and the file stays below what two generations take, and one of them half again.
	maxParts = 128
)

var keyManifest = []byte("manifest")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// manifest says what a part of changes makes of its generation.
type manifest struct {
	uuid        store.UUID
	fingerprint string // of the model
	applied     uint64 // every operation up to here is in the graph
	base        uint32 // blocks of the base
	blocks      uint32 // of this part
	baseSize    uint64 // bytes in the base's blocks
	size        uint64 // bytes in the blocks of this part and of those before it, without the base
}

func (m manifest) encode() []byte {
	b := binary.AppendUvarint(nil, manifestVersion)
	b = append(b, m.uuid[:]...)
	for _, v := range []uint64{m.applied, uint64(m.base), uint64(m.blocks), m.baseSize, m.size} {
		b = binary.AppendUvarint(b, v)
	}
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
	m.base, m.blocks = uint32(next()), uint32(next())
	m.baseSize, m.size = next(), next()
	m.fingerprint = string(b)
	return m, err
}

// openCheckpoints opens graph.db, and makes it when it is missing. A file that cannot be trusted is moved to the
// quarantine: all of it can be made again.
func openCheckpoints(dir string) (c *checkpoints, quarantined error, err error) {
	path := filepath.Join(dir, graphFile)
	if exists(path) {
		if quarantined = boltfile.Check(path); quarantined == nil {
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
	db, err := boltfile.Open(path, bolt.Options{Timeout: 500 * time.Millisecond, FreelistType: bolt.FreelistMapType})
	if err != nil {
		return nil, err
	}
	return &checkpoints{path: path, db: db}, nil
}

func (c *checkpoints) close() error {
	return guarded("close "+graphFile, c.db.Close)
}

// generation is one that lies in the file. Its states are those after its first part of changes up to its last.
type generation struct {
	number uint64
	parts  uint32 // of changes that are complete, from the first without a gap; 0 when it does not count
	old    bool   // of the format before this one
}

// generations lists them, newest first.
func (c *checkpoints) generations() (all []generation, err error) {
	err = guarded("list checkpoints", func() error {
		return c.db.View(func(tx *bolt.Tx) error {
			return tx.ForEach(func(name []byte, b *bolt.Bucket) error {
				if len(name) != 8 || b == nil {
					return fmt.Errorf("%w: unknown bucket %x", store.ErrDamaged, name)
				}
				g := generation{number: binary.BigEndian.Uint64(name), old: b.Get(keyManifest) != nil}
				for b.Get(manifestKey(g.parts+1)) != nil {
					g.parts++
				}
				all = append([]generation{g}, all...)
				return nil
			})
		})
	})
	return all, err
}

func generationKey(gen uint64) []byte { return binary.BigEndian.AppendUint64(nil, gen) }

func partKey(part uint32) []byte { return binary.BigEndian.AppendUint32(nil, part) }

// manifestKey is that of a part. Keys of blocks are shorter, so it comes among its part's.
func manifestKey(part uint32) []byte { return append(partKey(part), keyManifest...) }

func blockKey(part, block uint32) []byte { return binary.BigEndian.AppendUint32(partKey(part), block) }

// sealKey names a value within all of graph.db, so that one of another generation does not pass.
func sealKey(gen uint64, key []byte) []byte { return append(generationKey(gen), key...) }

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

// keep makes a part the last of its generation: those after it are damaged.
func (c *checkpoints) keep(gen uint64, part uint32) error {
	return guarded("drop changes", func() error {
		return c.db.Update(func(tx *bolt.Tx) error {
			cur := tx.Bucket(generationKey(gen)).Cursor()
			for k, _ := cur.Seek(partKey(part + 1)); k != nil; k, _ = cur.Seek(partKey(part + 1)) {
				if err := cur.Delete(); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// verify reads every complete generation and names what does not hold.
func (c *checkpoints) verify() (problems []string) {
	gens, err := c.generations()
	if err != nil {
		return []string{fmt.Sprintf("%s: %v", graphFile, err)}
	}
	for _, gen := range gens {
		err := guarded("verify checkpoint", func() error {
			return c.db.View(func(tx *bolt.Tx) error {
				b := tx.Bucket(generationKey(gen.number))
				if b == nil || gen.parts == 0 {
					return nil // a checkpoint has replaced it meanwhile, or it was cut short
				}
				s := &storedState{gen: gen.number, b: b}
				if err := s.open(gen.parts); err != nil {
					return err
				}
				for _, part := range s.parts {
					for i := range part.values {
						if _, err := s.block(part, i); err != nil {
							return err
						}
					}
				}
				return nil
			})
		})
		if err != nil {
			problems = append(problems, fmt.Sprintf("%s: checkpoint %d: %v", graphFile, gen.number, err))
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
