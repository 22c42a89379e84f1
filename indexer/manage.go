package indexer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"robin"
	"robin/store"
)

// PutCollection makes a collection, or changes the settings of one. New text fields, attributes or identifiers of a
// collection that has documents rebuild what is derived; writes wait for that, searches go on with the old settings
// until it is done. What documents were embedded or named by cannot change while there are documents.
func (e *Engine) PutCollection(ctx context.Context, name string, s robin.Settings) (info robin.CollectionInfo, created bool, err error) {
	if !robin.ValidName(name) {
		return info, false, errName(name)
	}
	s = s.Defaulted()
	if err := s.Validate(); err != nil {
		return info, false, err
	}
	if _, err := newSchema(0, s, nil); err != nil {
		return info, false, err
	}
	if e.embedderFor(s) == nil {
		return info, false, robin.Invalid("/embedder", "there is no embedder %q", s.Embedder)
	}
	if err := checkChunking(s, e.embedderFor(s)); err != nil {
		return info, false, err
	}
	if s.Reranker != "none" && e.models().Rerankers[s.Reranker] == nil {
		return info, false, robin.Invalid("/reranker", "there is no reranker %q", s.Reranker)
	}
	unlock, err := e.lockName(name)
	if err != nil {
		return info, false, err
	}
	defer unlock()
	c, err := e.collection(name)
	switch {
	case robin.CodeOf(err) == robin.CodeNoCollection && err != nil:
		if c, err = e.create(ctx, name, s); err != nil {
			return info, false, err
		}
		created = true
	case err != nil:
		return info, false, err
	default:
		if err := c.changeSettings(ctx, s); err != nil {
			return info, false, err
		}
	}
	return c.info(), created, nil
}

// create makes a collection's folder under another name and renames it when all in it is on the disk, so that it is
// there whole or not at all. The caller holds its name.
func (e *Engine) create(ctx context.Context, name string, s robin.Settings) (*collection, error) {
	failed := func(err error) error {
		return robin.Errorf(robin.CodeInternal, "make collection %q: %w", name, err)
	}
	raw, err := json.Marshal(s)
	if err != nil {
		return nil, failed(err)
	}
	parent := filepath.Join(e.opt.Dir, collectionsDir)
	dir := filepath.Join(parent, newPrefix+name)
	err = os.RemoveAll(dir)
	if err == nil {
		err = os.Mkdir(dir, 0o700)
	}
	if err == nil {
		err = store.Create(filepath.Join(dir, storeFile), raw)
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err == nil {
		err = os.Rename(dir, filepath.Join(parent, name))
	}
	if err == nil {
		err = syncDir(parent)
	}
	if err != nil {
		return nil, failed(errors.Join(err, os.RemoveAll(dir)))
	}
	c := e.newCollection(name)
	c.recover(context.WithoutCancel(ctx))
	if c.view.Load() == nil {
		return nil, failed(errors.Join(c.unready(), os.RemoveAll(c.dir)))
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.mu.closed { // Close has not seen it
		return nil, errors.Join(errClosed(name), c.close(true))
	}
	e.mu.collections[name] = c
	return c, nil
}

// changeSettings replaces the settings of a collection. The caller holds its name.
func (c *collection) changeSettings(ctx context.Context, s robin.Settings) error {
	ctx, cancel := c.eng.whileOpen(ctx)
	defer cancel()
	v, err := c.acquire()
	if err != nil {
		return err
	}
	defer v.release()
	old := v.schema.settings
	defer c.freeze()()
	m := c.st.Meta()
	if m.Documents > 0 {
		var e *robin.Error
		for _, f := range []struct{ name, old, new string }{
			{"id_field", old.IDField, s.IDField},
			{"embed_template", old.EmbedTemplate, s.EmbedTemplate},
			{"embedder", old.Embedder, s.Embedder},
			{"vector_field", old.VectorField, s.VectorField},
			{"chunking", chunkingText(old.Chunking), chunkingText(s.Chunking)},
			{"dimension", strconv.Itoa(old.Dimension), strconv.Itoa(s.Dimension)},
		} {
			if f.old == f.new {
				continue
			}
			if e == nil {
				e = robin.Errorf(robin.CodeConflict, "collection %q has documents that were written with the old settings; make a new collection and import them there", c.name)
			}
			e.Fields = append(e.Fields, robin.FieldError{Pointer: "/" + f.name, Detail: fmt.Sprintf("cannot change from %q to %q", f.old, f.new)})
		}
		if e != nil {
			return e
		}
	}
	raw, err := json.Marshal(s)
	if err != nil {
		return robin.Errorf(robin.CodeInternal, "store the settings of %q: %w", c.name, err)
	}
	if was, err := json.Marshal(old); err == nil && string(was) == string(raw) {
		return nil
	}
	sc, err := newSchema(m.SettingsVersion+1, s, c.eng.embedderFor(s))
	if err != nil {
		return err
	}
	if err := c.fits(ctx, sc); err != nil {
		return err
	}
	return c.replaceView(ctx, sc, rebuildChanged, func() error {
		err := c.st.Update(func(tx *store.Tx) error { return tx.SetSettings(raw) })
		if err != nil {
			return c.storeError(err, "store the settings of %q", c.name)
		}
		return nil
	})
}

// fits says whether the documents that are there have the types that a schema wants.
func (c *collection) fits(ctx context.Context, sc *schema) error {
	err := c.st.View(func(r *store.Reader) error {
		for doc, err := range r.Docs(0) {
			if err != nil {
				return err
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			if _, err := sc.storedAttributes(doc); err != nil {
				e := robin.Errorf(robin.CodeConflict, "the document %q does not fit the new attributes", short(doc.ID))
				e.Fields = err.Fields
				return e
			}
		}
		return nil
	})
	if err != nil {
		return c.storeError(err, "compare %q with the new settings", c.name)
	}
	return nil
}

// DropCollection removes a collection and all it holds. It is gone when the call returns, also after a crash.
func (e *Engine) DropCollection(_ context.Context, name string) error {
	unlock, err := e.lockName(name)
	if err != nil {
		return err
	}
	defer unlock()
	c, err := e.collection(name)
	if err != nil {
		return err
	}
	e.mu.Lock()
	delete(e.mu.collections, name)
	e.mu.Unlock()
	gone := robin.Errorf(robin.CodeNoCollection, "collection %q was dropped", name)
	err = c.close(false)
	c.setState(robin.Damaged, "dropped", gone)
	if err != nil {
		c.log.Warn("a dropped collection was not closed in order", "err", err)
	}
	trash := filepath.Join(e.opt.Dir, trashDir)
	if err := os.MkdirAll(trash, 0o700); err != nil {
		return robin.Errorf(robin.CodeInternal, "drop collection %q: %w", name, err)
	}
	to := filepath.Join(trash, name+"-"+strconv.FormatInt(time.Now().UnixNano(), 36))
	err = os.Rename(c.dir, to)
	if err == nil {
		err = errors.Join(syncDir(trash), syncDir(filepath.Dir(c.dir)))
	}
	if err != nil {
		return robin.Errorf(robin.CodeInternal, "drop collection %q: %w", name, err)
	}
	if err := os.RemoveAll(to); err != nil {
		c.log.Warn("a dropped collection's folder is left in the trash until the next start", "err", err)
	}
	return nil
}

// closePatience bounds what close waits for: searches that still run, and the text index's way to the disk.
const closePatience = 30 * time.Second

// close ends the collection: waiting writes are finished, then the goroutines end. With keep, what is derived is brought
// to the disk and the store is marked as cleanly closed.
func (c *collection) close(keep bool) error {
	c.queue.Lock()
	c.queue.closed = true
	idle := c.queue.calls == 0
	c.queue.Unlock()
	v := c.view.Load()
	if v == nil {
		return nil // it was never opened, or has failed to
	}
	if !idle {
		<-c.queue.none
	}
	close(c.stop)
	close(c.commits)
	c.wg.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), closePatience)
	defer cancel()
	var errs []error
	clean := keep && c.st.Failed() == nil
	if clean {
		if err := c.checkpoint(ctx); err != nil {
			errs = append(errs, fmt.Errorf("last checkpoint of %q: %w", c.name, err))
			clean = false
		}
	}
	c.view.Store(nil)
	c.setState(robin.Recovering, "closing", nil)
	clean = clean && len(v.degraded()) == 0
	if clean {
		if err := c.saveColumns(v); err != nil { // the next start reads the documents
			errs = append(errs, fmt.Errorf("save the columns of %q: %w", c.name, err))
		}
	}
	v.retire()
	select {
	case err := <-v.closed:
		clean = clean && err == nil
		errs = append(errs, err)
	case <-ctx.Done():
		clean = false
		errs = append(errs, fmt.Errorf("a search of %q did not end in %v", c.name, closePatience))
	}
	errs = append(errs, c.checkpoints.close())
	if clean {
		note, err := fileSum(filepath.Join(v.text.dir, rootBolt))
		if err == nil {
			err = c.st.MarkClean(note)
		}
		errs = append(errs, err)
	}
	errs = append(errs, c.st.Close())
	return errors.Join(errs...)
}
