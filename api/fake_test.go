package api

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"robin"
	"robin/importer"
)

// fakeEngine keeps documents in memory, for tests of the HTTP side alone: limits, errors, overload. Tests of what a
// client gets use the real engine.
type fakeEngine struct {
	mu       sync.Mutex
	cols     map[string]*fakeCollection
	notReady string
	onSearch func(ctx context.Context, q robin.Query) (*robin.Result, error)
	onWrite  func() error
	written  int
	forget   bool // counts documents and keeps none
}

type fakeCollection struct {
	info robin.CollectionInfo
	docs map[string]robin.Document
}

func newFake() *fakeEngine { return &fakeEngine{cols: map[string]*fakeCollection{}} }

func (f *fakeEngine) Ready() (bool, string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.notReady == "", f.notReady
}

func (f *fakeEngine) get(name string) (*fakeCollection, error) {
	if c := f.cols[name]; c != nil {
		return c, nil
	}
	return nil, robin.Errorf(robin.CodeNoCollection, "there is no collection %q", name)
}

func (f *fakeEngine) Collections(context.Context) (out []robin.CollectionInfo, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.cols {
		out = append(out, c.info)
	}
	return out, nil
}

func (f *fakeEngine) Collection(_ context.Context, name string) (robin.CollectionInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c, err := f.get(name)
	if err != nil {
		return robin.CollectionInfo{}, err
	}
	c.info.Documents = len(c.docs)
	return c.info, nil
}

func (f *fakeEngine) PutCollection(_ context.Context, name string, s robin.Settings) (robin.CollectionInfo, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.cols[name]
	created := c == nil
	if created {
		c = &fakeCollection{docs: map[string]robin.Document{}}
		c.info = robin.CollectionInfo{Name: name, Status: robin.Ready, Created: time.Now(), Applied: map[string]uint64{}}
		f.cols[name] = c
	}
	c.info.Settings = s
	return c.info, created, nil
}

func (f *fakeEngine) DropCollection(_ context.Context, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, err := f.get(name)
	delete(f.cols, name)
	return err
}

func (f *fakeEngine) Write(ctx context.Context, name string, action robin.Action, docs []json.RawMessage) (res robin.WriteResult, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.onWrite != nil {
		if err := f.onWrite(); err != nil {
			return res, err
		}
	}
	c, err := f.get(name)
	if err != nil {
		return res, err
	}
	for i, raw := range docs {
		id, ok := importer.ID(raw, c.info.Settings.IDField)
		if !ok {
			res.Errors = append(res.Errors, robin.RowError{Line: i + 1, Code: robin.CodeInvalid, Detail: "no id"})
			continue
		}
		f.written++
		res.Indexed++
		c.info.Seq++
		res.Seq = c.info.Seq
		if !f.forget {
			c.docs[id] = robin.Document{ID: id, Raw: bytes.Clone(raw)}
		}
	}
	return res, ctx.Err()
}

func (f *fakeEngine) Document(_ context.Context, name, id string) (robin.Document, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c, err := f.get(name)
	if err != nil {
		return robin.Document{}, err
	}
	d, ok := c.docs[id]
	if !ok {
		return d, robin.Errorf(robin.CodeNoDocument, "there is no document %q", id)
	}
	return d, nil
}

func (f *fakeEngine) Delete(_ context.Context, name string, ids []string) (deleted int, missing []string, seq uint64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c, err := f.get(name)
	if err != nil {
		return 0, nil, 0, err
	}
	for _, id := range ids {
		if _, ok := c.docs[id]; ok {
			deleted++
			delete(c.docs, id)
		} else {
			missing = append(missing, id)
		}
	}
	return deleted, missing, c.info.Seq, nil
}

func (f *fakeEngine) DeleteByFilter(context.Context, string, string) (int, uint64, error) {
	return 0, 0, nil
}

func (f *fakeEngine) Quarantine(_ context.Context, name string) ([]robin.Quarantined, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, err := f.get(name)
	return []robin.Quarantined{}, err
}

func (f *fakeEngine) Export(_ context.Context, name string, yield func(robin.Document) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	c, err := f.get(name)
	if err != nil {
		return err
	}
	var docs []robin.Document
	for _, d := range c.docs {
		docs = append(docs, d)
	}
	slices.SortFunc(docs, func(a, b robin.Document) int { return strings.Compare(a.ID, b.ID) })
	for _, d := range docs {
		if err := yield(d); err != nil {
			return err
		}
	}
	return nil
}

func (f *fakeEngine) Search(ctx context.Context, name string, q robin.Query) (*robin.Result, error) {
	f.mu.Lock()
	_, err := f.get(name)
	f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if f.onSearch != nil {
		return f.onSearch(ctx, q)
	}
	return found(), nil
}

func (f *fakeEngine) Similar(ctx context.Context, name string, q robin.SimilarQuery) (*robin.Result, error) {
	return f.Search(ctx, name, robin.Query{Q: q.Text})
}

// found is an empty answer.
func found() *robin.Result {
	return &robin.Result{TotalIs: "exact", Rerank: robin.RerankReport{Status: robin.RerankSkipped}}
}
