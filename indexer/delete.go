package indexer

import (
	"context"

	"robin"
	"robin/attr"
	"robin/filter"
	"robin/store"
)

// Delete removes documents by id. missing lists the ids that were not there.
func (e *Engine) Delete(ctx context.Context, collection string, ids []string) (deleted int, missing []string, seq uint64, err error) {
	c, err := e.collection(collection)
	if err != nil {
		return 0, nil, 0, err
	}
	size := 0
	for _, id := range ids {
		size += len(id)
	}
	leave, err := c.admit(size)
	if err != nil {
		return 0, nil, 0, err
	}
	defer leave()
	missing = []string{}
	for len(ids) > 0 {
		n := min(len(ids), maxGroup)
		r := &request{done: make(chan error, 1)}
		for _, id := range ids[:n] {
			r.deletes = append(r.deletes, deletion{id: id})
		}
		ids = ids[n:]
		if err := c.submit(ctx, r); err != nil {
			return deleted, missing, seq, err
		}
		deleted += r.removed
		missing = append(missing, r.missing...)
		seq = max(seq, r.seq)
	}
	if seq == 0 {
		seq = c.st.Meta().LastSeq
	}
	return deleted, missing, seq, nil
}

// DeleteByFilter removes the documents that pass a filter when it runs. A document that another write changes at the
// same moment is judged anew.
func (e *Engine) DeleteByFilter(ctx context.Context, collection, expr string) (deleted int, seq uint64, err error) {
	c, err := e.collection(collection)
	if err != nil {
		return 0, 0, err
	}
	node, err := filter.Parse(expr)
	if err != nil {
		return 0, 0, err
	}
	if node == nil {
		return 0, 0, robin.Invalid("/filter", "is empty; to remove every document, drop the collection")
	}
	leave, err := c.admit(0)
	if err != nil {
		return 0, 0, err
	}
	defer leave()
	for {
		set, err := c.view.Load().attrs.Select(node)
		if err != nil {
			return deleted, seq, err
		}
		if set.Len() == 0 {
			break
		}
		before := deleted
		n, s, err := c.deleteSet(ctx, set)
		deleted, seq = deleted+n, max(seq, s)
		if err != nil {
			return deleted, seq, err
		}
		if deleted == before {
			break // all of them were changed or gone; the next look would race the same way
		}
	}
	if seq == 0 {
		seq = c.st.Meta().LastSeq
	}
	return deleted, seq, nil
}

// deleteSet removes documents in the state that they have now.
func (c *collection) deleteSet(ctx context.Context, set attr.Set) (deleted int, seq uint64, err error) {
	var list []deletion
	err = c.st.View(func(r *store.Reader) error {
		for number := range set.All() {
			doc, err := r.Doc(number)
			if isNotFound(err) {
				continue
			}
			if err != nil {
				return err
			}
			list = append(list, deletion{id: doc.ID, onlyAt: doc.Seq})
		}
		return nil
	})
	if err != nil {
		return 0, 0, c.storeError(err, "delete by filter")
	}
	for len(list) > 0 {
		n := min(len(list), maxGroup)
		r := &request{deletes: list[:n], done: make(chan error, 1)}
		list = list[n:]
		if err := c.submit(ctx, r); err != nil {
			return deleted, seq, err
		}
		deleted += r.removed
		seq = max(seq, r.seq)
	}
	return deleted, seq, nil
}
