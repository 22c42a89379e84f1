package indexer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"robin"
	"robin/store"
)

// unusable is a document for whose text the model gave no usable vector. base is what was stored then.
type unusable struct {
	id   string
	base base
	why  string
}

// isolate remembers documents without a usable vector, so that they can be listed. A document that was written meanwhile
// is not among them any more. The caller has told of each already, so a store that takes nothing in is only logged.
func (c *collection) isolate(sc *schema, list []unusable) {
	if len(list) == 0 {
		return
	}
	c.eng.opt.Metrics.Quarantined(c.name, len(list))
	m := sc.embedder.Version()
	now := time.Now()
	err := c.st.Update(func(tx *store.Tx) error {
		entries := make([]store.Quarantined, 0, len(list))
		for _, u := range list {
			doc, err := tx.ByID(u.id)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
			if exists := err == nil; exists != u.base.exists || exists && doc.Seq != u.base.seq {
				continue
			}
			entries = append(entries, store.Quarantined{ID: u.id, At: now, Model: m.Name, Version: m.Version, Fingerprint: m.Fingerprint, Reason: u.why})
		}
		if len(entries) == 0 {
			return errNothing
		}
		return tx.Quarantine(entries)
	})
	if err != nil && !errors.Is(err, errNothing) {
		c.log.Warn("documents without a usable vector cannot be remembered", "documents", len(list), "err", err)
	}
}

// release takes an id out of the quarantine that is written as it is, or deleted though it is not there.
func (r *request) release(tx *store.Tx, id string) error {
	was, err := tx.Release(id)
	r.released = r.released || was
	return err
}

func released(requests []*request) bool {
	return slices.ContainsFunc(requests, func(r *request) bool { return r.released })
}

// Quarantine lists the documents that were not written because the model gave no usable vector for their text, the newest
// first, and robin.MaxQuarantined at most. A document leaves when its id is written or deleted.
func (e *Engine) Quarantine(_ context.Context, collection string) ([]robin.Quarantined, error) {
	c, err := e.collection(collection)
	if err != nil {
		return nil, err
	}
	if c.view.Load() == nil {
		return nil, c.unready()
	}
	list := []robin.Quarantined{}
	err = c.st.View(func(r *store.Reader) error {
		for q, err := range r.Quarantine() {
			if err != nil {
				return fmt.Errorf("entry %q: %w", short(q.ID), err)
			}
			_, err = r.Number(q.ID)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
			list = append(list, robin.Quarantined{
				ID: q.ID, At: q.At, Model: robin.ModelVersion{Name: q.Model, Version: q.Version, Fingerprint: q.Fingerprint}, Reason: q.Reason, Stored: err == nil,
			})
		}
		return nil
	})
	if err != nil {
		return nil, c.storeError(err, "the quarantine")
	}
	slices.SortStableFunc(list, func(a, b robin.Quarantined) int {
		if order := b.At.Compare(a.At); order != 0 {
			return order
		}
		return strings.Compare(a.ID, b.ID)
	})
	return list, nil
}

// quarantined counts them.
func (c *collection) quarantined() (n int) {
	if err := c.st.View(func(r *store.Reader) error { n = r.Quarantined(); return nil }); err != nil {
		c.log.Warn("the quarantine cannot be counted", "err", err)
	}
	return n
}
