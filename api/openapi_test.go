package api

import (
	"encoding/json"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// description is openapi.json, loaded and valid.
var description = sync.OnceValues(func() (*openapi3.T, error) {
	doc, err := openapi3.NewLoader().LoadFromData(openAPIDocument)
	if err != nil {
		return nil, err
	}
	return doc, doc.Validate(openapi3.NewLoader().Context)
})

func loadDescription(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := description()
	if err != nil {
		t.Fatalf("openapi.json: %v", err)
	}
	return doc
}

func TestDescriptionAndRouterListTheSameRoutes(t *testing.T) {
	doc := loadDescription(t)
	s := serve(t, Options{Engine: newFake(), UI: http.NotFoundHandler()})
	var routed, described []string
	param := regexp.MustCompile(`:(\w+)`)
	for _, r := range s.srv.echo.Routes() {
		if r.Path == "/" || r.Path == "/ui/*" { // the page
			continue
		}
		routed = append(routed, r.Method+" "+param.ReplaceAllString(r.Path, "{$1}"))
	}
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			described = append(described, method+" "+path)
		}
	}
	slices.Sort(routed)
	slices.Sort(described)
	for _, r := range routed {
		if !slices.Contains(described, r) {
			t.Errorf("%s is not described", r)
		}
	}
	for _, d := range described {
		if !slices.Contains(routed, d) {
			t.Errorf("%s is described and does not exist", d)
		}
	}
	if len(routed) < 25 {
		t.Errorf("only %d routes: the test sees too little", len(routed))
	}
}

// conforms holds an answer against its description. Every answer that a test of this package gets passes here.
func conforms(t *testing.T, method, path string, r reply) {
	t.Helper()
	doc := loadDescription(t)
	path, _, _ = strings.Cut(path, "?")
	op := operation(doc, method, path)
	if op == nil {
		return // the page, or no route
	}
	res := op.Responses.Status(r.StatusCode)
	if res == nil {
		if r.StatusCode < 400 {
			t.Errorf("%s %s: status %d is not described", method, path, r.StatusCode)
			return
		}
		res = op.Responses.Default()
	}
	if len(r.body) == 0 {
		return
	}
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	content := res.Value.Content.Get(kind)
	if content == nil {
		t.Errorf("%s %s: %d with content type %q is not described", method, path, r.StatusCode, kind)
		return
	}
	if kind != "application/json" && kind != "application/problem+json" {
		return
	}
	var v any
	if err := json.Unmarshal(r.body, &v); err != nil {
		t.Errorf("%s %s: %v: %.200s", method, path, err, r.body)
		return
	}
	if err := content.Schema.Value.VisitJSON(v); err != nil {
		t.Errorf("%s %s: the answer does not fit its description: %v\n%.500s", method, path, err, r.body)
	}
}

// operation finds the operation of a path; plain segments win over parameters, as in the router.
func operation(doc *openapi3.T, method, path string) *openapi3.Operation {
	segments := strings.Split(path, "/")
	var best *openapi3.Operation
	most := -1
	for template, item := range doc.Paths.Map() {
		parts := strings.Split(template, "/")
		plain := 0
		if len(parts) != len(segments) || item.GetOperation(method) == nil {
			continue
		}
		for i, p := range parts {
			switch {
			case strings.HasPrefix(p, "{"):
			case p == segments[i]:
				plain++
			default:
				plain = -100
			}
		}
		if plain > most {
			best, most = item.GetOperation(method), plain
		}
	}
	return best
}
