package api

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"robin"

	"github.com/getkin/kin-openapi/openapi3"
)

// parametersOf are the query parameters that handlers read, by operation. The others read none.
var parametersOf = map[string][]string{
	"GET /collections/{c}/search":            searchParams,
	"POST /collections/{c}/documents/import": importParams,
	"GET /tasks":                             taskParams,
	"POST /collections/{c}/duplicates":       duplicateParams,
	"GET /collections/{c}/duplicates/{task}": cutParams,
}

// bodyOf are the types that bodies are decoded into, by operation.
var bodyOf = map[string]reflect.Type{
	"PUT /collections/{c}":                          reflect.TypeFor[robin.Settings](),
	"POST /collections/{c}/documents/delete":        reflect.TypeFor[deleteRequest](),
	"PUT /collections/{c}/documents/{id}":           reflect.TypeFor[map[string]any](),
	"PATCH /collections/{c}/documents/{id}":         reflect.TypeFor[map[string]any](),
	"POST /collections/{c}/search":                  reflect.TypeFor[robin.Query](),
	"POST /collections/{c}/similar":                 reflect.TypeFor[robin.SimilarQuery](),
	"POST /collections/{c}/duplicates":              reflect.TypeFor[robin.DuplicateQuery](),
	"POST /collections/{c}/duplicates/labels":       reflect.TypeFor[labelBody](),
	"POST /collections/{c}/duplicates/learn":        reflect.TypeFor[robin.LearnQuery](),
	"POST /collections/{c}/duplicates/{task}/apply": reflect.TypeFor[robin.DuplicateApply](),
	"POST /v1/embeddings":                           reflect.TypeFor[embeddingsRequest](),
	"POST /v1/rerank":                               reflect.TypeFor[rerankRequest](),
	"POST /v2/rerank":                               reflect.TypeFor[rerankRequest](),
	"POST /similarity":                              reflect.TypeFor[similarityRequest](),
	"POST /tokenize":                                reflect.TypeFor[tokenizeRequest](),
	"POST /embed":                                   reflect.TypeFor[teiEmbedRequest](),
	"POST /rerank":                                  reflect.TypeFor[teiRerankRequest](),
}

// operations calls f with each operation of the description.
func operations(t *testing.T, f func(name string, op *openapi3.Operation)) {
	t.Helper()
	for path, item := range loadDescription(t).Paths.Map() {
		for method, op := range item.Operations() {
			f(method+" "+path, op)
		}
	}
}

func TestDescriptionAndHandlersHaveTheSameParameters(t *testing.T) {
	s := serve(t, withModels(newFake()))
	s.want(201, "", "PUT", "/collections/c", minimalSettings)
	seen := 0
	operations(t, func(name string, op *openapi3.Operation) {
		var described []string
		for _, p := range op.Parameters {
			if p.Value.In == "query" {
				described = append(described, p.Value.Name)
			}
		}
		known := slices.Clone(parametersOf[name])
		slices.Sort(known)
		slices.Sort(described)
		if !slices.Equal(known, described) {
			t.Errorf("%s: described %v, known %v", name, described, known)
		}
		if len(known) == 0 {
			return
		}
		seen++
		method, path, _ := strings.Cut(strings.ReplaceAll(name, "{c}", "c"), " ")
		for _, p := range append(described, "unheard") { // what the handler really reads
			r := s.direct(method, path+"?"+p+"=x", http.NoBody, 0)
			if refused := strings.Contains(string(r.body), "is not a parameter here"); refused != (p == "unheard") {
				t.Errorf("%s?%s=x: %d %.200s", name, p, r.StatusCode, r.body)
			}
		}
	})
	if seen != len(parametersOf) {
		t.Errorf("%d of %d operations with parameters are described", seen, len(parametersOf))
	}
}

func TestDescriptionAndHandlersHaveTheSameBodies(t *testing.T) {
	seen := 0
	operations(t, func(name string, op *openapi3.Operation) {
		body := bodyOf[name]
		switch {
		case name == "POST /collections/{c}/documents/import":
			for kind := range op.RequestBody.Value.Content {
				if _, err := formatOf(kind); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			return
		case body == nil && op.RequestBody != nil:
			t.Errorf("%s has a described body, and no type here", name)
		case body == nil:
			return
		case op.RequestBody == nil:
			t.Errorf("%s has no described body", name)
			return
		}
		seen++
		for kind, content := range op.RequestBody.Value.Content {
			if kind != "application/json" {
				t.Errorf("%s is described with %s", name, kind)
			}
			sameShape(t, name, content.Schema.Value, body)
		}
	})
	if seen != len(bodyOf) {
		t.Errorf("%d of %d operations with a body are described", seen, len(bodyOf))
	}
}

// sameShape compares a described value with the type that it is decoded into: fields both ways, and kinds all the way
// down. The forms of a type that reads more than one kind of value are described with oneOf.
func sameShape(t *testing.T, at string, s *openapi3.Schema, g reflect.Type) {
	t.Helper()
	for g.Kind() == reflect.Pointer {
		g = g.Elem()
	}
	scalar, composite := reflect.Type(nil), reflect.Type(nil)
	switch {
	case g == facetType:
		scalar, composite = reflect.TypeFor[string](), g
	case reflect.PointerTo(g).Implements(reflect.TypeFor[either]()):
		scalar, composite = reflect.New(g).Interface().(either).forms()
	}
	if scalar != nil {
		if len(s.OneOf) != 2 || !s.OneOf[0].Value.Type.Is("string") || scalar.Kind() != reflect.String {
			t.Errorf("%s: %s reads a string or %s, described is %v", at, g, composite, s.OneOf)
			return
		}
		s, g = s.OneOf[1].Value, composite
	}
	kind := map[reflect.Kind]string{reflect.Struct: "object", reflect.Map: "object", reflect.Slice: "array", reflect.String: "string",
		reflect.Bool: "boolean", reflect.Int: "integer", reflect.Float32: "number", reflect.Float64: "number"}[g.Kind()]
	if kind == "" || !s.Type.Is(kind) {
		t.Errorf("%s: %s is described as %v", at, g, s.Type)
		return
	}
	switch g.Kind() {
	case reflect.Slice:
		sameShape(t, at+"[]", s.Items.Value, g.Elem())
	case reflect.Map:
		if g.Elem().Kind() == reflect.Interface {
			if s.AdditionalProperties.Has == nil || !*s.AdditionalProperties.Has {
				t.Errorf("%s takes any field, and is not described so", at)
			}
		} else if s.AdditionalProperties.Schema == nil {
			t.Errorf("%s: the values of %s are not described", at, g)
		} else {
			sameShape(t, at+".*", s.AdditionalProperties.Schema.Value, g.Elem())
		}
	case reflect.Struct:
		sameFields(t, at, s, g)
	}
}

func sameFields(t *testing.T, at string, s *openapi3.Schema, g reflect.Type) {
	t.Helper()
	if s.AdditionalProperties.Has == nil || *s.AdditionalProperties.Has {
		t.Errorf("%s refuses unknown fields, and is not described so", at)
	}
	fields := map[string]bool{}
	for i := range g.NumField() {
		name, _, _ := strings.Cut(g.Field(i).Tag.Get("json"), ",")
		fields[name] = true
		if p := s.Properties[name]; p == nil {
			t.Errorf("%s: the field %s of %s is not described", at, name, g)
		} else {
			sameShape(t, at+"."+name, p.Value, g.Field(i).Type)
		}
	}
	for name := range s.Properties {
		if !fields[name] {
			t.Errorf("%s: %s is described, and %s has no such field", at, name, g)
		}
	}
	for _, name := range s.Required {
		if !fields[name] {
			t.Errorf("%s: %s is required, and %s has no such field", at, name, g)
		}
	}
}
