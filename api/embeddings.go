package api

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"robin"

	"github.com/labstack/echo/v4"
)

// embeddingsRequest is OpenAI's. InputType is ours, after Cohere and Jina: models with different prefixes for queries
// and documents want to know.
type embeddingsRequest struct {
	Input          texts   `json:"input"`
	Model          string  `json:"model"`
	EncodingFormat *string `json:"encoding_format"`
	Dimensions     *int    `json:"dimensions"`
	InputType      *string `json:"input_type"`
	User           *string `json:"user"`
}

type embeddingsAnswer struct {
	Object    string      `json:"object"`
	Data      []embedding `json:"data"`
	Model     string      `json:"model"`
	Usage     usage       `json:"usage"`
	Truncated []int       `json:"truncated,omitempty"` // indexes of texts longer than the model reads
}

type embedding struct {
	Object    string `json:"object"`
	Index     int    `json:"index"`
	Embedding any    `json:"embedding"` // []float32, or base64 of little-endian float32s
}

type usage struct {
	PromptTokens int `json:"prompt_tokens"`
	TotalTokens  int `json:"total_tokens"`
}

func (s *Server) openAIEmbeddings(c echo.Context) error {
	if _, err := queryParams(c, nil); err != nil {
		return err
	}
	var req embeddingsRequest
	if err := s.decode(c, &req, maxModelBody); err != nil {
		return explainTokenArrays(err, "/input")
	}
	if err := req.Input.check("/input", maxTexts); err != nil {
		return err
	}
	query, err := isQuery("/input_type", req.InputType)
	if err != nil {
		return err
	}
	asBase64 := false
	if f := req.EncodingFormat; f != nil {
		if *f != "float" && *f != "base64" {
			return robin.Invalid("/encoding_format", "must be float or base64")
		}
		asBase64 = *f == "base64"
	}
	m, err := pick(s.opts.Embedders, req.Model, "embedding")
	if err != nil {
		return err
	}
	emb, err := s.embed(c, m, req.Input, query, req.Dimensions)
	if err != nil {
		return err
	}
	ans := embeddingsAnswer{Object: "list", Model: m.Info().Name, Usage: usage{emb.Tokens, emb.Tokens}, Data: make([]embedding, len(emb.Vectors)),
		Truncated: indexes(emb.Truncated)}
	for i, v := range emb.Vectors {
		ans.Data[i] = embedding{Object: "embedding", Index: i, Embedding: v}
		if asBase64 {
			ans.Data[i].Embedding = encodeVector(v)
		}
	}
	return c.JSON(http.StatusOK, ans)
}

// explainTokenArrays adds to the errors about texts that are numbers why token ids are not read. Some clients send them
// unless they are told not to.
func explainTokenArrays(err error, pointer string) error {
	var e *robin.Error
	if !errors.As(err, &e) {
		return err
	}
	for i, f := range e.Fields {
		if strings.HasPrefix(f.Pointer, pointer+"/") && (f.Detail == "must be a string, is a number" || f.Detail == "must be a string, is an array") {
			e.Fields[i].Detail += ": arrays of token ids are not read, because they are of another model's vocabulary; send the text"
			break
		}
	}
	return err
}

// isQuery reads which side of a search the texts are on; the default is the document's.
func isQuery(pointer string, side *string) (bool, error) {
	if side == nil {
		return false, nil
	}
	switch *side {
	case "query", "search_query":
		return true, nil
	case "document", "passage", "search_document":
		return false, nil
	}
	return false, robin.Invalid(pointer, "must be query or document")
}

func encodeVector(v []float32) string {
	b := make([]byte, 0, 4*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return base64.StdEncoding.EncodeToString(b)
}

// embed runs the model, cuts the vectors to dim when it is given, lets none pass that is not finite, and says in the
// answer's headers what ran.
func (s *Server) embed(c echo.Context, m Embedder, in []string, query bool, dim *int) (Embeddings, error) {
	info := m.Info()
	if err := checkDimensions(info, dim); err != nil {
		return Embeddings{}, err
	}
	leave, err := s.models.enter(c.Request().Context())
	if err != nil {
		return Embeddings{}, err
	}
	defer leave()
	start := time.Now()
	emb, err := m.Embed(c.Request().Context(), in, query)
	if err != nil {
		return emb, err
	}
	s.metrics.embedSec.Observe(time.Since(start).Seconds())
	s.metrics.embedded.Add(float64(len(in)))
	if len(emb.Vectors) != len(in) {
		return emb, robin.Errorf(robin.CodeModelFailed, "the model gave %d vectors for %d texts", len(emb.Vectors), len(in))
	}
	for i, v := range emb.Vectors {
		norm := length(v)
		if dim != nil && *dim < len(v) {
			v = v[:*dim]
			norm = length(v)
			scale(v, 1/norm)
			emb.Vectors[i] = v
		}
		if norm == 0 || math.IsNaN(norm) || math.IsInf(norm, 0) {
			return emb, robin.Errorf(robin.CodeNotFinite, "the model gave no finite vector for text %d", i)
		}
	}
	ran{info, emb.Truncated, emb.Tokens, emb.Timing}.head(c)
	return emb, nil
}

// checkDimensions says whether the model's vectors may be cut to dim. Only a model that was trained for it has the most
// of a text's meaning in the first components.
func checkDimensions(m robin.ModelInfo, dim *int) error {
	cuts := m.MatryoshkaDimensions
	switch {
	case dim == nil, *dim == m.Dimension, slices.Contains(cuts, *dim):
		return nil
	case *dim < 1 || *dim > m.Dimension:
		return robin.Invalid("/dimensions", "must be from 1 to %d, the dimension of the model %s", m.Dimension, m.Name)
	case len(cuts) == 0:
		return robin.Invalid("/dimensions", "must be %d or left out: the model %s was not trained to be cut", m.Dimension, m.Name)
	}
	return robin.Invalid("/dimensions", "must be one of %v and %d, to which the model %s was trained to be cut", cuts, m.Dimension, m.Name)
}

// length is a vector's length in space. It is not finite when a component is not.
func length(v []float32) float64 {
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	return math.Sqrt(sum)
}

func scale(v []float32, by float64) {
	for i, x := range v {
		v[i] = float32(float64(x) * by)
	}
}
