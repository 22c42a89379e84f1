package indexer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"strings"
	"sync"
	"time"
	"unicode"

	"robin"
	"robin/ann"
	"robin/attr"
	"robin/rerank"
	"robin/store"
)

const (
	// maxNeighbours is how many nearest vectors are candidates. What is further down than that is found by nobody, and
	// would only blur totals and facets.
	maxNeighbours = 1000
	// nearEnough is the share of the best neighbour's cosine that a neighbour must have to be a candidate. The best is
	// that of all documents, whatever the filter: who is near does not depend on who is asked for.
	nearEnough = 0.5
)

// vectorResult is the vector leg of a search.
type vectorResult struct {
	ranked   []rerank.Scored // nearest first, with their cosines
	stats    ann.SearchStats
	searched ann.SearchOptions
	floor    float64        // cosine below which neighbours were left out
	best     map[uint64]int // which passage of a document is nearest, from 0, where it is not the first
}

// searchVectors embeds the query and finds its neighbours.
func (s *search) searchVectors(ctx context.Context) error {
	if !s.v.graphUp() {
		return errIndexOut
	}
	start := time.Now()
	vec, cut, err := s.q.Vector, false, error(nil)
	if vec == nil {
		vec, cut, err = s.embed(ctx, s.q.Q, true)
	}
	s.res.Timings.Embed = milliseconds(time.Since(start))
	if err != nil {
		return err
	}
	if cut {
		s.warn("the query is longer than the model reads; its end was left out of the search by meaning")
	}
	return s.findNear(vec, nil)
}

// findNear finds the neighbours of a vector. self, if not nil, is the document that vec came from.
func (s *search) findNear(vec []float32, self *uint64) (err error) {
	if lacks := s.v.incomplete.Load(); lacks != nil {
		s.warn("the search by meaning does not see all documents: %s", *lacks)
	}
	s.vec = vec
	start := time.Now()
	s.near, err = s.v.neighbours(vec, maxNeighbours, s.allowed, self)
	s.res.Timings.Vector = milliseconds(time.Since(start))
	if err == nil {
		s.c.sampleRecall(s.v, vec, s.near.searched)
	}
	return err
}

// embed turns a text into a vector. query says whether it is a question or a passage.
func (s *search) embed(ctx context.Context, text string, query bool) (vec []float32, cut bool, err error) {
	model := s.v.schema.embedder
	if model == nil {
		return nil, false, robin.Errorf(robin.CodeModelFailed, "the embedder of collection %q is not loaded", s.c.name)
	}
	out, err := model.Embed(ctx, []string{text}, query)
	if err == nil && len(out.Vectors) != 1 {
		err = fmt.Errorf("it gave %d vectors for one text", len(out.Vectors))
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil, false, ctx.Err()
		}
		if code := robin.CodeOf(err); code != robin.CodeInternal {
			return nil, false, err
		}
		return nil, false, robin.Errorf(robin.CodeModelFailed, "embed the query: %w", err)
	}
	if why := badVector(out.Vectors[0], model.Dim()); why != "" {
		return nil, false, robin.Errorf(robin.CodeNotFinite, "the model's vector for the query %s", why)
	}
	version := model.Version()
	s.res.Models.Embedder = &version
	return out.Vectors[0], len(out.Truncated) == 1 && out.Truncated[0], nil
}

// neighbours finds the n nearest vectors among the allowed documents; nil allows all. self, if not nil, is the document
// that vec came from, which is no neighbour of its own.
func (v *view) neighbours(vec []float32, n int, allowed *attr.Set, self *uint64) (*vectorResult, error) {
	r := &vectorResult{}
	opt := ann.SearchOptions{Stats: &r.stats}
	if allowed != nil {
		opt.Allow = v.allow(*allowed)
	}
	opt.Ef = v.recall.tuner.Ef(v.band(opt.Allow))
	r.searched = opt
	found, err := v.nearest(vec, n, self, opt)
	if err != nil || len(found) == 0 {
		return r, err
	}
	best := found[0].distance
	if allowed != nil {
		all, err := v.nearest(vec, 1, self, ann.SearchOptions{})
		if err != nil {
			return nil, err
		}
		for _, f := range all {
			best = min(best, f.distance)
		}
	}
	r.floor = nearEnough * cosine(best) // when even the best points away, it is above all and nothing is near
	for _, f := range found {
		if cosine(f.distance) < r.floor {
			break
		}
		r.ranked = append(r.ranked, rerank.Scored{Number: f.document, Score: cosine(f.distance), Coverage: 1})
		if f.passage > 0 {
			if r.best == nil {
				r.best = map[uint64]int{}
			}
			r.best[f.document] = f.passage
		}
	}
	return r, nil
}

func cosine(d ann.Distance) float64 { return 1 - float64(d) }

// fuse makes one ranked list of what the lanes found.
func (s *search) fuse() {
	s.res.TotalIs = "candidates"
	if s.q.Mode == robin.ModeKeyword {
		s.res.TotalIs = "exact"
	}
	var words, near []rerank.Scored
	if s.words != nil {
		words = s.words.ranked
		s.all = s.words.matches
		s.warnWords()
	}
	if s.near != nil {
		near = s.near.ranked
	}
	var fused []rerank.Scored
	switch {
	case s.q.Mode != robin.ModeHybrid:
		fused = append(append(fused, words...), near...) // one of them is empty
	case s.q.Fusion.Method == robin.Relative:
		fused = rerank.Relative(*s.q.Fusion.Alpha, words, near)
	default:
		fused = rerank.RRF(*s.q.Fusion.K, words, near)
	}
	s.rank(fused, words, near)
}

// rank makes the list of candidates from the fused list, with the exact hits at its front.
func (s *search) rank(fused, words, near []rerank.Scored) {
	s.list = make([]candidate, 0, len(fused)+len(s.exact))
	at := make(map[uint64]int, len(fused)+len(s.exact))
	top := 0.0
	if len(fused) > 0 {
		top = fused[0].Score
	}
	for i, number := range s.exact {
		at[number] = len(s.list)
		// Above all others, and among themselves by place.
		s.list = append(s.list, candidate{number: number, score: max(1, top) + float64(len(s.exact)-i), scores: robin.Scores{Exact: true}})
	}
	for i, f := range fused {
		n, ok := at[f.Number]
		if !ok {
			n = len(s.list)
			at[f.Number] = n
			s.list = append(s.list, candidate{number: f.Number, score: f.Score})
		}
		if s.q.Mode == robin.ModeHybrid {
			s.list[n].scores.Fused = &fused[i].Score
			s.list[n].scores.Ranks.Fused = ptrTo(i + 1)
		}
	}
	for i := range words {
		c := &s.list[at[words[i].Number]]
		c.scores.BM25, c.scores.Ranks.BM25 = &words[i].Score, ptrTo(i+1)
		c.scores.Coverage = &words[i].Coverage
	}
	for i := range near {
		c := &s.list[at[near[i].Number]]
		c.scores.Vector, c.scores.Ranks.Vector = &near[i].Score, ptrTo(i+1)
		c.passage = s.near.best[near[i].Number]
	}
	listed := make([]uint64, 0, len(s.list))
	for _, c := range s.list {
		listed = append(listed, c.number)
	}
	s.all = s.all.Union(attr.NewSet(listed...))
	if s.all.Len() > len(listed) {
		for number := range s.all.All() {
			if _, ok := at[number]; !ok {
				s.others = append(s.others, number)
			}
		}
	}
}

func ptrTo[T any](v T) *T { return &v }

// warnWords says what became of words that were not searched as they were typed.
func (s *search) warnWords() {
	if s.words.dropped > 0 {
		s.warn("the query is long: its first %d different words were searched, %d more were left out of the keyword search", maxQueryTerms, s.words.dropped)
	}
	for _, w := range s.words.words {
		if len(w.like) > 0 {
			s.warn("no document has %q; searched for %s", short(w.text), strings.Join(w.like, ", "))
		}
	}
}

// rerank lets the cross-encoder see the top of the list, within the budget. Exact hits stay in front.
func (s *search) rerank(ctx context.Context) error {
	if s.q.Rerank.Mode == robin.RerankOff {
		s.res.Rerank = robin.RerankReport{Status: robin.RerankSkipped, Reason: "reranking is off"}
		return nil
	}
	name := s.v.schema.settings.Reranker
	model := s.e.models().Rerankers[name]
	rest := s.list[len(s.exact):]
	skip := ""
	switch {
	case name == "none":
		skip = "the collection has no reranker"
	case strings.TrimSpace(s.q.Q) == "":
		skip = "the search brings a vector and no words to rerank by"
	case model == nil:
		skip = fmt.Sprintf("the reranker %q is not loaded", name)
		s.degrade("reranker")
	case len(s.sort) > 0 && !sortsByScore(s.sort):
		skip = "the order does not depend on scores"
	case s.q.Rerank.Mode == robin.RerankAuto && len(s.exact) > 0:
		skip = "the query is the id, an identifier or the title of a hit"
	case s.q.Rerank.Mode == robin.RerankAuto && looksLikeIdentifier(s.q.Q):
		skip = "the query looks like an identifier"
	}
	if skip != "" {
		s.res.Rerank = robin.RerankReport{Status: robin.RerankSkipped, Reason: skip}
		return nil
	}
	version := model.Version()
	s.res.Models.Reranker = &version
	fused := make([]float64, len(rest))
	for i, c := range rest {
		fused[i] = c.score
	}
	out, err := s.e.cascades.of(name, model).Run(ctx, rerank.Request{
		Query:    s.q.Q,
		Fused:    fused,
		Mode:     s.q.Rerank.Mode,
		TopN:     *s.q.Rerank.TopN,
		Budget:   time.Duration(*s.q.Rerank.BudgetMS) * time.Millisecond,
		Passages: s.rerankTexts(rest),
		Key:      s.rerankKey(rest),
	})
	if err != nil {
		return err
	}
	if out.Failed != nil {
		s.c.log.Error("reranking failed", "reranker", name, "err", out.Failed)
		s.degrade("reranker")
	}
	s.res.Rerank = out.Report
	if out.Report.Scored == 0 {
		return nil
	}
	s.blend = &out
	reranked := make([]candidate, len(rest))
	for i, from := range out.Order {
		c := rest[from]
		c.score = out.Scores[i]
		if i < out.Report.Scored {
			c.scores.Rerank, c.scaled = &out.Cross[i], out.Scaled[i]
		}
		reranked[i] = c
	}
	copy(rest, reranked)
	return nil
}

func sortsByScore(keys []attr.SortKey) bool {
	for _, k := range keys {
		if k.Field == attr.ScoreKey {
			return true
		}
	}
	return false
}

// looksLikeIdentifier says that q is one word with letters and digits, or digits alone: a model number, a barcode. A
// cross-encoder knows nothing of those that the characters do not say.
func looksLikeIdentifier(q string) bool {
	q = strings.TrimSpace(q)
	digits := 0
	for _, r := range q {
		switch {
		case unicode.IsSpace(r):
			return false
		case unicode.IsDigit(r):
			digits++
		}
	}
	return digits >= 3
}

// rerankTexts renders the texts of candidates as they were embedded, and of those that are cut into passages the nearest.
// One that the store has no more is empty: the page will drop it.
func (s *search) rerankTexts(list []candidate) func(ctx context.Context, from, to int) ([]string, error) {
	return func(_ context.Context, from, to int) ([]string, error) {
		out := make([]string, to-from)
		err := s.c.st.View(func(r *store.Reader) error {
			for i, c := range list[from:to] {
				doc, err := r.Doc(c.number)
				if err != nil {
					if errors.Is(err, store.ErrNotFound) {
						continue
					}
					return err
				}
				if out[i], err = s.nearestText(r, &doc, &c); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return nil, s.c.storeError(err, "read the passages")
		}
		return out, nil
	}
}

// rerankKey names what the cascade's outcome depends on beside the clock: the pages of one query share it.
func (s *search) rerankKey(list []candidate) string {
	var h maphash.Hash
	h.SetSeed(rerankSeed)
	var b [8]byte
	u64 := func(v uint64) {
		binary.LittleEndian.PutUint64(b[:], v)
		h.Write(b[:])
	}
	for _, c := range list[:min(len(list), *s.q.Rerank.TopN)] {
		u64(c.number)
		u64(math.Float64bits(c.score))
	}
	return fmt.Sprintf("%s %d %d %s %d %d %x %s", s.c.name, s.c.st.Meta().LastSeq, s.v.schema.version, s.q.Rerank.Mode, *s.q.Rerank.TopN, *s.q.Rerank.BudgetMS, h.Sum64(), s.q.Q)
}

var rerankSeed = maphash.MakeSeed()

// cascades holds one cascade per reranker: it learns the model's speed.
type cascades struct {
	mu     sync.Mutex
	byName map[string]*rerank.Cascade
}

func (c *cascades) of(name string, model Reranker) *rerank.Cascade {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byName == nil {
		c.byName = map[string]*rerank.Cascade{}
	}
	if c.byName[name] == nil {
		c.byName[name] = rerank.NewCascade(model)
	}
	return c.byName[name]
}
