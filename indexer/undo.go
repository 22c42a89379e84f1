package indexer

import (
	"context"
	"errors"
	"os"
	"strings"

	"robin"
	"robin/store"
)

// undoBatch is how many documents come back in one commit.
const undoBatch = 256

// UndoDuplicates takes an action back. Deleted documents come back as they were, with the vectors that they had and
// without running the model, unless a document of that id has been written since. Marks become what they were, unless they
// were changed since. Doing it again changes nothing; one that was cut short goes on.
func (e *Engine) UndoDuplicates(ctx context.Context, collection, id string) (robin.DuplicateAction, error) {
	c, err := e.collection(collection)
	if err != nil {
		return robin.DuplicateAction{}, err
	}
	leave, err := c.admit(0)
	if err != nil {
		return robin.DuplicateAction{}, err
	}
	defer leave()
	c.acting.Lock()
	defer c.acting.Unlock()
	head, err := c.readJournal(id, nil)
	if err != nil || head.Undone {
		return head.DuplicateAction, err
	}
	u := &undo{c: c, head: head}
	each := func(e journalEntry) error {
		u.batch = append(u.batch, e)
		if len(u.batch) < undoBatch {
			return nil
		}
		return u.flush(ctx)
	}
	if _, err = c.readJournal(id, each); err == nil {
		err = u.flush(ctx)
	}
	if err == nil {
		err = u.marks(ctx)
	}
	if err != nil {
		return head.DuplicateAction, err
	}
	if err := c.noteUndone(id); err != nil {
		return head.DuplicateAction, robin.Errorf(robin.CodeInternal, "note that action %s was taken back: %w", id, err)
	}
	head.Undone = true
	return head.DuplicateAction, nil
}

// noteUndone makes the file that says that an action was taken back.
func (c *collection) noteUndone(id string) error {
	f, err := os.OpenFile(strings.TrimSuffix(c.journalPath(id), journalSuffix)+undoneSuffix, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return syncDir(c.dir + string(os.PathSeparator) + actionsDir)
}

// undo is one action on its way back.
type undo struct {
	c     *collection
	head  journalHead
	batch []journalEntry
	after []marking // when all documents are there: a mark needs its twin
	back  map[string]bool
}

func (u *undo) flush(ctx context.Context) error {
	batch := u.batch
	u.batch = nil
	var restore []journalEntry
	for _, e := range batch {
		switch {
		case e.Now != nil:
			u.after = append(u.after, marking{id: e.ID, to: e.Was, onlyIf: true, from: e.Now})
		case e.Document != nil:
			restore = append(restore, e)
		}
	}
	return u.restore(ctx, restore)
}

// restore brings deleted documents back. Those that are there, in whatever state, are left alone.
func (u *undo) restore(ctx context.Context, entries []journalEntry) error {
	c := u.c
	select {
	case c.twinTurn <- struct{}{}: // so that no write judges by the state in between
	case <-ctx.Done():
		return contextError(ctx.Err(), "wait for other writes")
	}
	defer func() { <-c.twinTurn }()
	for round := 0; len(entries) > 0; round++ {
		if round == maxRounds {
			return robin.Errorf(robin.CodeOverloaded, "%d documents could not be brought back while the collection changed; try again", len(entries))
		}
		sc := c.view.Load().schema
		items, from, err := u.prepare(ctx, sc, entries)
		if err != nil {
			return err
		}
		r := &request{schema: sc, items: items, done: make(chan error, 1)}
		if err := c.submit(ctx, r); err != nil {
			return err
		}
		if err := c.exact.wrote(c, sc, items); err != nil {
			return err
		}
		entries = entries[:0:0]
		for i, it := range items {
			switch {
			case it.failed != nil:
				return it.failed
			case !it.stored:
				entries = append(entries, from[i])
				continue
			}
			u.restored(from[i])
		}
	}
	return nil
}

// restored takes down that a document is as it was but for its mark.
func (u *undo) restored(e journalEntry) {
	if u.back == nil {
		u.back = map[string]bool{}
	}
	u.back[e.ID] = true
	if e.Was != nil {
		u.after = append(u.after, marking{id: e.ID, to: e.Was, onlyIf: true})
	}
}

// prepare makes items of the entries whose documents are absent.
func (u *undo) prepare(ctx context.Context, sc *schema, entries []journalEntry) (items []*item, from []journalEntry, err error) {
	err = u.c.st.View(func(r *store.Reader) error {
		for _, e := range entries {
			doc, err := r.ByID(e.ID)
			if err == nil {
				if string(doc.Raw) == *e.Document { // an undo that was cut short has brought it back, or the delete never came
					u.restored(e)
				}
				continue // else it was written since
			}
			if !isNotFound(err) {
				return err
			}
			d, perr := parseDocument([]byte(*e.Document), sc.settings.IDField)
			if perr != nil {
				return perr
			}
			it := &item{doc: d}
			if perr := u.c.prepareItem(sc, robin.Create, it, store.Doc{}, false); perr != nil {
				return perr
			}
			if it.embed && e.Vector != nil && u.head.Model == sc.model {
				it.vec, it.cut, it.embed, it.passages = e.Vector, e.Truncated, false, e.Passages.passages()
			}
			items, from = append(items, it), append(from, e)
		}
		return nil
	})
	if err != nil {
		return nil, nil, u.c.storeError(err, "bring documents back")
	}
	var bad *robin.Error
	if items, err = u.c.embed(ctx, sc, items, func(_ *item, err *robin.Error) { bad = err }); err == nil && bad != nil {
		err = bad
	}
	return items, from, err
}

// marks gives documents the marks that they had, and lets the marks of others lead to the documents that came back.
func (u *undo) marks(ctx context.Context) error {
	c := u.c
	if len(u.back) > 0 {
		err := c.st.View(func(r *store.Reader) error {
			for m, err := range r.Marks() {
				if err != nil {
					return err
				}
				if !u.back[m.TwinID] {
					continue
				}
				doc, err := r.Doc(m.Number)
				if err != nil {
					return err
				}
				saved := saveMark(m)
				u.after = append(u.after, marking{id: doc.ID, to: saved, onlyIf: true, from: saved})
			}
			return nil
		})
		if err != nil {
			return c.storeError(err, "bring marks back")
		}
	}
	for len(u.after) > 0 {
		n := min(len(u.after), maxGroup)
		r := &request{marks: u.after[:n], done: make(chan error, 1)}
		u.after = u.after[n:]
		if err := c.submit(ctx, r); err != nil {
			return err
		}
	}
	return nil
}
