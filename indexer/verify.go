package indexer

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"time"

	"github.com/RoaringBitmap/roaring/v2/roaring64"

	"robin"
	"robin/ann"
	"robin/store"
)

// Verify reads all of a collection and names what is wrong. A collection that could not be opened is not an error: why
// is in the report. Writes wait while the derived indexes are compared with the store.
func (e *Engine) Verify(ctx context.Context, collection string) (robin.VerifyReport, error) {
	c, err := e.collection(collection)
	if err != nil {
		return robin.VerifyReport{}, err
	}
	rep := robin.VerifyReport{Collection: collection, Store: []string{}, Derived: []string{}}
	v, err := c.acquire()
	if err != nil {
		if robin.CodeOf(err) == robin.CodeNotReady {
			return rep, err
		}
		rep.Store = append(rep.Store, err.Error())
		return rep, nil
	}
	defer v.release()
	rep.Store = append(rep.Store, c.st.Verify()...)
	if err := ctx.Err(); err != nil {
		return rep, contextError(err, "verify")
	}
	rep.Derived = append(rep.Derived, c.verifyDerived(ctx)...)
	if err := ctx.Err(); err != nil {
		return rep, contextError(err, "verify")
	}
	rep.Documents = int(c.st.Meta().Documents)
	rep.OK = len(rep.Store)+len(rep.Derived) == 0
	return rep, nil
}

func (c *collection) verifyDerived(ctx context.Context) (problems []string) {
	defer c.freeze()()
	bad := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	v := c.view.Load()
	if v == nil {
		return []string{"the collection was closed"}
	}
	numbers, vectors := roaring64.New(), roaring64.New()
	var ps *passages
	err := c.st.View(func(r *store.Reader) error {
		for doc, err := range r.Docs(0) {
			if err != nil {
				return err
			}
			numbers.Add(doc.Number)
			if doc.Flags&store.HasVector != 0 && c.isModel(v.schema, doc.Model) {
				vectors.Add(doc.Number)
			}
		}
		var err error
		ps, err = passagesOf(r, vectors)
		return err
	})
	if err != nil {
		return append(problems, fmt.Sprintf("not compared with the store, which cannot be read: %v", err))
	}
	last := c.st.Meta().LastSeq
	if !v.textUp() || !v.graphUp() {
		bad("%s", v.why())
	}
	if v.textUp() {
		if applied := v.text.applied.Load(); applied != last {
			bad("text: it has reached operation %d, the store %d", applied, last)
		}
		if err := sameNumbers(v.text, numbers); err != nil {
			bad("text: %v", err)
		}
		if err := v.text.flush(ctx); err != nil {
			bad("text: %v", err)
		}
		problems = append(problems, v.text.verifyFiles()...)
	}
	if v.graphUp() {
		if err := v.graph.Check(); err != nil {
			bad("vectors: %v", err)
		}
		problems = append(problems, c.verifyGraph(v, vectors)...)
		if !v.passages.same(ps) {
			bad("vectors: the passages are not those of the store")
		}
	}
	problems = append(problems, c.checkpoints.verify()...)
	problems = append(problems, c.verifyMarks(v)...)
	if !sameSet(v.attrs.All(), numbers) {
		bad("attributes: they are of %d documents, the store has %d", v.attrs.Len(), numbers.GetCardinality())
	}
	return problems
}

// verifyFiles compares the checksums of the segments that the index holds.
func (t *textIndex) verifyFiles() (problems []string) {
	paths, err := filepath.Glob(filepath.Join(t.dir, "*.zap"))
	if err != nil {
		return []string{err.Error()}
	}
	for _, p := range paths {
		// A merge may still be writing this file, or remove it because it has replaced it.
		err := checkSegment(p)
		for range 5 {
			if err == nil || !exists(p) {
				break
			}
			time.Sleep(200 * time.Millisecond)
			err = checkSegment(p)
		}
		if err != nil && exists(p) {
			problems = append(problems, fmt.Sprintf("text: %v", err))
		}
	}
	return problems
}

const (
	// probes is how many stored vectors verify searches for.
	probes   = 200
	probeK   = 10
	recallOK = 0.9 // over all probes; a graph that lost its links is far below, a good one near 0.99
)

// verifyGraph compares the graph with the stored vectors, and searches for some of them.
func (c *collection) verifyGraph(v *view, want *roaring64.Bitmap) (problems []string) {
	bad := func(format string, args ...any) {
		problems = append(problems, fmt.Sprintf("vectors: "+format, args...))
	}
	have := roaring64.New()
	for id := range v.graph.IDs {
		have.Add(id)
	}
	if !have.Equals(want) {
		bad("the graph lacks %d vectors of the store and has %d others",
			roaring64.AndNot(want, have).GetCardinality(), roaring64.AndNot(have, want).GetCardinality())
		return problems
	}
	flat, err := ann.NewFlat(ann.Options{Dim: v.schema.embedder.Dim(), Metric: ann.Cosine})
	if err != nil {
		bad("%v", err)
		return problems
	}
	err = c.st.View(func(r *store.Reader) error {
		different := 0
		for sv, err := range r.Vectors() {
			if err != nil {
				return err
			}
			if !c.isModel(v.schema, sv.Model) {
				continue
			}
			if !v.graph.Holds(sv.Number, sv.Vec) {
				different++
			}
			if err := flat.Add(sv.Number, sv.Vec); err != nil {
				return err
			}
		}
		if different > 0 {
			bad("%d vectors in the graph are not the stored ones", different)
		}
		return nil
	})
	if err != nil {
		bad("%v", err)
		return problems
	}
	ids := want.ToArray()
	rnd := rand.New(rand.NewPCG(uint64(len(ids)), 1)) // the same vectors each time
	found, expected := 0, 0
	for range min(probes, len(ids)) {
		q, _ := flat.Vector(ids[rnd.IntN(len(ids))])
		exact, err1 := flat.Search(q, probeK, ann.SearchOptions{})
		near, err2 := v.searchGraph(q, probeK, ann.SearchOptions{})
		if err1 != nil || err2 != nil {
			bad("search: %v, %v", err1, err2)
			return problems
		}
		expected += len(exact)
		// Equal distances may come in any order, so a hit is what is as near as the exact list's last.
		for _, n := range near {
			if n.Distance <= exact[len(exact)-1].Distance+1e-5 {
				found++
			}
		}
	}
	if float64(found) < recallOK*float64(expected) {
		bad("searches for stored vectors found %d of %d neighbours", found, expected)
	}
	return problems
}
