package indexer

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	segment "github.com/blevesearch/scorch_segment_api/v2"

	"robin"
)

// bm25Tree is the keyword score of one hit, as the formula in keyword.go builds it up.
type bm25Tree struct {
	Score         float64    `json:"score"`
	K1            float64    `json:"k1"`
	B             float64    `json:"b"`
	Documents     int        `json:"documents"`
	Length        float64    `json:"length"` // weighted
	AverageLength float64    `json:"average_length"`
	Terms         []bm25Term `json:"terms"`
}

type bm25Term struct {
	Word        string         `json:"word"`                   // as it was typed
	SearchedFor []string       `json:"searched_for,omitempty"` // in its place
	Weight      float64        `json:"weight"`                 // how often it was typed, less when something stands in for it
	Documents   int            `json:"documents"`              // that have it
	IDF         float64        `json:"idf"`
	Frequencies map[string]int `json:"frequencies"` // by field
	Frequency   float64        `json:"frequency"`   // weighted
	Score       float64        `json:"score"`
}

// explain adds to each hit shown how it came about.
func (s *search) explain(ctx context.Context, shown []candidate) error {
	trees := map[uint64]*hitWords{}
	if s.words != nil && len(s.words.words) > 0 {
		err := guarded("explain the keyword scores", func() error {
			snap, err := s.v.text.snapshot()
			if err != nil {
				return err
			}
			defer snap.close()
			wanted := map[uint64]bool{}
			for _, c := range shown {
				if c.scores.BM25 != nil {
					wanted[c.number] = true
				}
			}
			trees, err = snap.explain(ctx, s.words.words, wanted)
			return err
		})
		if err != nil {
			return err
		}
	}
	for i, c := range shown {
		x := &robin.Explanation{Summary: s.summary(c, s.res.Hits[i].Passage), Fusion: s.fusionFormula(c)}
		if t := trees[c.number]; t != nil {
			x.Fields = t.fields
			for _, term := range t.tree.Terms {
				x.Terms = append(x.Terms, term.Word)
			}
			raw, err := json.Marshal(t.tree)
			if err != nil {
				return err
			}
			x.BM25 = raw
		}
		s.res.Hits[i].Explain = x
	}
	return nil
}

// hitWords is the keyword score of one hit, cut once by term and once by field.
type hitWords struct {
	tree   *bm25Tree
	fields []robin.FieldScore
}

// explain takes the scores of some documents apart.
func (s *snapshot) explain(ctx context.Context, words []queryWord, wanted map[uint64]bool) (map[uint64]*hitWords, error) {
	out := map[uint64]*hitWords{}
	hits := make([][]found, len(s.segments))
	for i := range words {
		w := &words[i]
		n, err := s.find(ctx, w, hits)
		if err != nil {
			return nil, err
		}
		idf := s.idf(n)
		for seg, list := range hits {
			facts := s.facts[seg]
			for _, h := range list {
				number := facts.numbers[h.place]
				if !wanted[number] {
					continue
				}
				x := out[number]
				if x == nil {
					x = &hitWords{tree: &bm25Tree{
						K1: bm25K1, B: bm25B, Documents: s.live,
						Length: float64(facts.lengths[h.place]), AverageLength: s.average,
					}}
					for _, f := range s.t.fields {
						x.fields = append(x.fields, robin.FieldScore{Field: f.name})
					}
					out[number] = x
				}
				term := bm25Term{
					Word: w.text, SearchedFor: w.like, Weight: w.weight, Documents: n, IDF: idf, Frequencies: map[string]int{},
					Frequency: float64(h.tf), Score: w.weight * idf * s.saturate(h.tf, facts.lengths[h.place]),
				}
				x.tree.Score += term.Score
				for _, ft := range w.terms {
					freq, err := s.frequency(seg, h.place, ft)
					if err != nil {
						return nil, err
					}
					if freq > 0 {
						term.Frequencies[s.t.fields[ft.field].name] += freq
						x.fields[ft.field].Score += term.Score * s.t.weights[ft.field] * float64(freq) / float64(h.tf)
					}
				}
				x.tree.Terms = append(x.tree.Terms, term)
			}
		}
	}
	return out, nil
}

// frequency counts a term in one document.
func (s *snapshot) frequency(seg int, place uint32, ft fieldTerm) (int, error) {
	dict, err := s.segments[seg].Segment().Dictionary(s.t.fields[ft.field].name)
	if err != nil {
		return 0, err
	}
	list, err := dict.PostingsList([]byte(ft.term), nil, nil)
	if err != nil {
		return 0, err
	}
	var p segment.Posting
	p, err = list.Iterator(true, false, false, nil).Advance(uint64(place))
	if err != nil || p == nil || p.Number() != uint64(place) {
		return 0, err
	}
	return int(p.Frequency()), nil
}

// summary tells a hit's story in a sentence.
func (s *search) summary(c candidate, passage *robin.PassageMatch) string {
	var parts []string
	if c.scores.Exact {
		parts = append(parts, "the query is its id, identifier or title, so it comes first")
	}
	if r := c.scores.Ranks.BM25; r != nil {
		parts = append(parts, fmt.Sprintf("place %d by its words (BM25 %.2f)", *r, *c.scores.BM25))
	}
	if r := c.scores.Ranks.Vector; r != nil {
		part := ""
		if passage != nil && passage.Of > 1 {
			part = fmt.Sprintf(" of passage %d of %d", passage.Number, passage.Of)
		}
		parts = append(parts, fmt.Sprintf("place %d by its meaning (cosine %.3f%s)", *r, *c.scores.Vector, part))
	}
	if r := c.scores.Ranks.Fused; r != nil {
		parts = append(parts, fmt.Sprintf("place %d of both together", *r))
	}
	if c.scores.Rerank != nil {
		parts = append(parts, fmt.Sprintf("the reranker gave it %.3f", *c.scores.Rerank))
	} else if s.blend != nil && !c.scores.Exact {
		parts = append(parts, "the reranker did not see it, so it stays below those that it saw")
	}
	if len(s.sort) > 0 {
		parts = append(parts, "ordered by "+strings.Join(s.q.Sort, ", "))
	}
	if len(parts) == 0 {
		return "There is no query: it passes the filter."
	}
	text := strings.Join(parts, "; ")
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

// coverageFactor writes what a keyword hit's part of a fusion is multiplied by.
func coverageFactor(c candidate) string {
	if c.scores.Coverage == nil {
		return ""
	}
	return fmt.Sprintf("%.2f³ × ", *c.scores.Coverage)
}

// fusionFormula writes the fusion, and the rerank after it, with a hit's numbers.
func (s *search) fusionFormula(c candidate) string {
	out := ""
	if s.q.Mode == robin.ModeHybrid && c.scores.Fused != nil {
		var parts []string
		switch s.q.Fusion.Method {
		case robin.Relative:
			alpha := *s.q.Fusion.Alpha
			parts = append(parts,
				fmt.Sprintf("%g × %s", alpha, s.scaled("vector", c.scores.Vector)),
				fmt.Sprintf("%g × %s%s", 1-alpha, coverageFactor(c), s.scaled("bm25", c.scores.BM25)))
		default:
			if r := c.scores.Ranks.BM25; r != nil {
				parts = append(parts, fmt.Sprintf("%s1/(%g + %d)", coverageFactor(c), *s.q.Fusion.K, *r))
			}
			if r := c.scores.Ranks.Vector; r != nil {
				parts = append(parts, fmt.Sprintf("1/(%g + %d)", *s.q.Fusion.K, *r))
			}
		}
		out = fmt.Sprintf("%s: %s = %.5f", s.q.Fusion.Method, strings.Join(parts, " + "), *c.scores.Fused)
	}
	if c.scores.Rerank != nil {
		if out != "" {
			out += "; "
		}
		out += fmt.Sprintf("rerank: %s = %.5f", rerankFormula(*c.scores.Rerank, c.scaled), c.score)
	}
	return out
}
