package indexer

import (
	"context"
	"time"

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
	for round := 0; ; round++ {
		if round == maxRounds {
			e := robin.Errorf(robin.CodeOverloaded, "documents that pass the filter kept being changed by other writes; %d were deleted, try again", deleted)
			e.RetryAfter = time.Second
			return deleted, seq, e
		}
		v := c.view.Load()
		// A document that was written after this is looked at in the next round.
		applied := v.attrsApplied.Load()
		set, err := v.attrs.Select(node)
		if err != nil {
			return deleted, seq, err
		}
		n, s, later, err := c.deleteSet(ctx, set, applied)
		deleted, seq = deleted+n, max(seq, s)
		if err != nil {
			return deleted, seq, err
		}
		if !later {
			break
		}
		select {
		case <-ctx.Done():
			return deleted, seq, contextError(ctx.Err(), "delete by filter")
		case <-time.After(10 * time.Millisecond):
		}
	}
	if seq == 0 {
		seq = c.st.Meta().LastSeq
	}
	return deleted, seq, nil
}

// deleteSet removes the documents of a set that are as they were at operation applied. later says that some of them were
// not: they were not judged.
func (c *collection) deleteSet(ctx context.Context, set attr.Set, applied uint64) (deleted int, seq uint64, later bool, err error) {
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
			if doc.Seq > applied {
				later = true
				continue
			}
			list = append(list, deletion{id: doc.ID, onlyAt: doc.Seq})
		}
		return nil
	})
	if err != nil {
		return 0, 0, false, c.storeError(err, "delete by filter")
	}
	for len(list) > 0 {
		n := min(len(list), maxGroup)
		r := &request{deletes: list[:n], done: make(chan error, 1)}
		list = list[n:]
		if err := c.submit(ctx, r); err != nil {
			return deleted, seq, false, err
		}
		deleted += r.removed
		later = later || len(r.missing) > 0
		seq = max(seq, r.seq)
	}
	return deleted, seq, later, nil
}
