package dedup

import (
	"cmp"
	"context"
	"math/rand/v2"
	"runtime"
	"slices"

	"robin"
)

// Labelled puts the pairs that people labelled into numbers. Left out, and counted, is what no rule decides: exact
// copies, which are duplicates by any rule, and pairs that are not among those found, because they are below the floor or
// one of them is gone.
func (f *Found) Labelled(labels []robin.Label) (list []Labelled, left int) {
	list, _, left = f.labelled(labels)
	return list, left
}

// labelled gives the numbers of the pairs too.
func (f *Found) labelled(labels []robin.Label) (list []Labelled, edges []int, left int) {
	f.once.Do(f.prepare)
	node := make(map[string]uint32, len(f.docs))
	for _, d := range f.docs {
		node[d.id] = d.node
	}
	for _, l := range labels {
		a, okA := node[l.A]
		b, okB := node[l.B]
		if a > b {
			a, b = b, a
		}
		at, found := slices.BinarySearchFunc(f.edges, edge{a: a, b: b}, func(x, y edge) int {
			return cmp.Or(cmp.Compare(x.a, y.a), cmp.Compare(x.b, y.b))
		})
		if !okA || !okB || !found {
			left++
			continue
		}
		list, edges = append(list, Labelled{Features: f.features(f.edges[at], true), Same: l.Same}), append(edges, at)
	}
	return list, edges, left
}

// Learn learns a rule from labels of the pairs that were found: see Learn, the function.
func (f *Found) Learn(labels []robin.Label, o LearnOptions) (robin.DuplicateRule, LearnReport, error) {
	list, edges, left := f.labelled(labels)
	same := 0
	for _, l := range list {
		if l.Same {
			same++
		}
	}
	more, moreEdges := f.unlabelled(edges, same, o.Seed)
	list, edges = append(list, more...), append(edges, moreEdges...)
	if f.head.OneToOne != "" && o.Joined == nil {
		o.Joined = func(j Judge) []bool { return f.joined(j, edges) }
	}
	if f.head.Models.Embedder != nil {
		o.Model = f.head.Models.Embedder.Fingerprint
	}
	rule, rep, err := Learn(list, o)
	switch {
	case err != nil && left == 0:
		err = robin.Errorf(robin.CodeInvalid, "%w", err)
	case err != nil:
		err = robin.Errorf(robin.CodeInvalid, "%w; %d more labels are of exact copies or of pairs below the floor of %g, and teach nothing", err, left, f.head.Floor)
	}
	return rule, rep, err
}

// unlabelled draws n pairs that nobody labelled, and that the search's rule does not call the same, and takes them for
// different, as nearly all of those are. People label the pairs that are hard to tell; a rule that was learnt from those alone
// has never seen two things that are merely of one kind, and calls them the same: learnt from 90 planted duplicates of the demo
// catalogue and 90 pairs of one model in another size or colour, 0.40 of what a rule called the same was planted, and with one
// such pair for each labelled duplicate 0.98.
func (f *Found) unlabelled(labelled []int, n int, seed uint64) (list []Labelled, edges []int) {
	known := make(map[int]bool, len(labelled))
	for _, e := range labelled {
		known[e] = true
	}
	called := f.cut(CutOptions{}).same
	rng := rand.New(rand.NewPCG(seed, 1))
	for _, e := range rng.Perm(len(f.edges)) {
		if len(list) == n {
			break
		}
		if !known[e] && !called[e] {
			list, edges = append(list, Labelled{Features: f.features(f.edges[e], true), Assumed: true}), append(edges, e)
		}
	}
	return list, edges
}

// joined tells which of some pairs are joined when the documents are, one to one and however unlike they are.
func (f *Found) joined(j Judge, edges []int) []bool {
	scores := make([]float64, len(f.edges))
	_ = parallel(context.Background(), len(f.edges), runtime.GOMAXPROCS(0), func(i int) error { // nothing in it fails
		scores[i], _, _ = j.Judge(f.features(f.edges[i], true))
		return nil
	})
	taken := f.match(scores).taken
	out := make([]bool, len(edges))
	for i, e := range edges {
		out[i] = taken[e]
	}
	return out
}
