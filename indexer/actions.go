package indexer

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"robin"
	"robin/store"
)

// checkAction says whether there is an action of that name.
func checkAction(action string) error {
	switch action {
	case string(robin.DuplicatesFlag), string(robin.DuplicatesLink), actionDelete:
		return nil
	}
	return robin.Invalid("/action", "%q is not an action; use flag, link or delete", short(action))
}

// actOn flags, links or deletes the members of clusters. What is needed to take it back is on the disk before anything
// changes. A member that is gone, or changes meanwhile, is left as it is, and so is one whose kept document is gone: the
// last of its kind is never deleted. changed is how many were left out before.
func (c *collection) actOn(ctx context.Context, action string, clusters []robin.DuplicateCluster, changed int) (robin.DuplicateAction, error) {
	leave, err := c.admit(0)
	if err != nil {
		return robin.DuplicateAction{}, err
	}
	defer leave()
	c.acting.Lock()
	defer c.acting.Unlock()
	entries, err := c.entriesOf(action, clusters)
	if err != nil {
		return robin.DuplicateAction{}, err
	}
	if len(entries) == 0 {
		return robin.DuplicateAction{}, robin.Errorf(robin.CodeInvalid, "there is no document to %s: the duplicates are gone, or are marked so already", action)
	}
	a := robin.DuplicateAction{Action: action, Documents: len(entries), Changed: changed}
	now := time.Now().UTC()
	for a.ID = newActionID(now); exists(c.journalPath(a.ID)); a.ID = newActionID(now) {
		now = now.Add(time.Nanosecond)
	}
	a.Created = now.Truncate(time.Millisecond)
	head := journalHead{journalVersion, c.view.Load().schema.model, a}
	err = c.writeJournal(head, func(add func(journalEntry) error) error { return c.fillJournal(entries, add) })
	if err != nil {
		if robin.CodeOf(err) != robin.CodeInternal {
			return robin.DuplicateAction{}, err
		}
		return robin.DuplicateAction{}, robin.Errorf(robin.CodeInternal, "keep what is needed to take the action back: %w", err)
	}
	c.trimJournals()
	c.hook("journaled")
	a.Documents, err = c.act(ctx, action, entries)
	return a, err
}

const actionDelete = "delete"

// entriesOf lists what an action does, of the documents that are there.
func (c *collection) entriesOf(action string, clusters []robin.DuplicateCluster) (entries []journalEntry, err error) {
	seen := map[string]bool{}
	err = c.st.View(func(r *store.Reader) error {
		for _, g := range clusters {
			if _, err := r.Number(g.Kept); isNotFound(err) {
				continue
			} else if err != nil {
				return err
			}
			for _, m := range g.Members {
				doc, err := r.ByID(m.ID)
				if isNotFound(err) || m.ID == g.Kept || seen[m.ID] {
					continue
				}
				if err != nil {
					return err
				}
				seen[m.ID] = true
				e := journalEntry{ID: m.ID}
				mark, err := r.Mark(doc.Number)
				if err == nil {
					e.Was = saveMark(mark)
				} else if !isNotFound(err) {
					return err
				}
				if action == actionDelete {
					e.Kept, e.Seq = g.Kept, doc.Seq
				} else if e.Now = (&savedMark{robin.DuplicatePolicy(action), g.Kept, float32(m.Cosine)}); e.Now.equal(e.Was) {
					continue
				}
				entries = append(entries, e)
			}
		}
		return nil
	})
	if err != nil {
		return nil, c.storeError(err, "read the duplicates")
	}
	return entries, nil
}

// fillJournal hands on the entries with what a delete takes, one document in memory at a time.
func (c *collection) fillJournal(entries []journalEntry, add func(journalEntry) error) error {
	return c.st.View(func(r *store.Reader) error {
		for _, e := range entries {
			if e.Seq != 0 {
				doc, err := r.ByID(e.ID)
				if isNotFound(err) || err == nil && doc.Seq != e.Seq {
					continue // it will not be deleted either
				}
				if err != nil {
					return c.storeError(err, "read the duplicates")
				}
				raw := string(doc.Raw)
				e.Document, e.Truncated = &raw, doc.Flags&store.Truncated != 0
				if doc.Flags&store.HasVector != 0 && c.isModel(c.view.Load().schema, doc.Model) {
					if _, e.Vector, err = r.Vector(doc.Number); err == nil && doc.Flags&store.Chunked != 0 {
						e.Passages, err = savePassages(r, doc.Number)
					}
					if err != nil {
						return c.storeError(err, "read the duplicates")
					}
				}
			}
			if err := add(e); err != nil {
				return err
			}
		}
		return nil
	})
}

// act does what was journaled, and counts the documents.
func (c *collection) act(ctx context.Context, action string, entries []journalEntry) (documents int, err error) {
	for chunk := range slices.Chunk(entries, maxGroup) {
		r := &request{done: make(chan error, 1)}
		for _, e := range chunk {
			if action == actionDelete {
				r.deletes = append(r.deletes, deletion{id: e.ID, onlyAt: e.Seq, kept: e.Kept})
			} else {
				r.marks = append(r.marks, marking{id: e.ID, to: e.Now, onlyIf: true, from: e.Was})
			}
		}
		if err := c.submit(ctx, r); err != nil {
			return documents, err
		}
		documents += r.removed + r.marked
	}
	return documents, nil
}

// keptActions is how many actions of a collection can be taken back; the oldest are forgotten first. A delete's journal
// holds what it deleted.
const keptActions = 100

// trimJournals forgets the oldest actions.
func (c *collection) trimJournals() {
	ids, err := c.actionIDs()
	if err == nil {
		for _, id := range ids[min(keptActions, len(ids)):] {
			path := c.journalPath(id)
			undone := strings.TrimSuffix(path, journalSuffix) + undoneSuffix
			if e := os.Remove(undone); e != nil && !errors.Is(e, fs.ErrNotExist) {
				err = e
			}
			err = errors.Join(err, os.Remove(path))
		}
	}
	if err != nil {
		c.log.Warn("an old action on duplicates cannot be forgotten", "err", err)
	}
}

// actionIDs are those of the journals, the newest first.
func (c *collection) actionIDs() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(c.dir, actionsDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var ids []string
	for _, entry := range slices.Backward(entries) { // ReadDir sorts, and ids grow with time
		if id, ok := strings.CutSuffix(entry.Name(), journalSuffix); ok && actionRE.MatchString(id) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// DuplicateActions lists what was done with a collection's duplicates, the newest first.
func (e *Engine) DuplicateActions(_ context.Context, collection string) ([]robin.DuplicateAction, error) {
	c, err := e.collection(collection)
	if err != nil {
		return nil, err
	}
	ids, err := c.actionIDs()
	if err != nil {
		return nil, robin.Errorf(robin.CodeInternal, "list the actions of collection %q: %w", collection, err)
	}
	list := []robin.DuplicateAction{}
	for _, id := range ids {
		head, err := c.readJournal(id, nil)
		if err != nil {
			return nil, err
		}
		list = append(list, head.DuplicateAction)
	}
	return list, nil
}
