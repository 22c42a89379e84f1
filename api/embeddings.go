package api

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"net/http"
	"strconv"
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
		return err
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
	if d := req.Dimensions; d != nil && *d != m.Dim() {
		return robin.Invalid("/dimensions", "must be %d or left out: the model was not trained to be cut", m.Dim())
	}
	emb, err := s.embed(c, m, req.Input, query)
	if err != nil {
		return err
	}
	ans := embeddingsAnswer{Object: "list", Model: m.Version().Name, Usage: usage{emb.Tokens, emb.Tokens}, Data: make([]embedding, len(emb.Vectors))}
	for i, v := range emb.Vectors {
		ans.Data[i] = embedding{Object: "embedding", Index: i, Embedding: v}
		if asBase64 {
			ans.Data[i].Embedding = encodeVector(v)
		}
	}
	for i, cut := range emb.Truncated {
		if cut {
			ans.Truncated = append(ans.Truncated, i)
		}
	}
	return c.JSON(http.StatusOK, ans)
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

// embed runs the model and lets no vector pass that is not finite.
func (s *Server) embed(c echo.Context, m Embedder, in []string, query bool) (Embeddings, error) {
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
		sum := 0.0
		for _, x := range v {
			sum += float64(x) * float64(x)
		}
		if sum == 0 || math.IsNaN(sum) || math.IsInf(sum, 0) {
			return emb, robin.Errorf(robin.CodeNotFinite, "the model gave no finite vector for text %d", i)
		}
	}
	return emb, nil
}

// teiEmbedRequest is that of text-embeddings-inference. Vectors of normalised models are always normalised here.
type teiEmbedRequest struct {
	Inputs              texts   `json:"inputs"`
	Normalize           *bool   `json:"normalize"`
	Truncate            *bool   `json:"truncate"` // default false: a text that is too long is an error
	TruncationDirection *string `json:"truncation_direction"`
	PromptName          *string `json:"prompt_name"`
	Dimensions          *int    `json:"dimensions"`
}

func (s *Server) teiEmbed(c echo.Context) error {
	if _, err := queryParams(c, nil); err != nil {
		return err
	}
	var req teiEmbedRequest
	if err := s.decode(c, &req, maxModelBody); err != nil {
		return err
	}
	if err := req.Inputs.check("/inputs", maxTexts); err != nil {
		return err
	}
	query, err := isQuery("/prompt_name", req.PromptName)
	if err != nil {
		return err
	}
	if req.Normalize != nil && !*req.Normalize {
		return robin.Invalid("/normalize", "must be true or left out: vectors are always of length 1")
	}
	if d := req.TruncationDirection; d != nil && *d != "right" && *d != "Right" {
		return robin.Invalid("/truncation_direction", "must be Right or left out")
	}
	m, err := pick(s.opts.Embedders, "", "embedding")
	if err != nil {
		return err
	}
	if d := req.Dimensions; d != nil && *d != m.Dim() {
		return robin.Invalid("/dimensions", "must be %d or left out: the model was not trained to be cut", m.Dim())
	}
	emb, err := s.embed(c, m, req.Inputs, query)
	if err != nil {
		return err
	}
	if req.Truncate == nil || !*req.Truncate {
		for i, cut := range emb.Truncated {
			if cut {
				return robin.Errorf(robin.CodeTooLarge, "text %d is longer than the model reads; send truncate: true to embed its beginning", i)
			}
		}
	}
	return c.JSON(http.StatusOK, emb.Vectors)
}

// itemPointer is the pointer to one of n texts, which may have come as a plain string.
func itemPointer(pointer string, i, n int) string {
	if n == 1 {
		return pointer
	}
	return pointer + "/" + strconv.Itoa(i)
}
