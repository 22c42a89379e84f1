package dedup

import (
	"cmp"
	"slices"

	"robin"
	"robin/ann"
)

// cluster is a kept document with its duplicates.
type cluster struct {
	docs  []uint32 // the kept one first, then its own copies, then the others
	joins []edge   // beside each of docs: the pair that joins it to the kept one; none for the same text
}

// clusters goes through the documents in the order of the keep rule. One that no other has taken is kept, and takes the
// documents not yet taken that are the same as it. It never takes a document for being like one that it took: "A" and
// "C" do not meet through "B". The largest clusters come first.
//
// The documents of a node share all their pairs, so whoever takes one takes them all.
func (c *cut) clusters() []cluster {
	if c.partners != nil {
		return c.pairs()
	}
	var out []cluster
	taken := make([]bool, len(c.nodes))
	for _, kept := range c.order {
		n := c.docs[kept].node
		if taken[n] {
			continue
		}
		taken[n] = true
		g := cluster{}
		g.add(kept, edge{a: none})
		for _, d := range c.members[n] {
			if d != kept {
				g.add(d, edge{a: none})
			}
		}
		for _, e := range c.sameAs(n, taken) {
			other := e.a ^ e.b ^ n
			taken[other] = true
			for _, d := range c.members[other] {
				g.add(d, e)
			}
		}
		if len(g.docs) > 1 {
			out = append(out, g)
		}
	}
	slices.SortStableFunc(out, func(x, y cluster) int {
		return cmp.Or(cmp.Compare(len(y.docs), len(x.docs)), cmp.Compare(x.docs[0], y.docs[0]))
	})
	return out
}

func (g *cluster) add(d uint32, join edge) {
	g.docs = append(g.docs, d)
	g.joins = append(g.joins, join)
}

// sameAs are the pairs of a node that are duplicates, with nodes that are free, nearest first.
func (c *cut) sameAs(n uint32, taken []bool) []edge {
	var out []edge
	for _, i := range c.edgesOf(n) {
		if e := c.edges[i]; c.same[i] && !taken[e.a^e.b^n] {
			out = append(out, e)
		}
	}
	out = append(out, c.beyondList(n, taken)...)
	slices.SortFunc(out, func(x, y edge) int {
		return cmp.Or(cmp.Compare(y.cosine, x.cosine), compareEdges(x, y))
	})
	return out
}

// fringe is how many of the farthest pairs in a full list speak for what lies beyond it.
const fringe = 64

// beyondList completes the list of a full node by comparing it with the other full ones. When none of the farthest pairs
// that it does list is a duplicate, those beyond, which are farther still, are left alone: it keeps a cut under a
// learnt rule from comparing everything with everything.
func (c *cut) beyondList(n uint32, taken []bool) []edge {
	last := c.nodes[n].last
	if last < 0 || float64(last) < c.least {
		return nil
	}
	var listed []uint32 // edges
	seen := map[uint32]bool{n: true}
	for _, i := range c.edgesOf(n) {
		e := c.edges[i]
		seen[e.a^e.b^n] = true
		if e.cosine >= last {
			listed = append(listed, i)
		}
	}
	slices.SortFunc(listed, func(x, y uint32) int { return cmp.Compare(c.edges[x].cosine, c.edges[y].cosine) })
	listed = listed[:min(len(listed), fringe)]
	if len(listed) == fringe && !slices.ContainsFunc(listed, func(i uint32) bool { return c.same[i] }) {
		return nil
	}
	at, _ := slices.BinarySearch(c.full, n)
	reach := ann.Distance(1-c.least) + reachSlack
	near, err := c.beyond.Search(c.vectors[at], len(c.full), ann.SearchOptions{MaxDistance: &reach})
	if err != nil {
		return nil // Found.index gave Flat this very vector
	}
	var out []edge
	for _, x := range near {
		other := uint32(x.ID)
		cosine := float32(1 - float64(x.Distance))
		if seen[other] || taken[other] || float64(cosine) < c.least {
			continue
		}
		e := edge{min(n, other), max(n, other), cosine}
		if _, same, _ := c.judge.Judge(c.features(e, c.rivals)); same {
			out = append(out, e)
		}
	}
	return out
}

// reachSlack is more than rounding takes from a distance.
const reachSlack = 1e-5

// describe tells a cluster to a person.
func (c *cut) describe(g cluster) robin.DuplicateCluster {
	kept := g.docs[0]
	out := robin.DuplicateCluster{
		Kept: c.docs[kept].id, Title: title(c.nodes[c.docs[kept].node].text),
		Why: c.columns.why(c.keep, kept, g.docs), Members: make([]robin.DuplicateMember, 0, len(g.docs)-1),
	}
	for i, d := range g.docs[1:] {
		m := robin.DuplicateMember{ID: c.docs[d].id, Title: title(c.nodes[c.docs[d].node].text), Cosine: 1, Score: 1, Reason: sameText}
		if e := g.joins[i+1]; e.a != none {
			p := c.pair(e)
			m.Cosine, m.Cross, m.Score, m.Reason = p.Cosine, p.Cross, p.Score, p.Reason
		}
		out.Members = append(out.Members, m)
	}
	return out
}

// sameText is the reason of exact copies.
const sameText = "same text"
