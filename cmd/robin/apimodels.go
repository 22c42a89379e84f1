package main

import (
	"context"
	"math"
	"slices"

	"robin"
	"robin/api"
	"robin/model"
)

// apiEmbedder gives a textModel the API's words.
type apiEmbedder struct {
	*textModel
	info robin.ModelInfo
}

// Info implements api.Embedder.
func (m apiEmbedder) Info() robin.ModelInfo { return m.info }

// Embed implements api.Embedder.
func (m apiEmbedder) Embed(ctx context.Context, texts []string, query bool) (api.Embeddings, error) {
	e, err := m.textModel.Embedder.Embed(ctx, texts, kindOf(query))
	t := e.Timing
	out := api.Embeddings{Vectors: e.Vectors, Lengths: e.Lengths, Truncated: e.Truncated, Timing: api.Timing{Tokenize: t.Tokenize, Queue: t.Queue, Infer: t.Infer}}
	for _, n := range e.Tokens {
		out.Tokens += min(n, m.info.MaxTokens)
	}
	return out, err
}

// Tokens implements api.Embedder.
func (m apiEmbedder) Tokens(text string, prompt api.Prompt, special bool) []api.Token {
	tokens := m.textModel.Embedder.Tokens(text, prompt != api.NoPrompt, kindOf(prompt == api.QueryPrompt), special)
	out := make([]api.Token, len(tokens))
	for i, t := range tokens {
		out[i] = api.Token(t)
	}
	return out
}

// apiReranker gives a pairModel the API's words.
type apiReranker struct {
	*pairModel
	info robin.ModelInfo
}

// Info implements api.Reranker.
func (m apiReranker) Info() robin.ModelInfo { return m.info }

// Score implements api.Reranker. The API promises scores from 0 to 1, which a model without an activation does not give.
func (m apiReranker) Score(ctx context.Context, query string, passages []string, perPassage int) (api.Scores, error) {
	short := make([]bool, len(passages))
	if perPassage > 0 && perPassage < m.info.MaxTokens {
		passages = slices.Clone(passages)
		for i, p := range passages {
			passages[i], short[i] = m.Cut(p, perPassage)
		}
	}
	r, err := m.ScoreReport(ctx, query, passages)
	if err != nil {
		return api.Scores{}, err
	}
	out := api.Scores{Scores: r.Scores, Raw: make([]float32, len(r.Scores)), Truncated: r.Truncated, Tokens: r.Tokens,
		Timing: api.Timing{Tokenize: r.Tokenize, Infer: r.Infer}}
	for i, cut := range short {
		out.Truncated[i] = out.Truncated[i] || cut
	}
	if m.CrossEncoder.Info().Activation == "identity" {
		copy(out.Raw, r.Scores)
		for i, x := range r.Scores {
			out.Scores[i] = float32(1 / (1 + math.Exp(-float64(x))))
		}
		return out, nil
	}
	for i, x := range r.Scores {
		p := min(max(float64(x), 1e-7), 1-1e-7) // the ends have no finite logit
		out.Raw[i] = float32(math.Log(p / (1 - p)))
	}
	return out, nil
}

// modelInfo is a model's row in GET /models.
func modelInfo(i *model.Info, source string) robin.ModelInfo {
	return robin.ModelInfo{
		ModelVersion: robin.ModelVersion{Name: i.Name, Version: i.Version, Fingerprint: i.Fingerprint}, Task: string(i.Task), Family: i.Family,
		Dimension: i.Dim, MatryoshkaDimensions: i.MatryoshkaDimensions, MaxTokens: i.MaxTokens, Pooling: string(i.Pooling), Precision: i.Precision,
		Licence: i.Licence, Source: source,
	}
}

// info is the row of a loaded model.
func (m *models) info(name string, task model.Task) robin.ModelInfo {
	for _, i := range m.infos {
		if i.Name == name && i.Task == string(task) {
			return i
		}
	}
	return robin.ModelInfo{}
}

func (m *models) apiEmbedders() map[string]api.Embedder {
	out := map[string]api.Embedder{}
	for name, x := range m.embedders {
		out[name] = apiEmbedder{x, m.info(name, model.Embed)}
	}
	return out
}

func (m *models) apiRerankers() map[string]api.Reranker {
	out := map[string]api.Reranker{}
	for name, x := range m.rerankers {
		out[name] = apiReranker{x, m.info(name, model.Rerank)}
	}
	return out
}
