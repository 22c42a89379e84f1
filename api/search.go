package api

import (
	"context"
	"net/http"

	"robin"

	"github.com/labstack/echo/v4"
)

func (s *Server) searchRoutes(e *echo.Echo) {
	e.POST("/collections/:c/search", s.postSearch)
	e.GET("/collections/:c/search", s.getSearch)
	e.POST("/collections/:c/similar", s.similar)
}

func (s *Server) postSearch(c echo.Context) error {
	if _, err := queryParams(c, nil); err != nil {
		return err
	}
	var q robin.Query
	if err := s.decode(c, &q, maxJSONBody); err != nil {
		return err
	}
	return s.search(c, q)
}

// searchParams are the names of a search's fields, as GET takes them.
var searchParams = []string{"q", "mode", "filter", "facets", "sort", "limit", "offset", "fields", "highlight", "explain", "passage", "collapse_duplicates",
	"fusion.method", "fusion.k", "fusion.alpha", "rerank", "rerank.mode", "rerank.top_n", "rerank.budget_ms"}

func (s *Server) getSearch(c echo.Context) error {
	p, err := queryParams(c, searchParams)
	if err != nil {
		return err
	}
	q := robin.Query{
		Q: p.text("q"), Mode: robin.Mode(p.text("mode")), Filter: p.text("filter"),
		Sort: p.list("sort"), Limit: p.integer("limit"), Fields: p.list("fields"),
		Highlight: p.boolean("highlight"), Explain: p.boolean("explain"), Passage: p.boolean("passage"), CollapseDuplicates: p.boolean("collapse_duplicates"),
		Fusion: robin.Fusion{Method: robin.FusionMethod(p.text("fusion.method")), K: p.number("fusion.k"), Alpha: p.number("fusion.alpha")},
		Rerank: robin.Rerank{Mode: robin.RerankMode(p.text("rerank.mode")), TopN: p.integer("rerank.top_n"), BudgetMS: p.integer("rerank.budget_ms")},
	}
	if short, ok := p.one("rerank"); ok {
		if q.Rerank.Mode != "" {
			p.bad("rerank", "and rerank.mode are the same parameter: give one")
		}
		q.Rerank.Mode = robin.RerankMode(short)
	}
	for _, name := range p.list("facets") {
		q.Facets = append(q.Facets, robin.FacetRequest{Field: name})
	}
	if offset := p.integer("offset"); offset != nil {
		q.Offset = *offset
	}
	if err := p.err(); err != nil {
		return err
	}
	return s.search(c, q)
}

func (s *Server) search(c echo.Context, q robin.Query) error {
	name, err := collectionName(c)
	if err != nil {
		return err
	}
	q = q.Defaulted()
	if err := q.Validate(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), s.opts.SearchTimeout)
	defer cancel()
	leave, err := s.searches.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	res, err := s.engine.Search(ctx, name, q)
	if err != nil {
		return err
	}
	s.metrics.search(q.Mode, res)
	return c.JSON(http.StatusOK, complete(res))
}

func (s *Server) similar(c echo.Context) error {
	name, err := collectionName(c)
	if err != nil {
		return err
	}
	if _, err := queryParams(c, nil); err != nil {
		return err
	}
	var q robin.SimilarQuery
	if err := s.decode(c, &q, robin.MaxDocumentBytes); err != nil {
		return err
	}
	if err := q.Validate(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), s.opts.SearchTimeout)
	defer cancel()
	leave, err := s.searches.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	res, err := s.engine.Similar(ctx, name, q)
	if err != nil {
		return err
	}
	s.metrics.search("similar", res)
	return c.JSON(http.StatusOK, complete(res))
}

// complete turns nil lists into empty ones: clients loop over them.
func complete(res *robin.Result) *robin.Result {
	if res.Hits == nil {
		res.Hits = []robin.Hit{}
	}
	if res.Degraded == nil {
		res.Degraded = []string{}
	}
	return res
}
