package dedup

import (
	"bytes"
	"cmp"
	"encoding/json"
	"math"
	"slices"

	"robin"
)

// sources numbers the values that a field has: where each document is from, when two catalogues without duplicates of their own
// are joined. No value is a value too.
type sources struct {
	field  string
	number map[string]uint32
	of     []uint32 // by item
}

func (s *sources) add(raw json.RawMessage) {
	if s.field == "" {
		return
	}
	var doc map[string]json.RawMessage
	value := ""
	if json.Unmarshal(raw, &doc) == nil {
		value = string(bytes.TrimSpace(doc[s.field]))
	}
	if value == "null" {
		value = ""
	}
	if s.number == nil {
		s.number = map[string]uint32{}
	}
	n, ok := s.number[value]
	if !ok {
		n = uint32(len(s.number))
		s.number[value] = n
	}
	s.of = append(s.of, n)
}

// at is the source of an item.
func (s *sources) at(i int) uint32 {
	if s.field == "" {
		return 0
	}
	return s.of[i]
}

func (s *sources) check() error {
	if s.field == "" || len(s.number) > 1 {
		return nil
	}
	if _, missing := s.number[""]; missing || len(s.number) == 0 {
		return robin.Invalid("/one_to_one", "names %q, but no document has that field; name the one that tells the catalogues apart", s.field)
	}
	return robin.Invalid("/one_to_one", "names %q, but all documents have the same value there; name the field that tells the catalogues apart", s.field)
}

// partners are documents joined one to one: each with at most one of another source.
type partners struct {
	*Found
	of    []uint32 // by document; none when it has no partner
	joins []edge   // by document: the pair of texts that joined it; a is none for copies
	taken []bool   // by edge: it joined two documents
}

// match joins copies first and then goes through the pairs of texts from the best score down; those whose score is NaN are left
// out. The outcome depends on nothing but scores and the order of the source.
func (f *Found) match(scores []float64) *partners {
	p := &partners{Found: f, of: make([]uint32, len(f.docs)), joins: make([]edge, len(f.docs)), taken: make([]bool, len(f.edges))}
	for d := range p.of {
		p.of[d] = none
	}
	for _, docs := range f.members {
		p.copies(docs)
	}
	var order []int
	for i, s := range scores {
		if !math.IsNaN(s) {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(i, j int) int {
		return cmp.Or(cmp.Compare(scores[j], scores[i]), cmp.Compare(f.edges[j].cosine, f.edges[i].cosine), cmp.Compare(i, j))
	})
	for _, i := range order {
		p.across(i)
	}
	return p
}

func (p *partners) join(a, b uint32, e edge) {
	p.of[a], p.of[b] = b, a
	p.joins[a], p.joins[b] = e, e
}

// copies joins documents of one text. Those that wait for a partner are all of one source.
func (p *partners) copies(docs []uint32) {
	var waiting []uint32
	for _, d := range docs {
		if len(waiting) == 0 || p.docs[waiting[0]].source == p.docs[d].source {
			waiting = append(waiting, d)
			continue
		}
		p.join(waiting[0], d, edge{a: none})
		waiting = waiting[1:]
	}
}

// across joins the free documents of a pair of texts.
func (p *partners) across(i int) {
	e := p.edges[i]
	a, b := p.free(e.a), p.free(e.b)
	if len(a) == 0 || len(b) == 0 || p.docs[a[0]].source == p.docs[b[0]].source {
		return
	}
	for k := range min(len(a), len(b)) {
		p.join(a[k], b[k], e)
		p.taken[i] = true
	}
}

// free are the documents of a text that have no partner. They are all of one source, or they would be joined.
func (p *partners) free(node uint32) []uint32 {
	var out []uint32
	for _, d := range p.members[node] {
		if p.of[d] == none {
			out = append(out, d)
		}
	}
	return out
}

// pairs are the clusters of a cut that joins one to one.
func (c *cut) pairs() []cluster {
	var out []cluster
	seen := make([]bool, len(c.docs))
	for _, kept := range c.order {
		other := c.partners.of[kept]
		if seen[kept] || other == none {
			continue
		}
		seen[kept], seen[other] = true, true
		var g cluster
		g.add(kept, edge{a: none})
		g.add(other, c.partners.joins[kept])
		out = append(out, g)
	}
	return out
}

// oneToOne takes back what is said of a pair that the rule calls the same when its documents are not joined. a and b are all
// documents of its two texts, or two copies.
func (c *cut) oneToOne(p *robin.DuplicatePair, a, b []uint32) {
	if c.partners == nil || !p.Same {
		return
	}
	for _, d := range a {
		if slices.Contains(b, c.partners.of[d]) {
			return
		}
	}
	p.Same = false
	p.Reason += ", but one of them has a nearer partner"
	first := c.docs[a[0]].source
	if !slices.ContainsFunc(append(slices.Clone(a), b...), func(d uint32) bool { return c.docs[d].source != first }) {
		p.Reason = "both have the same " + c.head.OneToOne
	}
}
