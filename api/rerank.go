package api

import (
	"cmp"
	"encoding/json"
	"fmt"
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

// rerankRequest is Cohere's and Jina's, in both versions.
type rerankRequest struct {
	Model           string    `json:"model"`
	Query           string    `json:"query"`
	Documents       []passage `json:"documents"`
	TopN            *int      `json:"top_n"`
	ReturnDocuments *bool     `json:"return_documents"`
	MaxTokensPerDoc *int      `json:"max_tokens_per_doc"`
}

// rerankAnswer has what clients of Cohere (id, meta) and of Jina (model, usage) look for.
type rerankAnswer struct {
	ID        string         `json:"id"`
	Model     string         `json:"model"`
	Results   []rerankResult `json:"results"`
	Usage     rerankUsage    `json:"usage"`
	Meta      rerankMeta     `json:"meta"`
	Truncated []int          `json:"truncated,omitempty"` // indexes of documents that the model did not read to their end
}

type rerankUsage struct {
	TotalTokens int `json:"total_tokens"`
}

type rerankMeta struct {
	APIVersion struct {
		Version string `json:"version"`
	} `json:"api_version"`
	Tokens struct {
		InputTokens int `json:"input_tokens"`
	} `json:"tokens"`
	Warnings []string `json:"warnings,omitempty"`
}

type rerankResult struct {
	Index          int            `json:"index"`
	RelevanceScore float64        `json:"relevance_score"`
	Document       *passageObject `json:"document,omitempty"`
}

// cohereRerank answers /v1/rerank and /v2/rerank, which differ in the shape of their errors.
func (s *Server) cohereRerank(version string) echo.HandlerFunc {
	return func(c echo.Context) error {
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
		perPassage := 0
		if n := req.MaxTokensPerDoc; n != nil {
			if perPassage = *n; perPassage < 1 {
				return robin.Invalid("/max_tokens_per_doc", "must be at least 1")
			}
		}
		passages := make(texts, len(req.Documents))
		for i, d := range req.Documents {
			passages[i] = d.Text
		}
		r, err := s.score(c, req.Model, req.Query, passages, perPassage, "/documents")
		if err != nil {
			return err
		}
		return c.JSON(http.StatusOK, req.answer(r, requestID(c), version))
	}
}

// answer lists the best documents.
func (req *rerankRequest) answer(r *ranking, id, version string) rerankAnswer {
	order := r.order
	if req.TopN != nil {
		order = order[:min(*req.TopN, len(order))]
	}
	ans := rerankAnswer{ID: id, Model: r.model.Name, Results: make([]rerankResult, len(order)), Usage: rerankUsage{r.scores.Tokens},
		Truncated: indexes(r.scores.Truncated)}
	for i, at := range order {
		ans.Results[i] = rerankResult{Index: at, RelevanceScore: shortest(r.scores.Scores[at])}
		if req.ReturnDocuments != nil && *req.ReturnDocuments {
			ans.Results[i].Document = &passageObject{req.Documents[at].Text}
		}
	}
	ans.Meta.APIVersion.Version, ans.Meta.Tokens.InputTokens = version, r.scores.Tokens
	if n := len(ans.Truncated); n > 0 {
		ans.Meta.Warnings = []string{fmt.Sprintf("%d documents were not read to their end; the model reads %d tokens of query and document together", n, r.model.MaxTokens)}
	}
	return ans
}

// ranking is what a model made of some passages.
type ranking struct {
	model  robin.ModelInfo
	scores Scores
	order  []int // of the passages, best first; equals keep their order
}

// score runs the model and orders the passages.
func (s *Server) score(c echo.Context, model, query string, passages texts, perPassage int, pointer string) (*ranking, error) {
	if query == "" {
		return nil, robin.Invalid("/query", "must not be empty")
	}
	if err := passages.check(pointer, maxPassages); err != nil {
		return nil, err
	}
	m, err := pick(s.opts.Rerankers, model, "reranking")
	if err != nil {
		return nil, err
	}
	leave, err := s.models.enter(c.Request().Context())
	if err != nil {
		return nil, err
	}
	defer leave()
	start := time.Now()
	scores, err := m.Score(c.Request().Context(), query, passages, perPassage)
	if err != nil {
		return nil, err
	}
	s.metrics.rerankSec.Observe(time.Since(start).Seconds())
	s.metrics.reranked.Add(float64(len(passages)))
	if len(scores.Scores) != len(passages) || len(scores.Raw) != len(passages) {
		return nil, robin.Errorf(robin.CodeModelFailed, "the model gave %d scores for %d passages", len(scores.Scores), len(passages))
	}
	r := &ranking{model: m.Info(), scores: scores, order: make([]int, len(passages))}
	for i, x := range scores.Raw {
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			return nil, robin.Errorf(robin.CodeModelFailed, "the model gave no finite score for passage %d", i)
		}
		r.order[i] = i
	}
	slices.SortStableFunc(r.order, func(a, b int) int { return cmp.Compare(scores.Raw[b], scores.Raw[a]) })
	ran{r.model, scores.Truncated, scores.Tokens, scores.Timing}.head(c)
	return r, nil
}

// shortest is the shortest decimal of the float32, not the nearest float64: 0.9, not 0.8999999761581421.
func shortest(x float32) float64 {
	f, err := strconv.ParseFloat(strconv.FormatFloat(float64(x), 'g', -1, 32), 64)
	if err != nil {
		return float64(x)
	}
	return f
}
