package indexer

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/RoaringBitmap/roaring/v2/roaring64"
	segment "github.com/blevesearch/scorch_segment_api/v2"

	"robin"
	"robin/attr"
	"robin/rerank"
)

// BM25 over weighted fields: each field counts as if its text stood there weight times, and the whole is one text
// (Robertson, Zaragoza and Taylor, "Simple BM25 extension to multiple weighted fields", CIKM 2004):
//
//	tf    = Σ over fields of weight * frequency of the term
//	len   = Σ over fields of weight * length
//	score = Σ over terms of idf * tf * (k1 + 1) / (tf + k1 * (1 - b + b * len / average len))
//	idf   = ln(1 + (N - n + 0.5) / (n + 0.5)), n documents of N have the term in some field
//
// A sum of the fields' own BM25 scores, which is what a disjunction gives, counts a word in title and text as two
// findings and judges rarity by the field: on the four judged sets of docs/benchmarks.md it loses up to 0.11 nDCG@10.
const (
	bm25K1 = 1.2
	bm25B  = 0.75
)

// rankedDepth is how far keyword matches are put in order: as deep as anybody can page. The others are in the set of
// candidates all the same.
const rankedDepth = robin.MaxWindow + collapseDepth

// keywordResult is the keyword leg of a search.
type keywordResult struct {
	matches attr.Set        // every allowed document with a word of the query
	ranked  []rerank.Scored // the best of them, best first; equal scores by number
	words   []queryWord     // with terms that documents have
	dropped int             // words beyond the limit
	missing []string        // words that no document has
}

// found is a document with a word of the query.
type found struct {
	place uint32 // in its segment
	tf    float32
}

// keyword searches for the words of q among the allowed documents; nil allows all. The filter leaves scores alone:
// rarity and average length are those of the whole collection.
func (s *snapshot) keyword(ctx context.Context, q string, allowed *attr.Set) (*keywordResult, error) {
	r := &keywordResult{}
	words, dropped := s.t.words(q)
	r.dropped = dropped
	scores, covered := make([][]float32, len(s.segments)), make([][]float32, len(s.segments))
	for i, f := range s.facts {
		scores[i], covered[i] = make([]float32, len(f.numbers)), make([]float32, len(f.numbers))
	}
	// Idf of all words of the query, added up in the order and width of covered, so that a document with every word
	// covers exactly 1.
	asked := float32(0)
	hits := make([][]found, len(s.segments))
	for i := range words {
		w := &words[i]
		n, err := s.find(ctx, w, hits)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			if w.whole {
				continue
			}
			r.missing = append(r.missing, w.text)
			typed := w.weight
			if err := s.expand(w); err != nil {
				return nil, err
			}
			if len(w.terms) > 0 {
				if n, err = s.find(ctx, w, hits); err != nil {
					return nil, err
				}
			}
			if n == 0 {
				asked += float32(s.idf(0) * typed)
				continue
			}
		}
		r.words = append(r.words, *w)
		idf := s.idf(n) * w.weight
		asked += float32(idf)
		for i := range hits {
			lengths := s.facts[i].lengths
			for _, h := range hits[i] {
				scores[i][h.place] += float32(idf * s.saturate(h.tf, lengths[h.place]))
				covered[i][h.place] += float32(idf)
			}
		}
	}
	var numbers []uint64
	var all []rerank.Scored
	for i, sc := range scores {
		for place, score := range sc {
			if score == 0 {
				continue
			}
			number := s.facts[i].numbers[place]
			if allowed != nil && !allowed.Contains(number) {
				continue
			}
			numbers = append(numbers, number)
			all = append(all, rerank.Scored{Number: number, Score: float64(score), Coverage: float64(covered[i][place] / asked)})
		}
	}
	r.matches = attr.NewSet(numbers...)
	r.ranked = best(all, rankedDepth)
	return r, nil
}

func (s *snapshot) idf(n int) float64 {
	return math.Log(1 + (float64(s.live)-float64(n)+0.5)/(float64(n)+0.5))
}

// saturate is a term's part of a document's score, without its idf.
func (s *snapshot) saturate(tf, length float32) float64 {
	relative := 1.0
	if s.average > 0 {
		relative = float64(length) / s.average
	}
	return float64(tf) * (bm25K1 + 1) / (float64(tf) + bm25K1*(1-bm25B+bm25B*relative))
}

// find fills hits with the documents that have a word, by segment, and counts them.
func (s *snapshot) find(ctx context.Context, w *queryWord, hits [][]found) (n int, err error) {
	for i, seg := range s.segments {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		hits[i] = hits[i][:0]
		for _, ft := range w.terms {
			weight := s.t.weights[ft.field]
			dict, err := seg.Segment().Dictionary(s.t.fields[ft.field].name)
			if err != nil {
				return 0, err
			}
			list, err := dict.PostingsList([]byte(ft.term), seg.Deleted(), nil)
			if err != nil {
				return 0, err
			}
			before := len(hits[i])
			it := list.Iterator(true, false, false, nil)
			for {
				p, err := it.Next()
				if err != nil {
					return 0, err
				}
				if p == nil {
					break
				}
				hits[i] = append(hits[i], found{uint32(p.Number()), float32(weight * float64(p.Frequency()))})
			}
			if before > 0 && len(hits[i]) > before {
				hits[i] = sumByPlace(hits[i], before)
			}
		}
		n += len(hits[i])
	}
	return n, nil
}

// sumByPlace merges two lists that are sorted by place, hits[:at] and hits[at:], and adds up the frequencies of those
// that are in both.
func sumByPlace(hits []found, at int) []found {
	a, b := hits[:at], hits[at:]
	out := make([]found, 0, len(hits))
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0].place < b[0].place:
			out, a = append(out, a[0]), a[1:]
		case a[0].place > b[0].place:
			out, b = append(out, b[0]), b[1:]
		default:
			out = append(out, found{a[0].place, a[0].tf + b[0].tf})
			a, b = a[1:], b[1:]
		}
	}
	return append(append(out, a...), b...)
}

// best gives the n best of list, best first, equal scores by number. It reorders list.
func best(list []rerank.Scored, n int) []rerank.Scored {
	order := func(a, b rerank.Scored) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Number, b.Number))
	}
	if len(list) > n {
		// A heap of the n best so far, the worst of them on top.
		worse := func(a, b rerank.Scored) bool { return order(a, b) > 0 }
		heap := list[:n]
		down := func(i int) {
			for {
				c := 2*i + 1
				if c >= n {
					return
				}
				if c+1 < n && worse(heap[c+1], heap[c]) {
					c++
				}
				if !worse(heap[c], heap[i]) {
					return
				}
				heap[i], heap[c] = heap[c], heap[i]
				i = c
			}
		}
		for i := n/2 - 1; i >= 0; i-- {
			down(i)
		}
		for _, s := range list[n:] {
			if worse(heap[0], s) {
				heap[0] = s
				down(0)
			}
		}
		list = heap
	}
	slices.SortFunc(list, order)
	return list
}

// exact gives the documents whose id, identifier or title is the query, by number; those of an identifier first.
func (s *snapshot) exact(q string, allowed *attr.Set) ([]uint64, error) {
	var out []uint64
	seen := roaring64.New()
	for _, kind := range []byte{exactIdentifier, exactTitle} {
		key := exactKey(kind, q)
		if key == "" {
			continue
		}
		var numbers []uint64
		for i, seg := range s.segments {
			gone := seg.Deleted()
			err := eachPosting(seg.Segment(), fieldExact, key, func(p segment.Posting) {
				if gone != nil && gone.Contains(uint32(p.Number())) {
					return
				}
				number := s.facts[i].numbers[p.Number()]
				if (allowed == nil || allowed.Contains(number)) && seen.CheckedAdd(number) {
					numbers = append(numbers, number)
				}
			})
			if err != nil {
				return nil, err
			}
		}
		slices.Sort(numbers)
		out = append(out, numbers...)
	}
	return out, nil
}
