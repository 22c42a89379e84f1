package api

import (
	"net/http"
	"runtime"
	"strings"

	"robin"

	"github.com/labstack/echo/v4"
)

// teiPaths are the routes that answer, and fail, as those of text-embeddings-inference.
var teiPaths = map[string]bool{"/embed": true, "/rerank": true, "/similarity": true, "/tokenize": true, "/info": true}

func (s *Server) teiRoutes(e *echo.Echo) {
	e.POST("/embed", s.teiEmbed)
	e.POST("/similarity", s.teiSimilarity)
	e.POST("/rerank", s.teiRerank)
	e.POST("/tokenize", s.teiTokenize)
	e.GET("/info", s.teiInfo)
}

// teiEmbedRequest is that of text-embeddings-inference.
type teiEmbedRequest struct {
	Inputs              texts   `json:"inputs"`
	Normalize           *bool   `json:"normalize"` // default true: vectors of length 1
	Truncate            *bool   `json:"truncate"`  // default false: a text that is too long is an error
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
		return explainTokenArrays(err, "/inputs")
	}
	if err := req.Inputs.check("/inputs", maxTexts); err != nil {
		return err
	}
	query, err := isQuery("/prompt_name", req.PromptName)
	if err != nil {
		return err
	}
	if err := checkDirection("/truncation_direction", req.TruncationDirection); err != nil {
		return err
	}
	m, err := pick(s.opts.Embedders, "", "embedding")
	if err != nil {
		return err
	}
	embed := s.embed
	if req.Normalize != nil && !*req.Normalize {
		embed = s.embedAsIs
	}
	emb, err := embed(c, m, req.Inputs, query, req.Dimensions)
	if err != nil {
		return err
	}
	if err := checkTruncated(emb.Truncated, req.Truncate, m.Info().MaxTokens); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, emb.Vectors)
}

// embedAsIs is embed with vectors of the length that the model gave them, cut to dim without a change.
func (s *Server) embedAsIs(c echo.Context, m Embedder, in []string, query bool, dim *int) (Embeddings, error) {
	if err := checkDimensions(m.Info(), dim); err != nil {
		return Embeddings{}, err
	}
	emb, err := s.embed(c, m, in, query, nil)
	if err == nil && len(emb.Lengths) != len(in) {
		err = robin.Errorf(robin.CodeModelFailed, "the model gave %d lengths for %d texts", len(emb.Lengths), len(in))
	}
	if err != nil {
		return emb, err
	}
	for i, v := range emb.Vectors {
		scale(v, float64(emb.Lengths[i])/length(v))
		if dim != nil {
			emb.Vectors[i] = v[:*dim]
		}
	}
	return emb, nil
}

// checkDirection refuses to cut a text's beginning.
func checkDirection(pointer string, direction *string) error {
	if direction != nil && !strings.EqualFold(*direction, "right") {
		return robin.Invalid(pointer, "must be Right or left out: only the end of a text can be cut")
	}
	return nil
}

// checkTruncated refuses texts that are too long unless the client lets them be cut.
func checkTruncated(truncated []bool, truncate *bool, most int) error {
	if truncate != nil && *truncate {
		return nil
	}
	for i, cut := range truncated {
		if cut {
			return robin.Errorf(robin.CodeTooLarge, "text %d has more than the %d tokens that the model reads; send truncate: true to go by its beginning", i, most)
		}
	}
	return nil
}

// similarityRequest is that of text-embeddings-inference.
type similarityRequest struct {
	Inputs     similarityInputs      `json:"inputs"`
	Parameters *similarityParameters `json:"parameters"`
}

type similarityInputs struct {
	SourceSentence string   `json:"source_sentence"`
	Sentences      []string `json:"sentences"`
}

type similarityParameters struct {
	Truncate            *bool   `json:"truncate"`
	TruncationDirection *string `json:"truncation_direction"`
	PromptName          *string `json:"prompt_name"`
}

// teiSimilarity answers the cosine of each sentence with the source sentence. All are embedded as one kind of text.
func (s *Server) teiSimilarity(c echo.Context) error {
	if _, err := queryParams(c, nil); err != nil {
		return err
	}
	var req similarityRequest
	if err := s.decode(c, &req, maxModelBody); err != nil {
		return err
	}
	if req.Inputs.SourceSentence == "" {
		return robin.Invalid("/inputs/source_sentence", "must not be empty")
	}
	sentences := texts(req.Inputs.Sentences)
	if err := sentences.check("/inputs/sentences", maxTexts-1); err != nil {
		return err
	}
	var p similarityParameters
	if req.Parameters != nil {
		p = *req.Parameters
	}
	query, err := isQuery("/parameters/prompt_name", p.PromptName)
	if err != nil {
		return err
	}
	if err := checkDirection("/parameters/truncation_direction", p.TruncationDirection); err != nil {
		return err
	}
	m, err := pick(s.opts.Embedders, "", "embedding")
	if err != nil {
		return err
	}
	emb, err := s.embed(c, m, append([]string{req.Inputs.SourceSentence}, sentences...), query, nil)
	if err != nil {
		return err
	}
	if err := checkTruncated(emb.Truncated, p.Truncate, m.Info().MaxTokens); err != nil {
		return err
	}
	source := emb.Vectors[0]
	cosines := make([]float32, len(sentences))
	for i, v := range emb.Vectors[1:] {
		dot := 0.0
		for j, x := range v {
			dot += float64(x) * float64(source[j])
		}
		cosines[i] = float32(dot / (length(v) * length(source)))
	}
	return c.JSON(http.StatusOK, cosines)
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
	if err := checkDirection("/truncation_direction", req.TruncationDirection); err != nil {
		return err
	}
	r, err := s.score(c, "", req.Query, req.Texts, 0, "/texts")
	if err != nil {
		return err
	}
	if err := checkTruncated(r.scores.Truncated, req.Truncate, r.model.MaxTokens); err != nil {
		return err
	}
	ans := make([]teiRank, len(r.order))
	for i, at := range r.order {
		ans[i] = teiRank{Index: at, Score: shortest(r.scores.Scores[at])}
		if req.RawScores != nil && *req.RawScores {
			ans[i].Score = shortest(r.scores.Raw[at])
		}
		if req.ReturnText != nil && *req.ReturnText {
			ans[i].Text = &req.Texts[at]
		}
	}
	return c.JSON(http.StatusOK, ans)
}

// tokenizeRequest is that of text-embeddings-inference.
type tokenizeRequest struct {
	Inputs           texts   `json:"inputs"`
	AddSpecialTokens *bool   `json:"add_special_tokens"` // default true
	PromptName       *string `json:"prompt_name"`        // default: no prompt
}

// simpleToken has no place when it is special, or when the model's tokenizer cannot tell.
type simpleToken struct {
	ID      int32  `json:"id"`
	Text    string `json:"text"`
	Special bool   `json:"special"`
	Start   *int   `json:"start"`
	Stop    *int   `json:"stop"`
}

// maxTokenized bounds the bytes of all texts, because each may be a token, and cost some 250 bytes until it is answered.
const maxTokenized = 64 << 10

// teiTokenize answers the tokens of each text, which may be longer than the model reads.
func (s *Server) teiTokenize(c echo.Context) error {
	if _, err := queryParams(c, nil); err != nil {
		return err
	}
	var req tokenizeRequest
	if err := s.decode(c, &req, maxModelBody); err != nil {
		return err
	}
	if err := req.Inputs.check("/inputs", maxTexts); err != nil {
		return err
	}
	size := 0
	for _, text := range req.Inputs {
		if size += len(text); size > maxTokenized {
			return robin.Errorf(robin.CodeTooLarge, "the texts have more than %d bytes together, which is what one request may ask the tokens of", maxTokenized)
		}
	}
	prompt := NoPrompt
	query, err := isQuery("/prompt_name", req.PromptName)
	switch {
	case err != nil:
		return err
	case query:
		prompt = QueryPrompt
	case req.PromptName != nil:
		prompt = DocumentPrompt
	}
	m, err := pick(s.opts.Embedders, "", "embedding")
	if err != nil {
		return err
	}
	leave, err := s.models.enter(c.Request().Context())
	if err != nil {
		return err
	}
	defer leave()
	ans, most, count := make([][]simpleToken, len(req.Inputs)), m.Info().MaxTokens, 0
	long := make([]bool, len(ans))
	for i, text := range req.Inputs {
		tokens := m.Tokens(text, prompt, req.AddSpecialTokens == nil || *req.AddSpecialTokens)
		ans[i] = make([]simpleToken, len(tokens))
		for j, t := range tokens {
			out := simpleToken{ID: t.ID, Text: t.Text, Special: t.Special}
			if t.Start >= 0 {
				out.Start, out.Stop = &tokens[j].Start, &tokens[j].Stop
			}
			ans[i][j] = out
		}
		long[i] = len(tokens) > most
		count += len(tokens)
	}
	ran{model: m.Info(), truncated: long, tokens: count}.head(c)
	return c.JSON(http.StatusOK, ans)
}

// teiInfoAnswer is that of text-embeddings-inference, about the model that /embed uses.
type teiInfoAnswer struct {
	ModelID   string  `json:"model_id"`
	ModelSHA  *string `json:"model_sha"`
	ModelType struct {
		Embedding struct {
			Pooling string `json:"pooling"`
		} `json:"embedding"`
	} `json:"model_type"`
	ModelDType            string  `json:"model_dtype"`
	MaxConcurrentRequests int     `json:"max_concurrent_requests"`
	MaxInputLength        int     `json:"max_input_length"`
	MaxBatchTokens        int     `json:"max_batch_tokens"`
	MaxBatchRequests      *int    `json:"max_batch_requests"`
	MaxClientBatchSize    int     `json:"max_client_batch_size"`
	AutoTruncate          bool    `json:"auto_truncate"`
	TokenizationWorkers   int     `json:"tokenization_workers"`
	Version               string  `json:"version"`
	SHA                   *string `json:"sha"`
	DockerLabel           *string `json:"docker_label"`
}

func (s *Server) teiInfo(c echo.Context) error {
	if _, err := queryParams(c, nil); err != nil {
		return err
	}
	m, err := pick(s.opts.Embedders, "", "embedding")
	if err != nil {
		return err
	}
	info := m.Info()
	ans := teiInfoAnswer{
		ModelID: info.Name, ModelSHA: &info.Fingerprint, ModelDType: info.Precision, MaxConcurrentRequests: s.opts.MaxModelRequests,
		MaxInputLength: info.MaxTokens, MaxBatchTokens: maxTexts * info.MaxTokens, MaxClientBatchSize: maxTexts,
		TokenizationWorkers: runtime.GOMAXPROCS(0), Version: s.opts.Version.Version,
	}
	ans.ModelType.Embedding.Pooling = info.Pooling
	return c.JSON(http.StatusOK, ans)
}
