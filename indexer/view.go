package indexer

import (
	"sync"
	"sync/atomic"

	"robin/ann"
	"robin/attr"
	"robin/store"
)

// view is what is derived from a collection's store under one version of its settings: the narrow interface between
// the truth and the indexes. Its parts change as operations are applied; which parts they are does not change, except
// that an index may go out. A search takes a view with collection.acquire and keeps it to its end, so a rebuild never
// makes it wait.
type view struct {
	schema *schema
	st     *store.Store
	text   *textIndex
	graph  *ann.Graph
	attrs  *attr.Table

	passages *passages      // of the documents in graph
	recall   *recallMonitor // the collection's

	graphApplied atomic.Uint64 // every operation up to here is in the graph
	attrsApplied atomic.Uint64 // and here in attrs
	// textOut and graphOut say why an index does not answer; empty while it does.
	textOut, graphOut atomic.Pointer[string]
	// incomplete says what the graph lacks although it answers: vectors of the model in use. Only embedding them anew
	// mends that.
	incomplete atomic.Pointer[string]

	mu struct {
		sync.Mutex
		refs    int  // searches that use it, and one for being the collection's view
		retired bool // it is over when refs reaches 0
		over    bool
	}
	closed chan error // receives how the release of the text index went, once it is over
}

// newView makes a view that the caller is to fill, and to give to the collection.
func newView(c *collection, sc *schema) *view {
	return &view{schema: sc, st: c.st, recall: c.recall, passages: newPassages(nil), closed: make(chan error, 1)}
}

// publish makes the view the collection's, with the hold that retire gives up.
func (v *view) publish(c *collection) {
	v.text.hold()
	v.hold()
	c.view.Store(v)
}

// degraded lists the indexes that do not answer, as Result.Degraded names them.
func (v *view) degraded() []string {
	var out []string
	if !v.textUp() {
		out = append(out, "text")
	}
	if !v.graphUp() {
		out = append(out, "vectors")
	}
	return out
}

func (v *view) textUp() bool  { return v.textOut.Load() == nil && v.text.err() == nil }
func (v *view) graphUp() bool { return v.graphOut.Load() == nil }

// why explains degraded.
func (v *view) why() string {
	s := ""
	if p := v.textOut.Load(); p != nil {
		s = "keyword search is out: " + *p
	} else if err := v.text.err(); err != nil {
		s = "keyword search is out: " + err.Error()
	}
	if p := v.graphOut.Load(); p != nil {
		if s != "" {
			s += "; "
		}
		s += "vector search is out: " + *p
	} else if p := v.incomplete.Load(); p != nil {
		if s != "" {
			s += "; "
		}
		s += "vector search does not see all: " + *p
	}
	return s
}

func (v *view) hold() {
	v.mu.Lock()
	v.mu.refs++
	v.mu.Unlock()
}

func (v *view) release() {
	v.mu.Lock()
	v.mu.refs--
	last := v.mu.refs == 0 && v.mu.retired && !v.mu.over
	v.mu.over = v.mu.over || last
	v.mu.Unlock()
	if last {
		v.closed <- v.text.release()
	}
}

// retire gives up the collection's own hold. The view's hold of the text index ends when the last search lets go.
func (v *view) retire() {
	v.mu.Lock()
	v.mu.retired = true
	v.mu.Unlock()
	v.release()
}
