package indexer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/RoaringBitmap/roaring/v2/roaring64"

	"robin/store"
)

// The text index lies in a numbered folder below textDir. A new one gets the next number, so that an old one, whose
// goroutines work on its files until the last search has let go of it, never meets the files of another.

// textGenerations lists the numbers of the folders, newest first.
func (c *collection) textGenerations() ([]uint64, error) {
	entries, err := os.ReadDir(filepath.Join(c.dir, textDir))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var list []uint64
	for _, e := range entries {
		if n, err := strconv.ParseUint(e.Name(), 10, 64); err == nil && e.IsDir() {
			list = append(list, n)
		}
	}
	slices.Sort(list)
	slices.Reverse(list)
	return list, nil
}

func (c *collection) textPath(gen uint64) string {
	return filepath.Join(c.dir, textDir, strconv.FormatUint(gen, 10))
}

// loadText opens the newest text index that is good, or returns nil when one has to be built. What is left beside it is
// removed; what is bad is put aside.
func (c *collection) loadText(ctx context.Context, sc *schema, cleanNote []byte) (*textIndex, error) {
	gens, err := c.textGenerations()
	if err != nil {
		return nil, err
	}
	m := c.st.Meta()
	var found *textIndex
	for _, gen := range gens {
		dir := c.textPath(gen)
		if found != nil {
			if err := os.RemoveAll(dir); err != nil {
				c.log.Warn("an old text index cannot be removed", "err", err)
			}
			continue
		}
		t, err := c.openText(dir, sc, m, cleanNote)
		if err == nil {
			found = t
			continue
		}
		c.log.Warn("a text index is not used and was put aside", "folder", dir, "why", err)
		if err := quarantine(c.dir, filepath.Join(textDir, filepath.Base(dir))); err != nil {
			return nil, err
		}
	}
	if found == nil && m.LastSeq > 0 {
		why := "there is none"
		if len(gens) > 0 {
			why = "none is good"
		}
		c.log.Info("the text index is built from the store", "why", why)
		c.eng.opt.Metrics.Rebuilt(c.name, "text", why)
	}
	return found, nil
}

// openText opens a text index if it is one of this store and its log reaches back to it.
func (c *collection) openText(dir string, sc *schema, m store.Meta, cleanNote []byte) (*textIndex, error) {
	root, rootErr := fileSum(filepath.Join(dir, rootBolt))
	t, err := openTextIndex(dir, m.UUID, sc)
	if err != nil {
		return nil, err
	}
	switch applied := t.applied.Load(); {
	case applied > m.LastSeq:
		err = fmt.Errorf("it is newer than the store: %d, %d", applied, m.LastSeq)
	case applied < m.LogFloor:
		err = fmt.Errorf("it is at %d, and the log begins at %d", applied, m.LogFloor)
	case applied == m.LastSeq && cleanNote != nil && (rootErr != nil || string(root) != string(cleanNote)):
		err = fmt.Errorf("%w: %s is not as it was left", store.ErrDamaged, rootBolt)
	default:
		return t, nil
	}
	t.close()
	return nil, err
}

// fileSum is the CRC-32C of a file.
func fileSum(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return binary.LittleEndian.AppendUint32(nil, crc32.Checksum(b, castagnoli)), nil
}

// replayText brings a text index up to the store from the log, and builds it when it is nil or then does not hold
// exactly the documents of want.
func (c *collection) replayText(ctx context.Context, sc *schema, t *textIndex, want *roaring64.Bitmap, last uint64) (*textIndex, error) {
	if t != nil {
		err := c.replayLog(ctx, t, last)
		if err == nil {
			err = sameNumbers(t, want)
		}
		if err == nil {
			return t, nil
		}
		t.close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		c.log.Warn("the text index is put aside and built from the store", "why", err)
		c.eng.opt.Metrics.Rebuilt(c.name, "text", err.Error())
		if err := quarantine(c.dir, filepath.Join(textDir, filepath.Base(t.dir))); err != nil {
			return nil, err
		}
	}
	return c.buildText(ctx, sc)
}

func sameNumbers(t *textIndex, want *roaring64.Bitmap) error {
	have, err := t.numbers()
	if err != nil {
		return err
	}
	if !have.Equals(want) {
		return fmt.Errorf("it lacks %d documents of the store and has %d others",
			roaring64.AndNot(want, have).GetCardinality(), roaring64.AndNot(have, want).GetCardinality())
	}
	return nil
}

// replayLog applies the operations that an index has not seen. Each document is brought to its newest state at once.
func (c *collection) replayLog(ctx context.Context, t *textIndex, last uint64) error {
	from := t.applied.Load()
	if from == last {
		return nil
	}
	touched := roaring64.New()
	return c.st.View(func(r *store.Reader) error {
		next := from + 1
		for op, err := range r.Log(from) {
			if err != nil {
				return err
			}
			if op.Seq != next {
				return fmt.Errorf("%w: the log lacks operation %d", store.ErrDamaged, next)
			}
			next++
			touched.Add(op.Number)
		}
		if next != last+1 {
			return fmt.Errorf("%w: the log ends at %d, the store at %d", store.ErrDamaged, next-1, last)
		}
		c.log.Info("replaying the log into the text index", "operations", last-from, "documents", touched.GetCardinality())
		var changes []textChange
		for it := touched.Iterator(); it.HasNext(); {
			number := it.Next()
			doc, err := r.Doc(number)
			if err != nil && !isNotFound(err) {
				return err
			}
			if err != nil {
				changes = append(changes, textChange{number: number})
			} else {
				ch, err := t.changeOf(doc)
				if err != nil {
					return err
				}
				changes = append(changes, ch)
			}
			if len(changes) == maxGroup {
				if err := t.apply(changes, from); err != nil {
					return err
				}
				changes = changes[:0]
				if err := ctx.Err(); err != nil {
					return err
				}
			}
		}
		return t.apply(changes, last)
	})
}

// changeOf is change for a stored document.
func (t *textIndex) changeOf(doc store.Doc) (textChange, error) {
	fields, err := fieldsOf(append([]byte{}, doc.Raw...))
	if err != nil {
		return textChange{}, fmt.Errorf("%w: document %q: %v", store.ErrDamaged, doc.ID, err)
	}
	return t.change(doc.Number, &parsed{id: doc.ID, fields: fields}), nil
}

// buildText makes a new text index of the store. The caller sees to it that the store does not change meanwhile. Until
// the last batch the index says that it has reached nothing, so one that is cut short is never taken for whole.
func (c *collection) buildText(ctx context.Context, sc *schema) (*textIndex, error) {
	gens, err := c.textGenerations()
	if err != nil {
		return nil, err
	}
	gen := uint64(1)
	if len(gens) > 0 {
		gen = gens[0] + 1
	}
	if err := os.MkdirAll(filepath.Join(c.dir, textDir), 0o700); err != nil {
		return nil, err
	}
	if err := syncDir(c.dir); err != nil {
		return nil, err
	}
	m := c.st.Meta()
	t, err := createTextIndex(ctx, c.textPath(gen), m.UUID, sc)
	if err != nil {
		return nil, err
	}
	err = c.fillText(ctx, t, m)
	if err == nil {
		err = t.flush(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("build the text index: %w", errors.Join(err, t.close(), os.RemoveAll(t.dir)))
	}
	return t, nil
}

func (c *collection) fillText(ctx context.Context, t *textIndex, m store.Meta) error {
	return c.st.View(func(r *store.Reader) error {
		var changes []textChange
		done := 0
		for doc, err := range r.Docs(0) {
			if err != nil {
				return err
			}
			ch, err := t.changeOf(doc)
			if err != nil {
				return err
			}
			if changes = append(changes, ch); len(changes) == maxGroup {
				if err := t.apply(changes, 0); err != nil {
					return err
				}
				done += len(changes)
				changes = changes[:0]
				c.progress("building the text index: %d of %d documents", done, m.Documents)
				if err := ctx.Err(); err != nil {
					return err
				}
			}
		}
		return t.apply(changes, m.LastSeq)
	})
}

func isNotFound(err error) bool { return errors.Is(err, store.ErrNotFound) }
