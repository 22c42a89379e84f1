package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"robin"

	"github.com/labstack/echo/v4"
)

func (s *Server) modelRoutes(e *echo.Echo) {
	e.GET("/models", s.listModels)
	e.POST("/v1/embeddings", s.openAIEmbeddings)
	e.POST("/v1/rerank", s.cohereRerank("1"))
	e.POST("/v2/rerank", s.cohereRerank("2"))
	s.teiRoutes(e)
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
			if len(t) > 1 { // one text may have come as a plain string
				pointer += "/" + strconv.Itoa(i)
			}
			return robin.Invalid(pointer, "is empty")
		}
	}
	return nil
}

// Headers of an answer that a model made. The names of models, versions and fingerprints are plain ASCII.
const (
	headerModel       = "Robin-Model"
	headerVersion     = "Robin-Model-Version"
	headerFingerprint = "Robin-Model-Fingerprint"
	headerTokens      = "Robin-Tokens"    // that the model read
	headerTruncated   = "Robin-Truncated" // how many texts were longer than the model reads
	headerTruncatedAt = "Robin-Truncated-At"
)

// maxTruncatedAt bounds the list of indexes in a header, which clients read up to some KiB.
const maxTruncatedAt = 100

// ran is what a model did for one request.
type ran struct {
	model     robin.ModelInfo
	truncated []bool
	tokens    int
	timing    Timing
}

// head says it in the answer's headers, because most of the foreign shapes have no place for it.
func (r ran) head(c echo.Context) {
	h := c.Response().Header()
	h.Set(headerModel, r.model.Name)
	h.Set(headerVersion, r.model.Version)
	h.Set(headerFingerprint, r.model.Fingerprint)
	h.Set(headerTokens, strconv.Itoa(r.tokens))
	cut := indexes(r.truncated)
	h.Set(headerTruncated, strconv.Itoa(len(cut)))
	if len(cut) > 0 {
		at := fmt.Sprint(cut[:min(len(cut), maxTruncatedAt)])
		h.Set(headerTruncatedAt, strings.ReplaceAll(strings.Trim(at, "[]"), " ", ","))
	}
	ms := func(d time.Duration) string { return strconv.FormatFloat(float64(d.Microseconds())/1000, 'f', -1, 64) }
	h.Set("Server-Timing", "tokenize;dur="+ms(r.timing.Tokenize)+", queue;dur="+ms(r.timing.Queue)+", infer;dur="+ms(r.timing.Infer))
}

// indexes lists where flags are set.
func indexes(flags []bool) (at []int) {
	for i, set := range flags {
		if set {
			at = append(at, i)
		}
	}
	return at
}
