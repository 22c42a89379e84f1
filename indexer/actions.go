package indexer

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"robin"
	"robin/store"
)

const (
	actionSuffix = ".action" // a journal, in the folder of duplicates
	undoneSuffix = ".undone" // an empty file beside it, once it was taken back
	undoBatch    = 256
)

// journal is what an action's file holds: this line, then one journaled line for each document.
type journal struct {
	Version int `json:"version"`
	robin.DuplicateAction
}

// journaled is a document as it was before the action. Its bytes are a string: as an object they would lose the white
// space that they were sent with.
type journaled struct {
	ID  string  `json:"id"`
	Raw *string `json:"raw,omitempty"` // for delete
}

// ApplyDuplicates flags, links or deletes the members of clusters. What is needed to take it back is on the disk before
// anything changes. Members that are gone by now are left out.
func (e *Engine) ApplyDuplicates(ctx context.Context, collection, action string, clusters []robin.DuplicateCluster) (robin.DuplicateAction, error) {
	none := robin.DuplicateAction{}
	c, err := e.collection(collection)
	if err != nil {
		return none, err
	}
	var ids []string
	var marks []Mark
	for _, g := range clusters {
		for _, m := range g.Members {
			ids = append(ids, m.ID)
			marks = append(marks, Mark{ID: m.ID, Twin: g.Kept, Action: robin.DuplicatePolicy(action), Cosine: m.Cosine})
		}
	}
	switch action {
	case "flag", "link", "delete":
	default:
		return none, robin.Invalid("/action", "%q is not an action; use flag, link or delete", short(action))
	}
	if len(ids) == 0 {
		return none, robin.Errorf(robin.CodeInvalid, "there are no duplicates to %s", action)
	}
	now := time.Now().UTC()
	a := robin.DuplicateAction{ID: fmt.Sprintf("%s-%09d", now.Format("20060102t150405"), now.Nanosecond()), Action: action, Created: now.Truncate(time.Millisecond)}
	if a.Documents, err = c.keepJournal(a, ids); err != nil {
		return none, err
	}
	if action == "delete" {
		_, _, _, err = e.Delete(ctx, collection, ids)
	} else {
		_, _, err = e.Mark(ctx, collection, marks)
	}
	if err != nil {
		return none, err
	}
	return a, nil
}

// keepJournal writes the file of an action, and says how many of the documents are there.
func (c *collection) keepJournal(a robin.DuplicateAction, ids []string) (documents int, err error) {
	dir := filepath.Join(c.dir, duplicatesDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, robin.Errorf(robin.CodeInternal, "keep what can be taken back: %w", err)
	}
	var lines []journaled
	err = c.st.View(func(r *store.Reader) error {
		for _, id := range ids {
			doc, err := r.ByID(id)
			if errors.Is(err, store.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			line := journaled{ID: id}
			if a.Action == "delete" {
				raw := string(doc.Raw)
				line.Raw = &raw
			}
			lines = append(lines, line)
		}
		return nil
	})
	if err != nil {
		return 0, c.storeError(err, "read the duplicates")
	}
	a.Documents = len(lines)
	err = writeWhole(filepath.Join(dir, a.ID+actionSuffix), func(f *os.File) error {
		w := bufio.NewWriter(f)
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(journal{1, a}); err != nil {
			return err
		}
		for _, l := range lines {
			if err := enc.Encode(l); err != nil {
				return err
			}
		}
		return w.Flush()
	})
	if err != nil {
		return 0, robin.Errorf(robin.CodeInternal, "keep what can be taken back: %w", err)
	}
	return a.Documents, nil
}

// DuplicateActions lists what was done with a collection's duplicates, the newest first.
func (e *Engine) DuplicateActions(_ context.Context, collection string) ([]robin.DuplicateAction, error) {
	c, err := e.collection(collection)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(filepath.Join(c.dir, duplicatesDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, robin.Errorf(robin.CodeInternal, "list the actions of collection %q: %w", collection, err)
	}
	var list []robin.DuplicateAction
	for _, entry := range slices.Backward(entries) { // ReadDir sorts, and ids grow with time
		id, ok := strings.CutSuffix(entry.Name(), actionSuffix)
		if !ok || !reportRE.MatchString(id) {
			continue
		}
		a, f, err := c.openJournal(id)
		if err != nil {
			return nil, err
		}
		f.Close()
		list = append(list, a)
	}
	return list, nil
}

// openJournal opens an action's file behind its first line.
func (c *collection) openJournal(id string) (a robin.DuplicateAction, f *journalFile, err error) {
	missing := robin.Errorf(robin.CodeNoTask, "collection %q has no action %q", c.name, short(id))
	if !reportRE.MatchString(id) {
		return a, nil, missing
	}
	path := filepath.Join(c.dir, duplicatesDir, id+actionSuffix)
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return a, nil, missing
	}
	if err != nil {
		return a, nil, robin.Errorf(robin.CodeInternal, "open action %s: %w", id, err)
	}
	f = &journalFile{file, json.NewDecoder(bufio.NewReader(file))}
	var head journal
	if err := f.Decode(&head); err != nil || head.Version != 1 {
		file.Close()
		return a, nil, robin.Errorf(robin.CodeDamaged, "the record of action %s cannot be read (version %d): %w", id, head.Version, err)
	}
	head.Undone = exists(strings.TrimSuffix(path, actionSuffix) + undoneSuffix)
	return head.DuplicateAction, f, nil
}

type journalFile struct {
	*os.File
	*json.Decoder
}

// UndoDuplicates takes an action back: marks go, and deleted documents come back as they were, unless a document of
// that id has been written since. Doing it again changes nothing more.
func (e *Engine) UndoDuplicates(ctx context.Context, collection, id string) (robin.DuplicateAction, error) {
	c, err := e.collection(collection)
	if err != nil {
		return robin.DuplicateAction{}, err
	}
	a, f, err := c.openJournal(id)
	if err != nil {
		return a, err
	}
	defer f.Close()
	for {
		var ids []string
		var docs []json.RawMessage
		for len(ids) < undoBatch {
			var line journaled
			err := f.Decode(&line)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return a, robin.Errorf(robin.CodeDamaged, "the record of action %s cannot be read: %w", id, err)
			}
			ids = append(ids, line.ID)
			if line.Raw != nil {
				docs = append(docs, json.RawMessage(*line.Raw))
			}
		}
		if len(ids) == 0 {
			break
		}
		if a.Action == "delete" {
			// Create leaves alone what has been written since. The collection's policy has said enough about these.
			_, err = c.write(asTheyWere(ctx), robin.Create, docs)
		} else {
			_, _, err = e.Unmark(ctx, collection, ids)
		}
		if err != nil {
			return a, err
		}
	}
	a.Undone = true
	mark := filepath.Join(c.dir, duplicatesDir, id+undoneSuffix)
	if err := writeWhole(mark, func(*os.File) error { return nil }); err != nil {
		return a, robin.Errorf(robin.CodeInternal, "note that action %s was taken back: %w", id, err)
	}
	return a, nil
}

type asTheyWereKey struct{}

// asTheyWere is a context for writes that bring documents back: they are not judged as duplicates again.
func asTheyWere(ctx context.Context) context.Context {
	return context.WithValue(ctx, asTheyWereKey{}, true)
}
