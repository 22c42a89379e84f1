package indexer

import (
	"errors"
	"fmt"
	"runtime"
	"sync"

	bolt "go.etcd.io/bbolt"

	"robin/ann"
	"robin/store"
)

// storedState is a state of a generation as it lies in the file.
type storedState struct {
	gen   uint64
	b     *bolt.Bucket
	m     manifest
	parts []storedPart // newest first, the base last
}

// storedPart has its blocks as they were sealed.
type storedPart struct {
	number uint32
	values [][]byte
}

// damagedPart is the error of a part that cannot be read: the state before it may be good.
type damagedPart struct {
	part uint32
	err  error
}

func (e *damagedPart) Error() string {
	if e.part == 0 {
		return fmt.Sprintf("base: %v", e.err)
	}
	return fmt.Sprintf("part %d: %v", e.part, e.err)
}

func (e *damagedPart) Unwrap() error { return e.err }

// open finds the blocks of the state after a part, and looks at none of them.
func (s *storedState) open(part uint32) error {
	for n := part; n > 0; n-- {
		m, err := s.manifest(n)
		if err != nil {
			return &damagedPart{n, err}
		}
		if n == part {
			s.m = m
		}
		if err := s.find(n, m.blocks); err != nil {
			return err
		}
	}
	return s.find(0, s.m.base)
}

func (s *storedState) manifest(part uint32) (manifest, error) {
	key := manifestKey(part)
	v := s.b.Get(key)
	if v == nil {
		return manifest{}, errors.New("it is not complete")
	}
	p, err := store.Unseal(tagGraph, sealKey(s.gen, key), v)
	if err != nil {
		return manifest{}, err
	}
	return decodeManifest(p)
}

func (s *storedState) find(part, blocks uint32) error {
	p := storedPart{number: part}
	for i := range blocks {
		v := s.b.Get(blockKey(part, i))
		if v == nil {
			return &damagedPart{part, fmt.Errorf("%w: block %d is missing", store.ErrDamaged, i)}
		}
		p.values = append(p.values, v)
	}
	s.parts = append(s.parts, p)
	return nil
}

// block checks a block and gives its content.
func (s *storedState) block(p storedPart, i int) ([]byte, error) {
	b, err := store.Unseal(tagGraph, sealKey(s.gen, blockKey(p.number, uint32(i))), p.values[i])
	if err != nil {
		return nil, &damagedPart{p.number, err}
	}
	return b, nil
}

// decode reads all rows.
func (s *storedState) decode() (*ann.Decoder, error) {
	if len(s.parts[0].values) == 0 {
		return nil, &damagedPart{s.parts[0].number, fmt.Errorf("%w: it has no head", store.ErrDamaged)}
	}
	head, err := s.block(s.parts[0], 0)
	if err != nil {
		return nil, err
	}
	d, err := ann.NewDecoder(head, int64(s.m.baseSize+s.m.size))
	if err != nil {
		return nil, err
	}
	for _, part := range s.parts {
		err := inParts(len(part.values), func(from, to int) error {
			for i := from; i < to; i++ {
				rows, err := s.block(part, i)
				if err != nil {
					return err
				}
				if i == 0 && part.number > 0 {
					continue // a head
				}
				if err := d.Rows(rows); err != nil {
					return &damagedPart{part.number, err}
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return d, nil
}

// inParts does n things in as many goroutines as there are processors, each a part of them one after another.
func inParts(n int, do func(from, to int) error) error {
	workers := min(runtime.GOMAXPROCS(0), n)
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			errs[w] = guarded("read", func() error { return do(n*w/workers, n*(w+1)/workers) })
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// wanted says whose graph is looked for.
type wanted struct {
	uuid        store.UUID
	fingerprint string
	lastSeq     uint64
	dim         int
	precision   ann.Precision
}

// read loads the state of a generation after a part, if it is one of this store, this model and no later than lastSeq.
// setVectors gives the decoder the vectors of a graph that is at applied. With whole, what changes in the graph from here on
// can follow that part.
func (c *checkpoints) read(gen uint64, part uint32, w wanted, whole bool, setVectors func(d *ann.Decoder, applied uint64) error) (g *ann.Graph, applied uint64, err error) {
	err = guarded("read checkpoint", func() error {
		return c.db.View(func(tx *bolt.Tx) error {
			b := tx.Bucket(generationKey(gen))
			if b == nil {
				return errors.New("it is gone")
			}
			s := &storedState{gen: gen, b: b}
			if err := s.open(part); err != nil {
				return err
			}
			switch {
			case s.m.uuid != w.uuid:
				return fmt.Errorf("it belongs to another store, %s", s.m.uuid)
			case s.m.fingerprint != w.fingerprint:
				return errors.New("it is of another model")
			case s.m.applied > w.lastSeq:
				return fmt.Errorf("it is newer than the store: %d, %d", s.m.applied, w.lastSeq)
			}
			d, err := s.decode()
			if err != nil {
				return err
			}
			if p := d.Precision(); p != w.precision {
				return fmt.Errorf("it holds vectors as %s, the settings want %s", p, w.precision)
			}
			if d.Dim() != w.dim {
				return fmt.Errorf("it has %d dimensions, the model %d", d.Dim(), w.dim)
			}
			if err := setVectors(d, s.m.applied); err != nil {
				return err
			}
			if g, err = d.Graph(); err != nil {
				return err
			}
			applied = s.m.applied
			if whole {
				c.of, c.tail = g, tail{gen: gen, parts: part, blocks: s.m.base}
				c.tail.size.base, c.tail.size.changes = s.m.baseSize, s.m.size
			}
			return nil
		})
	})
	if err != nil {
		return nil, 0, fmt.Errorf("checkpoint %d: %w", gen, err)
	}
	return g, applied, nil
}
