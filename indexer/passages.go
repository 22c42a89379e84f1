package indexer

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sort"
	"sync"

	"github.com/RoaringBitmap/roaring/v2/roaring64"

	"robin"
	"robin/ann"
	"robin/attr"
	"robin/store"
)

// Span is a part of a text, in bytes.
type Span = store.Span

// Cutter is an Embedder that can cut texts into passages.
type Cutter interface {
	Embedder
	// Cut divides a text that has more tokens than one passage may have. head is how many bytes of its front belong to
	// the title; kept, which is that or 0, how many are to be read ahead of each passage but the first. left says that
	// the end of the text is in no passage. A text that fits is one passage.
	Cut(text string, head int, c robin.Chunking) (spans []Span, kept int, left bool)
	// MaxTokens is how many tokens the model reads, special tokens and its prefix included.
	MaxTokens() int
	// Room is how many tokens of the text itself are in a passage of so many.
	Room(tokens int) int
}

// leastRoom is how many tokens of a text a passage must have room for.
const leastRoom = 8

// checkChunking says whether an embedder can cut as settings want it.
func checkChunking(s robin.Settings, m Embedder) error {
	if s.Chunking == nil {
		return nil
	}
	c, ok := m.(Cutter)
	if !ok {
		return robin.Invalid("/chunking", "the embedder %q cannot cut texts; leave it out", s.Embedder)
	}
	switch tokens := s.Chunking.Tokens; {
	case tokens > c.MaxTokens():
		return robin.Invalid("/chunking/tokens", "is %d, and the embedder %q reads %d tokens at most", tokens, s.Embedder, c.MaxTokens())
	case c.Room(tokens) < leastRoom:
		return robin.Invalid("/chunking/tokens", "is %d, of which the special tokens and the prefix of the embedder %q leave %d for the text; it needs %d",
			tokens, s.Embedder, max(0, c.Room(tokens)), leastRoom)
	}
	return nil
}

// chunkingText writes the setting for people.
func chunkingText(c *robin.Chunking) string {
	if c == nil {
		return "none"
	}
	return fmt.Sprintf("tokens %d, overlap %d, max_chunks %d", c.Tokens, *c.Overlap, c.MaxChunks)
}

// reading is what the model reads of a document: its text, or the passages that it is cut into.
type reading struct {
	texts    []string
	passages *store.Passages // nil for one text
	left     bool            // the end of the text is in no passage
	at       int             // place of the first of texts among those that are embedded together
}

// read works out what the model is to read of a text.
func (s *schema) read(text string, head int) reading {
	c, ok := s.embedder.(Cutter)
	if s.settings.Chunking == nil || !ok {
		return reading{texts: []string{text}}
	}
	spans, kept, left := c.Cut(text, head, *s.settings.Chunking)
	if len(spans) < 2 {
		r := reading{texts: []string{text}, left: left}
		if len(spans) == 1 {
			r.texts[0] = text[spans[0].Start:spans[0].End]
		}
		return r
	}
	r := reading{passages: &store.Passages{Head: kept, Spans: spans}, left: left}
	for i := range spans {
		r.texts = append(r.texts, passageText(text, r.passages, i))
	}
	return r
}

// passageText is what the model reads of a passage.
func passageText(text string, p *store.Passages, i int) string {
	if i >= len(p.Spans) || p.Spans[i].End > len(text) { // the caller has a text of another state of the document
		return text
	}
	said := text[p.Spans[i].Start:p.Spans[i].End]
	if i == 0 || p.Head == 0 {
		return said
	}
	return text[:p.Head] + said
}

// take takes the reading's vectors from e. why says what is wrong with one of them, or nothing.
func (r *reading) take(e *Embeddings, dim int) (vec []float32, cut bool, why string) {
	end := r.at + len(r.texts)
	cut = r.left || slices.Contains(e.Truncated[r.at:end], true)
	for i := r.at; i < end; i++ {
		if why = e.bad(i, dim); why != "" {
			return nil, cut, why
		}
	}
	if r.passages != nil {
		r.passages.Vectors = e.Vectors[r.at+1 : end]
	}
	return e.Vectors[r.at], cut, ""
}

// nearestPassage is the place of a candidate's passage that is nearest to the query, from 0. ok is false where the document
// is not cut, or nothing was searched by meaning.
func (s *search) nearestPassage(r *store.Reader, doc *store.Doc, c *candidate) (p store.Passages, i int, ok bool, err error) {
	if doc.Flags&store.Chunked == 0 || s.vec == nil {
		return p, 0, false, nil
	}
	if p, err = r.Passages(doc.Number); err != nil {
		return p, 0, false, fmt.Errorf("%w: %w", store.ErrDamaged, err)
	}
	if c.scores.Vector != nil {
		return p, c.passage, c.passage < len(p.Spans), nil
	}
	best := float32(-2)
	for j := range p.Spans { // it was found by its words
		vec, there := s.v.graph.Vector(p.Number(j))
		if there && s.v.graph.Options().Precision != ann.Float32 {
			if vec, err = r.AppendVector(nil, p.Number(j)); err != nil {
				return p, 0, false, err
			}
		}
		if !there {
			continue
		}
		if cosine := ann.DotProduct(s.vec, vec); cosine > best {
			best, i, ok = cosine, j, true
		}
	}
	return p, i, ok, nil
}

// nearestText is what the model read of a candidate, of the nearest passage where there are several.
func (s *search) nearestText(r *store.Reader, doc *store.Doc, c *candidate) (string, error) {
	text, err := s.v.schema.template.of(doc.Raw)
	if err != nil {
		return "", fmt.Errorf("document %q: %w: %w", doc.ID, store.ErrDamaged, err)
	}
	p, i, ok, err := s.nearestPassage(r, doc, c)
	if err != nil || !ok {
		return text, err
	}
	return passageText(text, &p, i), nil
}

// passageMatch shows a hit's passage that is nearest to the query; of a document that is not cut, all of its text. A
// document without a text has none.
func (s *search) passageMatch(r *store.Reader, doc *store.Doc, c *candidate) (*robin.PassageMatch, error) {
	text, err := s.v.schema.template.of(doc.Raw)
	if err != nil {
		return nil, fmt.Errorf("document %q: %w: %w", doc.ID, store.ErrDamaged, err)
	}
	p, i, ok, err := s.nearestPassage(r, doc, c)
	switch {
	case err != nil || text == "" || doc.Flags&store.HasVector == 0:
		return nil, err
	case doc.Flags&store.Chunked == 0:
		return &robin.PassageMatch{Number: 1, Of: 1, End: len(text), Text: text}, nil
	case !ok || p.Spans[i].End > len(text):
		return nil, nil
	}
	span := p.Spans[i]
	return &robin.PassageMatch{Number: i + 1, Of: len(p.Spans), Start: span.Start, End: span.End, Text: text[span.Start:span.End]}, nil
}

// passages knows which vectors in the graph are further passages of which documents. A collection without any pays
// nothing for it. It is safe for concurrent use.
//
// A vector is known here before it is in the graph, and until it is out of it.
type passages struct {
	mu    sync.RWMutex
	runs  []passageRun          // by first; only appended to, or replaced as a whole
	byDoc map[uint64]passageRun // of the documents that have some
	extra int                   // numbers in byDoc
}

// passageRun is the passages of one document after its first.
type passageRun struct {
	first    uint64
	count    uint32
	document uint64
}

// loadPassages reads the passages of the documents that are in vectors, and adds the numbers of the further ones to it.
func (c *collection) loadPassages(vectors *roaring64.Bitmap) (p *passages, err error) {
	err = c.st.View(func(r *store.Reader) error {
		p, err = passagesOf(r, vectors)
		return err
	})
	return p, err
}

// passagesOf is loadPassages of one state of the store.
func passagesOf(r *store.Reader, vectors *roaring64.Bitmap) (*passages, error) {
	var runs []passageRun
	for p, err := range r.AllPassages() {
		if err != nil {
			return nil, err
		}
		if vectors.Contains(p.Document) {
			vectors.AddRange(p.First, p.First+uint64(p.Extra()))
			runs = append(runs, passageRun{p.First, uint32(p.Extra()), p.Document})
		}
	}
	return newPassages(runs), nil
}

// add takes in a document's further passages, in place of those that it had.
func (p *passages) add(document, first uint64, count int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	run := passageRun{first, uint32(count), document}
	if p.byDoc == nil {
		p.byDoc = map[uint64]passageRun{}
	}
	p.extra += count - int(p.byDoc[document].count)
	p.byDoc[document] = run
	p.runs = append(p.runs, run) // numbers grow
}

// newPassages takes in the runs of different documents in any order.
func newPassages(runs []passageRun) *passages {
	p := &passages{runs: runs, byDoc: make(map[uint64]passageRun, len(runs))}
	slices.SortFunc(runs, func(a, b passageRun) int { return cmp.Compare(a.first, b.first) })
	for _, r := range runs {
		p.byDoc[r.document] = r
		p.extra += int(r.count)
	}
	return p
}

// remove forgets passages that are out of the graph. Numbers never come again, so what is left of them in runs is harmless;
// when most of it is, it is cleared away.
func (p *passages) remove(document uint64, gone store.Numbers) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if run, ok := p.byDoc[document]; ok && run.first == gone.First {
		delete(p.byDoc, document)
		p.extra -= int(run.count)
	}
	if len(p.runs) > 64 && len(p.runs) > 2*len(p.byDoc) {
		kept := make([]passageRun, 0, len(p.byDoc))
		for _, r := range p.runs {
			if p.byDoc[r.document] == r {
				kept = append(kept, r)
			}
		}
		p.runs = kept
	}
}

// same says whether two know the same.
func (p *passages) same(q *passages) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for document, run := range p.byDoc {
		if d, i, ok := passageRuns(p.runs).document(run.first); !ok || d != document || i != 1 {
			return false
		}
	}
	return p.extra == q.extra && maps.Equal(p.byDoc, q.byDoc)
}

// now is what is known at the moment.
func (p *passages) now() passageRuns {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.runs
}

// count is how many passages there are beside the documents' first.
func (p *passages) count() int {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.extra
}

// run is the further passages of a document.
func (p *passages) run(document uint64) (passageRun, bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	r, ok := p.byDoc[document]
	return r, ok
}

// passageRuns are sorted by first.
type passageRuns []passageRun

// document gives the document of a further passage, and which one it is, from 1.
func (rs passageRuns) document(number uint64) (document uint64, i int, ok bool) {
	at := sort.Search(len(rs), func(i int) bool { return rs[i].first > number }) - 1
	if at < 0 || number-rs[at].first >= uint64(rs[at].count) {
		return 0, 0, false
	}
	return rs[at].document, int(number-rs[at].first) + 1, true
}

// allowedPassages are the numbers of allowed documents and of their further passages: an ann.Set.
type allowedPassages struct {
	documents attr.Set
	p         *passages
	runs      passageRuns
	size      int
}

// allow makes the set of what may be found when only some documents may. docs is how many there are.
func (p *passages) allow(documents attr.Set, docs int) *allowedPassages {
	n := documents.Len()
	// The graph chooses its way by the size, and both ways find the same: an estimate will do.
	return &allowedPassages{documents, p, p.now(), n + n*p.count()/max(1, docs)}
}

// Contains implements ann.Set.
func (a *allowedPassages) Contains(number uint64) bool {
	if document, _, ok := a.runs.document(number); ok {
		return a.documents.Contains(document)
	}
	return a.documents.Contains(number)
}

// Len implements ann.Set.
func (a *allowedPassages) Len() int { return a.size }

// All implements ann.Set.
func (a *allowedPassages) All() iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		for number := range a.documents.All() {
			if !yield(number) {
				return
			}
			run, _ := a.p.run(number)
			for i := range run.count {
				if !yield(run.first + uint64(i)) {
					return
				}
			}
		}
	}
}
