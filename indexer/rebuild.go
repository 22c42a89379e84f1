package indexer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"

	"robin/store"
)

// Rebuild builds what is derived anew from the store and puts it in the place of what is there. Documents whose vectors
// are of another model than the one in use are embedded again. Searches go on meanwhile, writes wait.
func (e *Engine) Rebuild(ctx context.Context, collection string) error {
	unlock, err := e.lockName(collection)
	if err != nil {
		return err
	}
	defer unlock()
	c, err := e.collection(collection)
	if err != nil {
		return err
	}
	ctx, cancel := e.whileOpen(ctx)
	defer cancel()
	v, err := c.acquire()
	if err != nil {
		return err
	}
	defer v.release()
	defer c.freeze()()
	err = c.reembed(ctx, v.schema)
	if err == nil {
		err = c.replaceView(ctx, v.schema, rebuildAll, func() error { return nil })
	}
	if err != nil && v.graphApplied.Load() != c.st.Meta().LastSeq {
		why := "a rebuild was not finished: " + err.Error()
		v.graphOut.Store(&why)
	}
	return err
}

// reembedBatch is how many documents are embedded between two commits.
const reembedBatch = 256

// reembed gives vectors of the model in use to documents that have one of another. One whose text the model gives no
// usable vector for is remembered in the quarantine, and found by its words. The caller has frozen the collection.
func (c *collection) reembed(ctx context.Context, sc *schema) error {
	if n, err := c.otherModels(sc); err != nil {
		return c.storeError(err, "look for vectors of another model in %q", c.name)
	} else if n == 0 {
		return nil
	}
	for from := uint64(0); ; {
		var docs []store.Doc
		var texts []string
		var readings []reading
		err := c.st.View(func(r *store.Reader) error {
			for doc, err := range r.Docs(from) {
				if err != nil {
					return err
				}
				if doc.Flags&store.HasVector == 0 || c.isModel(sc, doc.Model) {
					continue
				}
				doc.Raw = append([]byte{}, doc.Raw...)
				text, head, err := sc.template.headed(doc.Raw)
				if err != nil {
					return err
				}
				if text == "" { // it brought a vector of the other model, and nothing to make another of
					continue
				}
				docs = append(docs, doc)
				said := sc.read(text, head)
				said.at = len(texts)
				readings = append(readings, said)
				texts = append(texts, said.texts...)
				if len(docs) == reembedBatch {
					return nil
				}
			}
			return nil
		})
		if err != nil {
			return c.storeError(err, "embed the documents of %q again", c.name)
		}
		if len(docs) == 0 {
			return nil
		}
		from = docs[len(docs)-1].Number + 1
		e, err := c.embedTexts(ctx, sc.embedder, texts, len(docs))
		if err != nil {
			return err
		}
		var bad []unusable
		vecs, cut := make([][]float32, len(docs)), make([]bool, len(docs))
		for i := range docs {
			var why string
			if vecs[i], cut[i], why = readings[i].take(&e, sc.embedder.Dim()); why != "" {
				bad = append(bad, unusable{docs[i].ID, base{exists: true, seq: docs[i].Seq}, "the vector " + why})
			}
		}
		c.isolate(sc, bad)
		err = c.st.Update(func(tx *store.Tx) error {
			model, err := tx.Model(sc.model)
			if err != nil {
				return err
			}
			for i, doc := range docs {
				if vecs[i] == nil {
					continue // it keeps the other model's, which is not compared
				}
				if _, err := tx.SetVector(doc.Number, model, cut[i], vecs[i], readings[i].passages); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return c.storeError(err, "embed the documents of %q again", c.name)
		}
	}
}

// mend builds an index anew that went out while the collection served.
func (c *collection) mend(ctx context.Context) error {
	defer c.freeze()()
	return c.replaceView(ctx, c.view.Load().schema, rebuildChanged, func() error { return nil })
}

const (
	rebuildChanged = false // only what the new settings concern
	rebuildAll     = true
)

// replaceView makes a view for a schema and, when commit agrees, puts it in the place of the current one. The caller has
// frozen the collection.
func (c *collection) replaceView(ctx context.Context, sc *schema, all bool, commit func() error) error {
	old := c.view.Load()
	v := newView(c, sc)
	v.text, v.graph, v.attrs, v.passages = old.text, old.graph, old.attrs, old.passages
	v.textOut.Store(old.textOut.Load())
	v.graphOut.Store(old.graphOut.Load())
	v.incomplete.Store(old.incomplete.Load())
	if err := c.buildView(ctx, v, old, all); err != nil {
		return c.storeError(err, "rebuild %q", c.name)
	}
	if err := commit(); err != nil {
		if v.text != old.text {
			err = errors.Join(err, v.text.close(), os.RemoveAll(v.text.dir))
		}
		return err
	}
	v.graphApplied.Store(c.st.Meta().LastSeq)
	v.attrsApplied.Store(c.st.Meta().LastSeq)
	if v.graph != old.graph {
		c.changed.Add(max(1, uint64(v.graph.Len())))
		c.graphDurable.Store(0) // so that the next checkpoint is made, whatever the seq
	}
	if v.schema != old.schema {
		c.columnsSeq.Store(0) // the file is of the old settings
	}
	old.text.obsolete.Store(v.text != old.text)
	v.publish(c)
	old.retire()
	return nil
}

// buildView replaces those parts of v, which has the parts of old, that are not as they should be.
func (c *collection) buildView(ctx context.Context, v, old *view, all bool) (err error) {
	was, now := old.schema, v.schema
	newText := all || !old.textUp() || !bytes.Equal(textSignature(was.settings), textSignature(now.settings))
	newGraphWanted := all || !old.graphUp() || was.model != now.model || was.embedder.Dim() != now.embedder.Dim() ||
		was.precision() != now.precision()
	if !newText && !newGraphWanted && maps.Equal(was.settings.Attributes, now.settings.Attributes) {
		return nil
	}
	v.attrs = newTable(now.settings)
	docs, err := c.loadDocs(ctx, v, 0)
	if err != nil {
		return err
	}
	if newGraphWanted {
		c.eng.opt.Metrics.Rebuilt(c.name, "vectors", "asked for")
		if v.graph, err = newGraph(now); err != nil {
			return err
		}
		if _, err = c.reconcileGraph(ctx, v.graph, docs.vectors); err != nil {
			return err
		}
		v.graphOut.Store(nil)
		if err = c.noteModels(v, docs.vectors); err != nil {
			return err
		}
	} else {
		v.passages = old.passages // the graph goes on being searched through the old view too
	}
	if newText {
		c.eng.opt.Metrics.Rebuilt(c.name, "text", "asked for")
		if v.text, err = c.buildText(ctx, now); err != nil {
			return err
		}
		if err = sameNumbers(v.text, docs.numbers); err != nil {
			return errors.Join(fmt.Errorf("the new text index: %w", err), v.text.close(), os.RemoveAll(v.text.dir))
		}
		v.textOut.Store(nil)
	}
	return nil
}
