package indexer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"robin"
	"robin/attr"
	"robin/filter"
	"robin/rerank"
	"robin/store"
)

// Search answers a query:
//
//	parse → exact lane → BM25 ∥ embed and nearest vectors, both among the documents that the filter allows → fuse →
//	rerank → sort → join with the store → facets, highlight, explain
//
// The candidates of a query are all keyword matches, the nearest maxNeighbours vectors, and the exact hits. They do not
// depend on limit and offset, so total and facets are the same on every page.
func (e *Engine) Search(ctx context.Context, collection string, q robin.Query) (*robin.Result, error) {
	start := time.Now()
	q = q.Defaulted()
	if err := q.Validate(); err != nil {
		return nil, err
	}
	s, err := e.newSearch(collection)
	if err != nil {
		return nil, err
	}
	defer s.v.release()
	s.q = q
	if err := s.run(ctx); err != nil {
		return nil, contextError(err, "search")
	}
	s.res.TookMS = milliseconds(time.Since(start))
	return s.res, nil
}

// search is one search on its way through the stages. It holds one view from beginning to end.
type search struct {
	e   *Engine
	c   *collection
	v   *view
	q   robin.Query
	res *robin.Result

	applied uint64 // every operation up to here is in the indexes that this search reads
	allowed *attr.Set
	sort    []attr.SortKey

	exact     []uint64
	words     *keywordResult
	near      *vectorResult
	vec       []float32       // of the query; nil where nothing was searched by meaning
	list      []candidate     // the ranked candidates, best first
	others    []uint64        // keyword matches beyond rankedDepth, by number
	all       attr.Set        // list and others
	blend     *rerank.Outcome // nil when nothing was reranked
	collapsed *folding        // nil unless the query asks for it
}

// candidate is a ranked document on its way.
type candidate struct {
	number  uint64
	score   float64 // of the last stage
	scores  robin.Scores
	passage int      // with scores.Vector: its nearest, from 0
	scaled  float64  // with scores.Rerank: the fused score as it was blended
	folded  []uint64 // documents that say the same, by rank
}

func (e *Engine) newSearch(collection string) (*search, error) {
	c, err := e.collection(collection)
	if err != nil {
		return nil, err
	}
	v, err := c.acquire()
	if err != nil {
		return nil, err
	}
	s := &search{e: e, c: c, v: v, res: &robin.Result{Hits: []robin.Hit{}, Degraded: []string{}}}
	s.applied = min(v.text.applied.Load(), v.graphApplied.Load())
	if !v.textUp() {
		s.applied = v.graphApplied.Load()
	} else if !v.graphUp() {
		s.applied = v.text.applied.Load()
	}
	return s, nil
}

func (s *search) run(ctx context.Context) error {
	if err := s.parse(); err != nil {
		return err
	}
	if strings.TrimSpace(s.q.Q) == "" && s.q.Vector == nil {
		s.everything()
	} else {
		if err := s.retrieve(ctx); err != nil {
			return err
		}
		s.timed(&s.res.Timings.Fuse, s.fuse)
		start := time.Now()
		if err := s.rerank(ctx); err != nil {
			return err
		}
		s.res.Timings.Rerank = milliseconds(time.Since(start))
	}
	s.order()
	if err := s.collapse(ctx); err != nil {
		return err
	}
	s.res.Total = s.all.Len()
	start := time.Now()
	facets, err := s.v.attrs.Facets(s.all, s.q.Facets)
	if err != nil {
		return err
	}
	s.res.Facets = facets
	s.res.Timings.Facets = milliseconds(time.Since(start))
	if s.q.Explain {
		s.plan()
	}
	return s.page(ctx)
}

// parse checks all of the request that depends on the collection, before anything costly runs.
func (s *search) parse() error {
	start := time.Now()
	allowed, err := s.v.selectFilter(s.q.Filter)
	if err != nil {
		return err
	}
	s.allowed = allowed
	if s.sort, err = s.v.attrs.SortKeys(s.q.Sort); err != nil {
		return err
	}
	if _, err := s.v.attrs.Facets(attr.Set{}, s.q.Facets); err != nil {
		return err
	}
	if err := s.queryVector(); err != nil {
		return err
	}
	s.res.Timings.Parse = milliseconds(time.Since(start))
	return nil
}

// selectFilter gives the documents that a filter expression allows, or nil when it is empty.
func (v *view) selectFilter(expression string) (*attr.Set, error) {
	n, err := filter.Parse(expression)
	if err != nil || n == nil {
		return nil, err
	}
	set, err := v.attrs.Select(n)
	if err != nil {
		return nil, err
	}
	return &set, nil
}

// everything makes all allowed documents candidates: an empty query asks for no words.
func (s *search) everything() {
	if s.allowed != nil {
		s.all = *s.allowed
	} else {
		s.all = s.v.attrs.All()
	}
	s.res.TotalIs = "exact"
	for number := range s.all.All() {
		if len(s.list) == rankedDepth && len(s.sort) == 0 {
			break // no page reaches further
		}
		s.list = append(s.list, candidate{number: number})
	}
	s.res.Rerank = robin.RerankReport{Status: robin.RerankSkipped, Reason: "there is no query"}
}

// retrieve runs the exact lane and the legs, side by side.
func (s *search) retrieve(ctx context.Context) error {
	useText, useVectors := s.q.Mode != robin.ModeSemantic, s.q.Mode != robin.ModeKeyword
	var wg sync.WaitGroup
	var textErr, vectorErr error
	if strings.TrimSpace(s.q.Q) == "" {
		useText = false // the search brings a vector and no words
	} else if s.v.textUp() {
		wg.Go(func() {
			start := time.Now()
			textErr = guarded("search the text index", func() error { return s.searchText(ctx, useText) })
			s.res.Timings.BM25 = milliseconds(time.Since(start))
		})
	} else if useText {
		textErr = errIndexOut
	}
	if useVectors {
		vectorErr = s.searchVectors(ctx)
	}
	wg.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if textErr != nil {
		s.words = nil
		if textErr != errIndexOut {
			s.c.log.Error("keyword search failed", "err", textErr)
		}
		if s.q.Mode == robin.ModeKeyword {
			return s.legError("keyword", s.v.textUp(), textErr)
		}
		s.degrade("text")
	}
	if vectorErr != nil {
		part := "embedder"
		if errors.Is(vectorErr, errIndexOut) {
			part = "vectors"
		} else {
			s.c.log.Warn("semantic search failed", "err", vectorErr)
		}
		// Without both legs there is nothing to answer from: the error of the one that the mode asked for tells more
		// than an empty result.
		if s.q.Mode == robin.ModeSemantic || textErr != nil {
			return s.legError("semantic", s.v.graphUp(), vectorErr)
		}
		s.degrade(part)
	}
	return nil
}

// errIndexOut stands for an index that view.why explains.
var errIndexOut = errors.New("the index is out")

func (s *search) legError(leg string, up bool, err error) error {
	var re *robin.Error
	if errors.As(err, &re) {
		return err
	}
	if !up {
		return robin.Errorf(robin.CodeNotReady, "collection %q cannot answer a %s search: %s", s.c.name, leg, s.v.why())
	}
	return robin.Errorf(robin.CodeInternal, "%s search in collection %q: %w", leg, s.c.name, err)
}

func (s *search) degrade(part string) {
	for _, p := range s.res.Degraded {
		if p == part {
			return
		}
	}
	s.res.Degraded = append(s.res.Degraded, part)
}

func (s *search) warn(format string, args ...any) {
	s.res.Warnings = append(s.res.Warnings, fmt.Sprintf(format, args...))
}

// searchText runs the exact lane and, if asked, the keyword leg, on one snapshot of the index.
func (s *search) searchText(ctx context.Context, useText bool) error {
	snap, err := s.v.text.snapshot()
	if err != nil {
		return err
	}
	defer snap.close()
	if s.exact, err = snap.exact(s.q.Q, s.allowed); err != nil || !useText {
		return err
	}
	s.words, err = snap.keyword(ctx, s.q.Q, s.allowed)
	return err
}

// order sorts the candidates when the request says by what. Else they are by score already.
func (s *search) order() {
	if len(s.sort) == 0 {
		return
	}
	for _, number := range s.others { // a sort may bring any of them to the front
		s.list = append(s.list, candidate{number: number})
	}
	s.others = nil
	numbers := make([]uint64, len(s.list))
	for i, c := range s.list {
		numbers[i] = c.number
	}
	sorted := make([]candidate, len(s.list))
	for i, from := range s.v.attrs.Order(numbers, s.sort, func(i int) float64 { return s.list[i].score }) {
		sorted[i] = s.list[from]
	}
	s.list = sorted
}

// page joins the asked part of the candidates with the store. A candidate that the store no longer has, or has newer
// than the indexes that found it, is dropped and counted, and the next takes its place.
func (s *search) page(ctx context.Context) error {
	start := time.Now()
	limit := *s.q.Limit
	h := s.highlighter()
	var marking time.Duration
	var stale int
	var shown []candidate
	err := s.c.st.View(func(r *store.Reader) error {
		for _, c := range s.list[min(s.q.Offset, len(s.list)):] {
			if len(s.res.Hits) >= limit {
				return nil
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			doc, err := r.Doc(c.number)
			if errors.Is(err, store.ErrNotFound) || err == nil && doc.Seq > s.applied {
				stale++
				continue
			}
			if err != nil {
				return err
			}
			hit := robin.Hit{ID: doc.ID, Score: c.score, Scores: c.scores}
			fields, perr := parseObject(doc.Raw)
			if perr != nil {
				return fmt.Errorf("document %q: %w: %w", doc.ID, store.ErrDamaged, perr)
			}
			if s.q.Highlight {
				before := time.Now()
				hit.Highlight = h.fields(&parsed{id: doc.ID, raw: doc.Raw, fields: fields})
				marking += time.Since(before)
			}
			hit.Document = project(doc.Raw, fields, s.q.Fields, s.v.schema.settings.VectorField)
			if (s.q.Passage || s.q.Explain) && s.v.schema.settings.Chunking != nil && s.vec != nil {
				if hit.Passage, err = s.passageMatch(r, &doc, &c); err != nil {
					return err
				}
			}
			if err := showFolded(r, c, &hit); err != nil {
				return err
			}
			s.res.Hits = append(s.res.Hits, hit)
			shown = append(shown, c)
		}
		return nil
	})
	if err != nil {
		return s.c.storeError(err, "read the hits")
	}
	if stale > 0 {
		s.c.staleHits.Add(uint64(stale))
		s.e.opt.Metrics.Stale(s.c.name, stale)
	}
	s.res.Timings.Highlight = milliseconds(marking)
	s.res.Timings.Fetch = milliseconds(time.Since(start) - marking)
	if s.q.Explain {
		return s.explain(ctx, shown)
	}
	return nil
}

// project copies a document, or only the named top-level fields of it, in the document's order and bytes. Without names it
// leaves out the vector: nobody reads it, and it is most of the document.
func project(raw []byte, fields []field, names []string, vector string) []byte {
	_, brings := lookup(fields, vector)
	if len(names) == 0 && !brings {
		return append([]byte{}, raw...)
	}
	wanted := make(map[string]bool, len(names))
	for _, n := range names {
		wanted[n] = true
	}
	out := []byte{'{'}
	for _, f := range fields {
		if len(names) > 0 && !wanted[f.key] || len(names) == 0 && f.key == vector {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(appendQuoted(out, f.key), ':')
		out = append(out, f.value...)
	}
	return append(out, '}')
}

func (s *search) timed(ms *float64, f func()) {
	start := time.Now()
	f()
	*ms = milliseconds(time.Since(start))
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
