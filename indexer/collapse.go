package indexer

import (
	"context"
	"errors"
	"maps"
	"math"
	"runtime"
	"slices"
	"sync"
	"time"

	"robin"
	"robin/ann"
	"robin/attr"
	"robin/dedup"
	"robin/store"
)

const (
	// collapseDepth is how far down the list duplicates are folded: what nobody pages to need not be compared.
	collapseDepth = 2000
	// collapseNearest is with how many of the nearest hits above it a candidate's text is compared. More variants of one
	// product than that differ from it all in the same fact.
	collapseNearest = 4
	// collapseFloor is the least cosine at which texts are compared, whatever the rule: it is that of a search for
	// duplicates.
	collapseFloor = 0.8
	// shownDuplicates is how many ids of folded documents a hit lists.
	shownDuplicates = 10
)

// collapse folds candidates under the best one above them that says the same: by a mark, or by the collection's rule for
// duplicates. It runs on the final order and before counting, so that total, facets and pages are those of what is left.
func (s *search) collapse(ctx context.Context) error {
	if !s.q.CollapseDuplicates {
		return nil
	}
	start := time.Now()
	f := &folding{s: s, list: s.list[:min(len(s.list), collapseDepth)], judges: dedup.NewJudge(s.v.schema.rule())}
	f.floor = max(collapseFloor, dedup.PlainThreshold(s.v.schema.rule()))
	if err := f.join(ctx); err != nil {
		return err
	}
	if err := s.c.st.View(f.fold); err != nil {
		return s.c.storeError(err, "fold duplicates")
	}
	var gone []uint64
	left := s.list[:0:0]
	for i, c := range f.list {
		if f.under[i] >= 0 {
			gone = append(gone, c.number)
			continue
		}
		c.folded = f.members[i]
		left = append(left, c)
	}
	s.list = append(left, s.list[len(f.list):]...)
	s.all = s.all.Minus(attr.NewSet(gone...))
	s.collapsed = f
	s.res.Timings.Collapse = milliseconds(time.Since(start))
	return nil
}

// folding is the work of one collapse. Candidates are known by their place in list.
type folding struct {
	s      *search
	list   []candidate
	judges dedup.Judge
	floor  float64

	near     [][]nearPlace // by place: those above it at floor or nearer, the nearest first
	under    []int         // by place: the place it is folded under; -1: none
	members  map[int][]uint64
	texts    map[int]*text // by place, once they are compared; nil for a document that has gone
	compared int           // pairs of texts
}

type nearPlace struct {
	place  int
	cosine float32
}

// join finds the pairs of candidates whose vectors are at floor or nearer.
func (f *folding) join(ctx context.Context) error {
	f.near = make([][]nearPlace, len(f.list))
	if !f.s.v.graphUp() {
		f.s.warn("duplicates were folded by their marks only: %s", f.s.v.why())
		return nil
	}
	m := f.vectors()
	workers := runtime.GOMAXPROCS(0)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			buf := make([]float32, len(m.rows))
			for i := w; i < len(m.rows); i += workers {
				if ctx.Err() != nil {
					return
				}
				f.near[m.rows[i]] = m.above(i, float32(f.floor), buf)
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return f.read()
}

// read prepares the texts that are likely to be compared, on all processors: of each candidate with near ones above it,
// and of the nearest of those.
func (f *folding) read() error {
	wanted := map[int]bool{}
	for i, near := range f.near {
		if len(near) > 0 {
			wanted[i], wanted[near[0].place] = true, true
		}
	}
	places := slices.Collect(maps.Keys(wanted))
	texts := make([]*text, len(places))
	errs := make([]error, runtime.GOMAXPROCS(0))
	var wg sync.WaitGroup
	for w := range errs {
		wg.Go(func() {
			errs[w] = f.s.c.st.View(func(r *store.Reader) (err error) {
				for i := w; i < len(places) && err == nil; i += len(errs) {
					texts[i], err = storedText(r, f.s.v.schema, f.list[places[i]].number)
				}
				return err
			})
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return f.s.c.storeError(err, "fold duplicates")
	}
	f.texts = make(map[int]*text, len(places))
	for i, place := range places {
		f.texts[place] = texts[i]
	}
	return nil
}

// matrix holds the vectors of those candidates that have one, in their order.
type matrix struct {
	head, tail int       // numbers of a vector in heads and in tails
	rows       []int     // place in the list
	heads      []float32 // row by row: the first quarter of each vector, by which most pairs can be told apart
	tails      []float32 // the rest
	lengths    []float32 // of the tails: two of them bound what the tails can add to the heads' dot product
}

func (f *folding) vectors() *matrix {
	dim := f.s.v.graph.Dim()
	m := &matrix{head: min(dim, max(32, dim/4&^31))}
	m.tail = dim - m.head
	m.heads, m.tails = make([]float32, 0, len(f.list)*m.head), make([]float32, 0, len(f.list)*m.tail)
	for place, c := range f.list {
		vec, ok := f.s.v.graph.Vector(c.number)
		if !ok {
			continue
		}
		m.rows = append(m.rows, place)
		m.heads, m.tails = append(m.heads, vec[:m.head]...), append(m.tails, vec[m.head:]...)
		m.lengths = append(m.lengths, float32(math.Sqrt(float64(ann.DotProduct(vec[m.head:], vec[m.head:])))))
	}
	return m
}

// above lists the nearest rows before row i.
func (m *matrix) above(i int, floor float32, buf []float32) (near []nearPlace) {
	head, tail, length := m.heads[i*m.head:(i+1)*m.head], m.tails[i*m.tail:(i+1)*m.tail], m.lengths[i]
	const slack = 1e-5 // of rounding
	ann.DotProducts(buf[:i], head, m.heads)
	for j, cosine := range buf[:i] {
		if cosine+length*m.lengths[j]+slack < floor {
			continue
		}
		if cosine += ann.DotProduct(tail, m.tails[j*m.tail:(j+1)*m.tail]); cosine >= floor {
			near = append(near, nearPlace{m.rows[j], cosine})
		}
	}
	slices.SortStableFunc(near, func(a, b nearPlace) int {
		switch {
		case a.cosine > b.cosine:
			return -1
		case a.cosine < b.cosine:
			return 1
		}
		return 0
	})
	return near
}

// fold goes down the list.
func (f *folding) fold(r *store.Reader) error {
	f.under, f.members = make([]int, len(f.list)), map[int][]uint64{}
	if f.texts == nil {
		f.texts = map[int]*text{}
	}
	m, err := r.Meta()
	if err != nil {
		return err
	}
	kept := map[uint64]int{} // documents that stand for a place: the hit there, and the twin that it is marked with
	for i, c := range f.list {
		var mark store.Mark
		if m.Marks > 0 {
			if mark, err = r.Mark(c.number); err != nil && !isNotFound(err) {
				return err
			}
		}
		at, marked := kept[c.number]
		if mark.Twin != 0 {
			if twin, ok := kept[mark.Twin]; ok && (!marked || twin < at) {
				at, marked = twin, true
			}
		}
		if !marked {
			at = -1
		}
		best, err := f.same(r, i)
		if err != nil {
			return err
		}
		if at < 0 || best >= 0 && best < at {
			at = best
		}
		f.under[i] = at
		if at >= 0 {
			f.members[at] = append(f.members[at], c.number)
			continue
		}
		kept[c.number] = i
		if _, taken := kept[mark.Twin]; mark.Twin != 0 && !taken {
			kept[mark.Twin] = i
		}
	}
	return nil
}

// same finds the best place above i whose text says the same, among the nearest that are not folded themselves.
func (f *folding) same(r *store.Reader, i int) (best int, err error) {
	best = -1
	looked := 0
	for _, n := range f.near[i] {
		if f.under[n.place] >= 0 {
			continue
		}
		if looked++; looked > collapseNearest {
			break
		}
		same, err := f.sameText(r, i, n)
		if err != nil {
			return -1, err
		}
		if same && (best < 0 || n.place < best) {
			best = n.place
		}
	}
	return best, nil
}

func (f *folding) sameText(r *store.Reader, i int, n nearPlace) (bool, error) {
	a, err := f.text(r, i)
	if err != nil {
		return false, err
	}
	b, err := f.text(r, n.place)
	if err != nil {
		return false, err
	}
	if a == nil || b == nil {
		return false, nil
	}
	f.compared++
	_, same, _ := compareTexts(f.judges, a, b, float64(n.cosine))
	return same, nil
}

func (f *folding) text(r *store.Reader, place int) (*text, error) {
	if t, read := f.texts[place]; read {
		return t, nil
	}
	t, err := storedText(r, f.s.v.schema, f.list[place].number)
	if err == nil {
		f.texts[place] = t
	}
	return t, err
}

// showFolded counts the documents that are folded under a hit, and lists the first few of them by id.
func showFolded(r *store.Reader, c candidate, hit *robin.Hit) error {
	hit.Duplicates = len(c.folded)
	for _, number := range c.folded[:min(len(c.folded), shownDuplicates)] {
		doc, err := r.Doc(number)
		if isNotFound(err) {
			continue
		}
		if err != nil {
			return err
		}
		hit.DuplicateIDs = append(hit.DuplicateIDs, doc.ID)
	}
	return nil
}

// plan tells what was folded.
func (f *folding) plan() map[string]any {
	folded := 0
	for _, at := range f.under {
		if at >= 0 {
			folded++
		}
	}
	return map[string]any{"first": collapseDepth, "looked_at": len(f.list), "folded": folded, "floor": f.floor, "texts_compared": f.compared}
}
