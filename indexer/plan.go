package indexer

import (
	"fmt"

	"robin/rerank"
)

// plan tells how the search ran.
func (s *search) plan() {
	p := map[string]any{"candidates": s.all.Len()}
	if s.allowed != nil {
		p["filter"] = map[string]any{"allowed": s.allowed.Len()}
	}
	if len(s.exact) > 0 {
		p["exact"] = len(s.exact)
	}
	if s.words != nil {
		k := map[string]any{"matches": s.words.matches.Len(), "ranked": len(s.words.ranked), "words": len(s.words.words)}
		if len(s.words.missing) > 0 {
			k["missing"] = s.words.missing
		}
		p["keyword"] = k
	}
	if s.near != nil {
		p["vector"] = map[string]any{
			"plan": s.near.stats.Plan.String(), "ef": s.near.stats.Ef, "visited": s.near.stats.Visited,
			"neighbours": len(s.near.ranked), "floor": s.near.floor,
		}
	}
	if s.collapsed != nil {
		p["collapse"] = s.collapsed.plan()
	}
	s.res.Plan = p
}

// scaled writes a list's score as relative fusion scales it.
func (s *search) scaled(list string, score *float64) string {
	if score == nil {
		return "0"
	}
	var scores []rerank.Scored
	if list == "bm25" {
		scores = s.words.ranked
	} else {
		scores = s.near.ranked
	}
	return fmt.Sprintf("%.4f", rerank.Scale(scores)(*score))
}

func rerankFormula(cross, scaled float64) string {
	return fmt.Sprintf("%g × %.4f + %g × %.4f", rerank.BlendWeight, cross, 1-rerank.BlendWeight, scaled)
}
