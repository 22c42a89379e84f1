package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"sort"
	"strings"
	"sync"
)

// maxFileBytes bounds a tokenizer file; XLM-RoBERTa's, the largest in use, has 17 MB.
const maxFileBytes = 64 << 20

// Files names the files that Load may read, those of the form it would choose first coming first.
var Files = []string{"tokenizer.json", "vocab.json", "merges.txt", "vocab.txt", "tokenizer_config.json"}

// ErrMissing is wrapped when a folder has none of the files that make a tokenizer.
var ErrMissing = errors.New("no tokenizer.json, no vocab.json with merges.txt, and no vocab.txt")

// Load reads the tokenizer of a model folder: tokenizer.json if it is there, else vocab.json and merges.txt (RoBERTa), else
// vocab.txt (BERT).
func Load(fsys fs.FS) (*Tokenizer, error) {
	b, err := read(fsys, "tokenizer.json")
	if err == nil {
		t, err := Parse(b)
		if err != nil {
			return nil, fmt.Errorf("tokenizer.json: %w", err)
		}
		return t, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if b, err = read(fsys, "vocab.json"); err == nil {
		merges, err := read(fsys, "merges.txt")
		if err != nil {
			return nil, fmt.Errorf("vocab.json needs merges.txt beside it: %w", err)
		}
		return loadRoberta(fsys, b, merges)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if b, err = read(fsys, "vocab.txt"); err == nil {
		return loadBert(fsys, b)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrMissing
	}
	return nil, err
}

func read(fsys fs.FS, name string) ([]byte, error) {
	info, err := fs.Stat(fsys, name)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFileBytes {
		return nil, fmt.Errorf("%s has %d bytes, at most %d are read", name, info.Size(), maxFileBytes)
	}
	return fs.ReadFile(fsys, name)
}

// file is tokenizer.json. Its truncation and padding are settings of whoever saved it and are not used, but for the id of
// the padding token.
type file struct {
	AddedTokens   []addedToken    `json:"added_tokens"`
	Normalizer    json.RawMessage `json:"normalizer"`
	PreTokenizer  json.RawMessage `json:"pre_tokenizer"`
	PostProcessor json.RawMessage `json:"post_processor"`
	Model         json.RawMessage `json:"model"`
	Padding       *struct {
		PadID    int32  `json:"pad_id"`
		PadToken string `json:"pad_token"`
	} `json:"padding"`
}

// Parse reads a tokenizer.json.
func Parse(data []byte) (*Tokenizer, error) {
	var f file
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, fmt.Errorf("the file is damaged: %w", err)
	}
	t := &Tokenizer{raw: newTokenSet(), normalized: newTokenSet()}
	t.scratch.New = func() any { return new(scratch) }

	norms, err := normalizers(f.Normalizer, 0)
	if err != nil {
		return nil, err
	}
	t.normalize = chain(norms)
	splits, bytesOut, err := splitters(f.PreTokenizer, 0)
	if err != nil {
		return nil, err
	}
	t.split = chainSplitters(splits)
	if t.model, err = parseModel(f.Model, bytesOut); err != nil {
		return nil, err
	}
	if err := t.addTokens(f.AddedTokens); err != nil {
		return nil, err
	}
	if t.single, t.pair, err = t.processor(f.PostProcessor); err != nil {
		return nil, err
	}
	if t.trims, err = trims(f.PostProcessor); err != nil {
		return nil, err
	}
	if t.dropsSpaces, err = dropsSpaces(f.PreTokenizer); err != nil {
		return nil, err
	}
	t.spellings = sync.OnceValue(t.spellAll)
	if f.Padding != nil {
		t.padID = f.Padding.PadID
	} else if t.padID, err = t.findPad(); err != nil {
		return nil, err
	}
	if t.padID < 0 || int(t.padID) >= t.size {
		return nil, fmt.Errorf("the padding id %d is not in the vocabulary of %d", t.padID, t.size)
	}
	return t, nil
}

func (t *Tokenizer) findPad() (int32, error) {
	for _, token := range []string{"<pad>", "[PAD]"} {
		if id, ok := t.ID(token); ok {
			return id, nil
		}
	}
	return 0, errors.New("there is no padding token: neither padding.pad_id nor a token <pad> or [PAD]")
}

// addTokens registers the added tokens: special ones first, as Hugging Face's library does, which decides between two with
// the same text.
func (t *Tokenizer) addTokens(tokens []addedToken) error {
	tokens = append([]addedToken(nil), tokens...)
	sort.SliceStable(tokens, func(i, j int) bool { return tokens[i].Special && !tokens[j].Special })
	t.size = t.model.size()
	for _, tok := range tokens {
		if tok.ID < 0 || tok.ID > 1<<24 {
			return fmt.Errorf("added token %q has the id %d", tok.Content, tok.ID)
		}
		if id, ok := t.model.id(tok.Content); ok && id != tok.ID {
			return fmt.Errorf("added token %q has the id %d here and %d in the vocabulary", tok.Content, tok.ID, id)
		}
		t.size = max(t.size, int(tok.ID)+1)
		set, pattern := t.raw, tok.Content
		if tok.Normalized {
			set, pattern = t.normalized, t.normalize(tok.Content)
		}
		if err := set.add(tok, pattern); err != nil {
			return err
		}
	}
	return nil
}

// kind reads the type of a component; "" for null or a missing one.
func kind(b json.RawMessage) (string, error) {
	if len(b) == 0 || bytes.Equal(b, []byte("null")) {
		return "", nil
	}
	var t struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(b, &t); err != nil {
		return "", fmt.Errorf("a component is damaged: %w", err)
	}
	if t.Type == "" {
		return "", errors.New("a component has no type")
	}
	return t.Type, nil
}

func parseModel(b json.RawMessage, bytesOut bool) (wordModel, error) {
	var m struct {
		Type                    string           `json:"type"`
		Vocab                   map[string]int32 `json:"vocab"`
		Merges                  []mergeLine      `json:"merges"`
		Dropout                 *float64         `json:"dropout"`
		UnkToken                *string          `json:"unk_token"`
		ContinuingSubwordPrefix *string          `json:"continuing_subword_prefix"`
		EndOfWordSuffix         *string          `json:"end_of_word_suffix"`
		FuseUnk                 bool             `json:"fuse_unk"`
		ByteFallback            bool             `json:"byte_fallback"`
		IgnoreMerges            bool             `json:"ignore_merges"`
		MaxInputCharsPerWord    int              `json:"max_input_chars_per_word"`
	}
	var head struct {
		Type   string          `json:"type"`
		Merges json.RawMessage `json:"merges"`
	}
	if len(b) == 0 {
		return nil, errors.New("there is no model section")
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return nil, fmt.Errorf("the model section is damaged: %w", err)
	}
	switch {
	case head.Type == "BPE", head.Type == "WordPiece":
	case head.Type == "Unigram":
		if bytesOut {
			return nil, errors.New("model Unigram after pre-tokenizer ByteLevel is not supported")
		}
		return parseUnigram(b)
	case head.Type == "" && len(head.Merges) > 0:
		head.Type = "BPE" // files older than 2020 do not say it
	default:
		return nil, fmt.Errorf("model type %q is not supported: BPE (byte-level), WordPiece and Unigram are", head.Type)
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("the model section is damaged: %w", err)
	}
	if len(m.Vocab) == 0 {
		return nil, errors.New("the vocabulary is empty")
	}
	if head.Type == "WordPiece" {
		if bytesOut {
			return nil, errors.New("model WordPiece after pre-tokenizer ByteLevel is not supported")
		}
		return newWordPiece(m.Vocab, text(m.UnkToken), text(m.ContinuingSubwordPrefix), m.MaxInputCharsPerWord)
	}
	switch {
	case !bytesOut:
		return nil, errors.New("model BPE is supported after pre-tokenizer ByteLevel only")
	case m.Dropout != nil && *m.Dropout != 0:
		return nil, errors.New("BPE dropout is for training and makes ids random: save the tokenizer without it")
	case text(m.ContinuingSubwordPrefix) != "" || text(m.EndOfWordSuffix) != "":
		return nil, errors.New("BPE with continuing_subword_prefix or end_of_word_suffix is not supported")
	case m.ByteFallback:
		return nil, errors.New("BPE with byte_fallback is not supported")
	}
	merges := make([][2]string, len(m.Merges))
	for i, mg := range m.Merges {
		merges[i] = mg
	}
	bpe, err := newBPE(m.Vocab, merges, text(m.UnkToken))
	if err != nil {
		return nil, err
	}
	bpe.fuseUnknown, bpe.ignoreMerges = m.FuseUnk, m.IgnoreMerges
	return bpe, nil
}

func parseUnigram(b json.RawMessage) (wordModel, error) {
	var m struct {
		UnkID        *int32        `json:"unk_id"`
		Vocab        []scoredToken `json:"vocab"`
		ByteFallback bool          `json:"byte_fallback"`
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("the model section is damaged: %w", err)
	}
	return newUnigram(m.Vocab, m.UnkID, m.ByteFallback)
}

// UnmarshalJSON reads ["token", score].
func (t *scoredToken) UnmarshalJSON(b []byte) error {
	var pair []json.RawMessage
	if err := json.Unmarshal(b, &pair); err != nil {
		return err
	}
	if len(pair) != 2 {
		return fmt.Errorf("%s is not a token and its score", b)
	}
	return errors.Join(json.Unmarshal(pair[0], &t.token), json.Unmarshal(pair[1], &t.score))
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// mergeLine is written "a b" in older files and ["a","b"] in newer ones.
type mergeLine [2]string

// UnmarshalJSON reads both spellings.
func (m *mergeLine) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '[' {
		var pair []string
		if err := json.Unmarshal(b, &pair); err != nil {
			return err
		}
		if len(pair) != 2 {
			return fmt.Errorf("merge %s has not two parts", b)
		}
		*m = mergeLine{pair[0], pair[1]}
		return nil
	}
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	left, right, ok := strings.Cut(s, " ")
	if !ok || strings.Contains(right, " ") {
		return fmt.Errorf("merge %q has not two parts", s)
	}
	*m = mergeLine{left, right}
	return nil
}
