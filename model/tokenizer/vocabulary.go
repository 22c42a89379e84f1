package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// config is what tokenizer_config.json can change about a folder without tokenizer.json. The defaults are those of
// RobertaTokenizerFast and BertTokenizerFast.
type config struct {
	AddPrefixSpace       bool  `json:"add_prefix_space"`
	DoLowerCase          *bool `json:"do_lower_case"`
	TokenizeChineseChars *bool `json:"tokenize_chinese_chars"`
	StripAccents         *bool `json:"strip_accents"`
}

func readConfig(fsys fs.FS) (config, error) {
	var c config
	b, err := read(fsys, "tokenizer_config.json")
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil {
		return c, fmt.Errorf("tokenizer_config.json: %w", err)
	}
	return c, nil
}

// loadRoberta builds what tokenizer.json would say from RoBERTa's two older files.
func loadRoberta(fsys fs.FS, vocabulary, merges []byte) (*Tokenizer, error) {
	c, err := readConfig(fsys)
	if err != nil {
		return nil, err
	}
	var vocab map[string]int32
	if err := json.Unmarshal(vocabulary, &vocab); err != nil {
		return nil, fmt.Errorf("vocab.json: the file is damaged: %w", err)
	}
	var lines []string
	for line := range strings.Lines(string(merges)) {
		line = strings.TrimRight(line, "\r\n")
		if line != "" && !strings.HasPrefix(line, "#version") {
			lines = append(lines, line)
		}
	}
	tokens := make([]addedToken, 0, 5)
	for _, content := range []string{"<s>", "<pad>", "</s>", "<unk>", "<mask>"} {
		id, ok := vocab[content]
		if !ok {
			return nil, fmt.Errorf("vocab.json has no token %s, which RoBERTa needs", content)
		}
		tokens = append(tokens, addedToken{ID: id, Content: content, LStrip: content == "<mask>", Special: true})
	}
	return assemble("vocab.json", map[string]any{
		"added_tokens":   tokens,
		"pre_tokenizer":  map[string]any{"type": "ByteLevel", "add_prefix_space": c.AddPrefixSpace},
		"post_processor": map[string]any{"type": "RobertaProcessing", "cls": []any{"<s>", vocab["<s>"]}, "sep": []any{"</s>", vocab["</s>"]}},
		"model":          map[string]any{"type": "BPE", "vocab": vocab, "merges": lines, "unk_token": "<unk>"},
	})
}

// loadBert builds what tokenizer.json would say from BERT's older file.
func loadBert(fsys fs.FS, vocabulary []byte) (*Tokenizer, error) {
	c, err := readConfig(fsys)
	if err != nil {
		return nil, err
	}
	vocab := map[string]int32{}
	id := int32(0)
	for line := range strings.Lines(string(vocabulary)) {
		vocab[strings.TrimRight(line, "\r\n")] = id
		id++
	}
	tokens := make([]addedToken, 0, 5)
	for _, content := range []string{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"} {
		id, ok := vocab[content]
		if !ok {
			return nil, fmt.Errorf("vocab.txt has no token %s, which BERT needs", content)
		}
		tokens = append(tokens, addedToken{ID: id, Content: content, Special: true})
	}
	or := func(b *bool, def bool) bool {
		if b == nil {
			return def
		}
		return *b
	}
	return assemble("vocab.txt", map[string]any{
		"added_tokens": tokens,
		"normalizer": map[string]any{
			"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": or(c.TokenizeChineseChars, true),
			"strip_accents": c.StripAccents, "lowercase": or(c.DoLowerCase, true),
		},
		"pre_tokenizer":  map[string]any{"type": "BertPreTokenizer"},
		"post_processor": map[string]any{"type": "BertProcessing", "cls": []any{"[CLS]", vocab["[CLS]"]}, "sep": []any{"[SEP]", vocab["[SEP]"]}},
		"model": map[string]any{
			"type": "WordPiece", "vocab": vocab, "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
		},
	})
}

func assemble(source string, parts map[string]any) (*Tokenizer, error) {
	b, err := json.Marshal(parts)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", source, err)
	}
	t, err := Parse(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", source, err)
	}
	return t, nil
}
