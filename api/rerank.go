package api

import (
	"cmp"
	"encoding/json"
	"math"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"time"

	"robin"

	"github.com/labstack/echo/v4"
)

// passage is a string, or an object with a text.
type passage struct{ Text string }

type passageObject struct {
	Text string `json:"text"`
}

func (passage) forms() (scalar, composite reflect.Type) {
	return reflect.TypeFor[string](), reflect.TypeFor[passageObject]()
}

// UnmarshalJSON reads either form.
func (p *passage) UnmarshalJSON(b []byte) error {
	if b[0] == '"' {
		return json.Unmarshal(b, &p.Text)
	}
	var o passageObject
	err := json.Unmarshal(b, &o)
	p.Text = o.Text
	return err
}

// rerankRequest is Cohere's and Jina's.
type rerankRequest struct {
	Model           string    `json:"model"`
	Query           string    `json:"query"`
	Documents       []passage `json:"documents"`
	TopN            *int      `json:"top_n"`
	ReturnDocuments *bool     `json:"return_documents"`
}

type rerankAnswer struct {
	ID      string         `json:"id"`
	Model   string         `json:"model"`
	Results []rerankResult `json:"results"`
}

type rerankResult struct {
	Index          int            `json:"index"`
	RelevanceScore float64        `json:"relevance_score"`
	Document       *passageObject `json:"document,omitempty"`
}

func (s *Server) cohereRerank(c echo.Context) error {
	if _, err := queryParams(c, nil); err != nil {
		return err
	}
	var req rerankRequest
	if err := s.decode(c, &req, maxModelBody); err != nil {
		return err
	}
	if req.TopN != nil && *req.TopN < 1 {
		return robin.Invalid("/top_n", "must be at least 1")
	}
	passages := make(texts, len(req.Documents))
	for i, d := range req.Documents {
		passages[i] = d.Text
	}
	m, ranked, err := s.score(c, req.Model, req.Query, passages, "/documents")
	if err != nil {
		return err
	}
	if req.TopN != nil {
		ranked = ranked[:min(*req.TopN, len(ranked))]
	}
	ans := rerankAnswer{ID: requestID(c), Model: m.Version().Name, Results: make([]rerankResult, len(ranked))}
	for i, r := range ranked {
		ans.Results[i] = rerankResult{Index: r.index, RelevanceScore: r.score}
		if req.ReturnDocuments != nil && *req.ReturnDocuments {
			ans.Results[i].Document = &passageObject{passages[r.index]}
		}
	}
	return c.JSON(http.StatusOK, ans)
}

// teiRerankRequest is that of text-embeddings-inference.
type teiRerankRequest struct {
	Query               string  `json:"query"`
	Texts               texts   `json:"texts"`
	RawScores           *bool   `json:"raw_scores"` // logits in place of 0..1
	ReturnText          *bool   `json:"return_text"`
	Truncate            *bool   `json:"truncate"`
	TruncationDirection *string `json:"truncation_direction"`
}

type teiRank struct {
	Index int     `json:"index"`
	Score float64 `json:"score"`
	Text  *string `json:"text,omitempty"`
}

func (s *Server) teiRerank(c echo.Context) error {
	if _, err := queryParams(c, nil); err != nil {
		return err
	}
	var req teiRerankRequest
	if err := s.decode(c, &req, maxModelBody); err != nil {
		return err
	}
	_, ranked, err := s.score(c, "", req.Query, req.Texts, "/texts")
	if err != nil {
		return err
	}
	ans := make([]teiRank, len(ranked))
	for i, r := range ranked {
		ans[i] = teiRank{Index: r.index, Score: r.score}
		if req.RawScores != nil && *req.RawScores {
			p := min(max(r.score, 1e-7), 1-1e-7) // the ends have no finite logit
			ans[i].Score = math.Log(p / (1 - p))
		}
		if req.ReturnText != nil && *req.ReturnText {
			ans[i].Text = &req.Texts[r.index]
		}
	}
	return c.JSON(http.StatusOK, ans)
}

type rank struct {
	index int
	score float64
}

// score runs the model and orders the passages, best first; equals keep their order.
func (s *Server) score(c echo.Context, model, query string, passages texts, pointer string) (Reranker, []rank, error) {
	if query == "" {
		return nil, nil, robin.Invalid("/query", "must not be empty")
	}
	if err := passages.check(pointer, maxPassages); err != nil {
		return nil, nil, err
	}
	m, err := pick(s.opts.Rerankers, model, "reranking")
	if err != nil {
		return nil, nil, err
	}
	leave, err := s.models.enter(c.Request().Context())
	if err != nil {
		return nil, nil, err
	}
	defer leave()
	start := time.Now()
	scores, err := m.Score(c.Request().Context(), query, passages)
	if err != nil {
		return nil, nil, err
	}
	s.metrics.rerankSec.Observe(time.Since(start).Seconds())
	s.metrics.reranked.Add(float64(len(passages)))
	ranked := make([]rank, len(scores))
	for i, x := range scores {
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			return nil, nil, robin.Errorf(robin.CodeModelFailed, "the model gave no finite score for passage %d", i)
		}
		// The shortest decimal of the float32, not the nearest float64: 0.9, not 0.8999999761581421.
		ranked[i] = rank{i, shortest(x)}
	}
	slices.SortStableFunc(ranked, func(a, b rank) int { return cmp.Compare(b.score, a.score) })
	return m, ranked, nil
}

func shortest(x float32) float64 {
	f, err := strconv.ParseFloat(strconv.FormatFloat(float64(x), 'g', -1, 32), 64)
	if err != nil {
		return float64(x)
	}
	return f
}
