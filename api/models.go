package api

import (
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"slices"

	"robin"

	"github.com/labstack/echo/v4"
)

func (s *Server) modelRoutes(e *echo.Echo) {
	e.GET("/models", s.listModels)
	e.POST("/v1/embeddings", s.openAIEmbeddings)
	e.POST("/embed", s.teiEmbed)
	e.POST("/v1/rerank", s.cohereRerank)
	e.POST("/rerank", s.teiRerank)
}

// Limits of one request to a model.
const (
	maxTexts     = 2048 // as OpenAI's API
	maxPassages  = 1000
	defaultModel = "starter"
)

type modelList struct {
	Models []robin.ModelInfo `json:"models"`
}

func (s *Server) listModels(c echo.Context) error {
	if _, err := queryParams(c, nil); err != nil {
		return err
	}
	models := s.opts.Models()
	if models == nil {
		models = []robin.ModelInfo{}
	}
	return c.JSON(http.StatusOK, modelList{models})
}

// pick finds a model by name. An empty name is the starter, or the only one there is. A request can only name what the
// operator installed.
func pick[M any](models map[string]M, name, task string) (M, error) {
	names := slices.Sorted(maps.Keys(models))
	if name == "" {
		if name = defaultModel; len(names) == 1 {
			name = names[0]
		}
	}
	m, ok := models[name]
	if !ok {
		return m, &robin.Error{Code: robin.CodeNoModel, Message: "there is no such model",
			Fields: []robin.FieldError{{Pointer: "/model", Detail: "no model " + clip(name) + " for " + task + suggest(name, names)}}}
	}
	return m, nil
}

// texts is a string or an array of strings.
type texts []string

func (texts) forms() (scalar, composite reflect.Type) {
	return reflect.TypeFor[string](), reflect.TypeFor[[]string]()
}

// UnmarshalJSON reads either form.
func (t *texts) UnmarshalJSON(b []byte) error {
	if b[0] == '"' {
		*t = make(texts, 1)
		return json.Unmarshal(b, &(*t)[0])
	}
	return json.Unmarshal(b, (*[]string)(t))
}

// check bounds the texts and refuses empty ones, which have no meaning to embed.
func (t texts) check(pointer string, most int) error {
	if len(t) == 0 {
		return robin.Invalid(pointer, "must hold at least one text")
	}
	if len(t) > most {
		return robin.Errorf(robin.CodeTooLarge, "%d texts are too many for one request, the limit is %d", len(t), most)
	}
	for i, s := range t {
		if s == "" {
			return robin.Invalid(itemPointer(pointer, i, len(t)), "is empty")
		}
	}
	return nil
}
