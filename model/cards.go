package model

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path"
	"slices"
	"strings"
)

// maxCardBytes bounds each of the small JSON files.
const maxCardBytes = 4 << 20

// cards are the small JSON files of a folder.
type cards struct {
	robin  robinCard
	config struct {
		ModelType             string         `json:"model_type"`
		Architectures         []string       `json:"architectures"`
		HiddenSize            int            `json:"hidden_size"`
		NumHiddenLayers       int            `json:"num_hidden_layers"`
		IntermediateSize      int            `json:"intermediate_size"`
		VocabSize             int            `json:"vocab_size"`
		MaxPositionEmbeddings int            `json:"max_position_embeddings"`
		PadTokenID            *int           `json:"pad_token_id"`
		NumLabels             int            `json:"num_labels"`
		ID2Label              map[string]any `json:"id2label"`
		MatryoshkaDimensions  []int          `json:"matryoshka_dimensions"`
	}
	modules  []struct{ Type, Path string }
	pooling  map[string]any
	sentence struct {
		MaxSeqLength int  `json:"max_seq_length"`
		DoLowerCase  bool `json:"do_lower_case"`
	}
	prompts struct {
		Prompts map[string]string `json:"prompts"`
	}
	tokens struct {
		ModelMaxLength float64 `json:"model_max_length"` // 1e30 when unknown
	}
}

// robinCard is robin.json, which says what the other files leave open. A field that is set wins over them.
type robinCard struct {
	Format        int               `json:"format"` // 1
	Name          string            `json:"name"`
	Version       string            `json:"version"`
	Task          Task              `json:"task"`
	Family        string            `json:"family"`
	Dimension     int               `json:"dimension"`
	MaxTokens     int               `json:"max_tokens"`
	Pooling       Pooling           `json:"pooling"`
	Normalize     *bool             `json:"normalize"`
	Matryoshka    []int             `json:"matryoshka_dimensions"`
	QueryPrefix   *string           `json:"query_prefix"`
	PassagePrefix *string           `json:"passage_prefix"`
	Activation    string            `json:"activation"`
	Licence       string            `json:"licence"`
	Float32Graph  string            `json:"float32_graph"` // beside a graph of another precision: see Rescue
	Files         map[string]string `json:"files"`         // SHA-256 in hex by path
}

// readCard reads an optional JSON file.
func readCard(fsys fs.FS, name string, into any) (found bool, err error) {
	info, err := fs.Stat(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("%s: %w", name, err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxCardBytes {
		return false, fmt.Errorf("%s is not a file of at most %d bytes", name, maxCardBytes)
	}
	b, err := fs.ReadFile(fsys, name)
	if err != nil {
		return false, fmt.Errorf("%s: %w", name, err)
	}
	if len(b) == 0 {
		return false, fmt.Errorf("%s is empty: fetch it again", name)
	}
	if err := json.Unmarshal(b, into); err != nil {
		return false, fmt.Errorf("%s is damaged (%w): fetch it again", name, err)
	}
	return true, nil
}

func readCards(fsys fs.FS) (*cards, error) {
	c := new(cards)
	found, err := readCard(fsys, "config.json", &c.config)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, errors.New("there is no config.json: this is not a model folder as Hugging Face writes it")
	}
	hasRobin, err := readCard(fsys, "robin.json", &c.robin)
	if err != nil {
		return nil, err
	}
	if hasRobin && c.robin.Format != 1 {
		return nil, fmt.Errorf("robin.json has the format %d, this Robin reads format 1", c.robin.Format)
	}
	poolingPath := "1_Pooling"
	if _, err := readCard(fsys, "modules.json", &c.modules); err != nil {
		return nil, err
	}
	for _, m := range c.modules {
		kind := m.Type[strings.LastIndexByte(m.Type, '.')+1:]
		switch kind {
		case "Transformer", "Normalize":
		case "Pooling":
			poolingPath = m.Path
		default:
			return nil, fmt.Errorf("modules.json lists a module %s, Robin knows Transformer, Pooling and Normalize", kind)
		}
	}
	if !fs.ValidPath(poolingPath) {
		return nil, fmt.Errorf("modules.json points out of the folder (%q)", poolingPath)
	}
	if _, err := readCard(fsys, path.Join(poolingPath, "config.json"), &c.pooling); err != nil {
		return nil, err
	}
	if _, err := readCard(fsys, "sentence_bert_config.json", &c.sentence); err != nil {
		return nil, err
	}
	if _, err := readCard(fsys, "config_sentence_transformers.json", &c.prompts); err != nil {
		return nil, err
	}
	if _, err := readCard(fsys, "tokenizer_config.json", &c.tokens); err != nil {
		return nil, err
	}
	return c, nil
}

// fill works out Info from the cards.
func (c *cards) fill(info *Info, o Options) error {
	r := &c.robin
	info.Name = cmp.Or(r.Name, o.Name, "model")
	info.Version = cmp.Or(r.Version, o.Version, "1")
	if err := errors.Join(CheckName(info.Name), CheckVersion(info.Version)); err != nil {
		return err
	}
	info.Licence = r.Licence

	info.Family = c.config.ModelType
	if !slices.Contains([]string{"roberta", "bert", "xlm-roberta"}, info.Family) {
		return fmt.Errorf("config.json says model_type %q, Robin runs roberta, bert and xlm-roberta", info.Family)
	}
	if r.Family != "" && r.Family != info.Family {
		return fmt.Errorf("robin.json says family %q and config.json model_type %q", r.Family, info.Family)
	}

	info.Task = Embed
	for _, a := range c.config.Architectures {
		if strings.HasSuffix(a, "ForSequenceClassification") {
			info.Task = Rerank
		}
	}
	switch r.Task {
	case "":
	case Embed, Rerank:
		if r.Task != info.Task {
			return fmt.Errorf("robin.json says task %q but config.json has the architecture %q", r.Task, c.config.Architectures)
		}
	default:
		return fmt.Errorf("robin.json says task %q, want %q or %q", r.Task, Embed, Rerank)
	}

	if err := c.fillMaxTokens(info); err != nil {
		return err
	}
	info.Lowercase = c.sentence.DoLowerCase
	if info.Task == Rerank {
		return c.fillRerank(info)
	}
	return c.fillEmbed(info)
}

// fillMaxTokens takes the smallest limit that a file states. RoBERTa's positions begin after the padding id, so that many
// rows of its position table are not for tokens.
func (c *cards) fillMaxTokens(info *Info) error {
	positions := c.config.MaxPositionEmbeddings
	if positions > 0 && info.Family != "bert" {
		pad := 1
		if c.config.PadTokenID != nil {
			pad = *c.config.PadTokenID
		}
		positions -= pad + 1
	}
	limit := math.MaxInt
	for _, n := range []int{positions, c.sentence.MaxSeqLength, c.robin.MaxTokens} {
		if n > 0 {
			limit = min(limit, n)
		}
	}
	if n := c.tokens.ModelMaxLength; n > 0 && n < 1e6 {
		limit = min(limit, int(n))
	}
	if limit == math.MaxInt {
		return errors.New("no file says how many tokens the model reads: set max_position_embeddings in config.json")
	}
	if c.robin.MaxTokens > positions && positions > 0 {
		return fmt.Errorf("robin.json says max_tokens %d but the model has positions for %d", c.robin.MaxTokens, positions)
	}
	if limit < 8 || limit > 1<<16 {
		return fmt.Errorf("the model would read %d tokens, want 8 to 65536", limit)
	}
	info.MaxTokens = limit
	return nil
}

func (c *cards) fillRerank(info *Info) error {
	labels := max(c.config.NumLabels, len(c.config.ID2Label))
	if labels > 1 {
		return fmt.Errorf("config.json has %d labels, a cross-encoder to rerank with has 1", labels)
	}
	info.Activation = cmp.Or(c.robin.Activation, "sigmoid")
	if info.Activation != "sigmoid" && info.Activation != "identity" {
		return fmt.Errorf("robin.json says activation %q, want sigmoid or identity", info.Activation)
	}
	return nil
}

func (c *cards) fillEmbed(info *Info) error {
	r := &c.robin
	info.Dim = c.config.HiddenSize
	if info.Dim < 1 || info.Dim > 1<<14 {
		return fmt.Errorf("config.json says hidden_size %d, want 1 to 16384", info.Dim)
	}
	if r.Dimension != 0 && r.Dimension != info.Dim {
		return fmt.Errorf("robin.json says %d dimensions and config.json %d: the files belong to different models", r.Dimension, info.Dim)
	}
	var err error
	if info.Pooling, err = c.poolingMode(); err != nil {
		return err
	}
	switch r.Pooling {
	case "":
	case Mean, CLS, Max:
		info.Pooling = r.Pooling
	default:
		return fmt.Errorf("robin.json says pooling %q, want mean, cls or max", r.Pooling)
	}
	// Without a Normalize module sentence-transformers leaves the length and compares by cosine, where it has no say.
	info.Normalize = true
	if r.Normalize != nil {
		info.Normalize = *r.Normalize
	}
	if info.MatryoshkaDimensions, err = c.matryoshka(info.Dim); err != nil {
		return err
	}
	info.QueryPrefix = c.prompts.Prompts["query"]
	info.PassagePrefix = cmp.Or(c.prompts.Prompts["passage"], c.prompts.Prompts["document"])
	if r.QueryPrefix != nil {
		info.QueryPrefix = *r.QueryPrefix
	}
	if r.PassagePrefix != nil {
		info.PassagePrefix = *r.PassagePrefix
	}
	return nil
}

// matryoshka lists the dimensions below dim that vectors may be cut to, in order.
func (c *cards) matryoshka(dim int) ([]int, error) {
	dims := c.config.MatryoshkaDimensions
	if c.robin.Matryoshka != nil {
		dims = c.robin.Matryoshka
	}
	dims = slices.Clone(dims)
	slices.Sort(dims)
	dims = slices.Compact(dims)
	if len(dims) > 0 && (dims[0] < 1 || dims[len(dims)-1] > dim) {
		return nil, fmt.Errorf("matryoshka_dimensions are %v, want numbers from 1 to the %d dimensions of the model", dims, dim)
	}
	return slices.DeleteFunc(dims, func(d int) bool { return d == dim }), nil
}

func (c *cards) poolingMode() (Pooling, error) {
	known := map[string]Pooling{
		"pooling_mode_cls_token": CLS, "pooling_mode_mean_tokens": Mean, "pooling_mode_max_tokens": Max,
		"cls": CLS, "mean": Mean, "max": Max,
	}
	var found []string
	for key, v := range c.pooling {
		if on, ok := v.(bool); ok && on && strings.HasPrefix(key, "pooling_mode") {
			found = append(found, key)
		}
		if name, ok := v.(string); ok && key == "pooling_mode" {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	switch {
	case len(found) == 0:
		return Mean, nil
	case len(found) > 1:
		return "", fmt.Errorf("the pooling's config.json joins %q, Robin knows one of mean, cls and max", found)
	}
	p, ok := known[found[0]]
	if !ok {
		return "", fmt.Errorf("the pooling's config.json says %s, Robin knows mean, cls and max", found[0])
	}
	return p, nil
}
