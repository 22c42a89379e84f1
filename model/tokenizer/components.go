package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// maxNesting bounds Sequence components within each other.
const maxNesting = 8

var errNesting = errors.New("the Sequence components are nested too deep")

func normalizers(b json.RawMessage, depth int) ([]normalizer, error) {
	typ, err := kind(b)
	if err != nil || typ == "" {
		return nil, err
	}
	if depth > maxNesting {
		return nil, errNesting
	}
	var c struct {
		bertOptions
		Normalizers []json.RawMessage `json:"normalizers"`
		Prepend     string            `json:"prepend"`
		Pattern     struct {
			String *string `json:"String"`
			Regex  *string `json:"Regex"`
		} `json:"pattern"`
		CharsMap   []byte `json:"precompiled_charsmap"` // base64
		Content    string `json:"content"`
		StripLeft  bool   `json:"strip_left"`
		StripRight bool   `json:"strip_right"`
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return nil, fmt.Errorf("normalizer %s: %w", typ, err)
	}
	one := func(n normalizer) ([]normalizer, error) { return []normalizer{n}, nil }
	switch typ {
	case "Sequence":
		var all []normalizer
		for _, raw := range c.Normalizers {
			n, err := normalizers(raw, depth+1)
			if err != nil {
				return nil, err
			}
			all = append(all, n...)
		}
		return all, nil
	case "Lowercase":
		return one(lower)
	case "NFC":
		return one(form(norm.NFC))
	case "NFD":
		return one(form(norm.NFD))
	case "NFKC":
		return one(form(norm.NFKC))
	case "NFKD":
		return one(form(norm.NFKD))
	case "StripAccents":
		return one(func(s string) string { return strip(s, unicode.M, laterMarks, formerMarks) })
	case "Strip":
		return one(func(s string) string {
			if c.StripLeft {
				s = strings.TrimLeftFunc(s, unicode.IsSpace)
			}
			if c.StripRight {
				s = strings.TrimRightFunc(s, unicode.IsSpace)
			}
			return s
		})
	case "BertNormalizer":
		return one(bert(c.bertOptions))
	case "Replace":
		if r := c.Pattern.Regex; r != nil && simpleRegexp.MatchString(*r) {
			re := regexp.MustCompile(*r)
			return one(func(s string) string { return re.ReplaceAllLiteralString(s, c.Content) })
		}
		if c.Pattern.String == nil || *c.Pattern.String == "" {
			return nil, fmt.Errorf("normalizer Replace is supported with a plain string as its pattern, or a repeated character such as \" {2,}\"; not with %s", b)
		}
		return one(func(s string) string { return strings.ReplaceAll(s, *c.Pattern.String, c.Content) })
	case "Precompiled":
		m, err := parseCharsMap(c.CharsMap)
		if err != nil {
			return nil, fmt.Errorf("normalizer Precompiled: %w", err)
		}
		return one(m.normalize)
	case "Prepend":
		return one(func(s string) string {
			if s == "" {
				return s
			}
			return c.Prepend + s
		})
	}
	return nil, fmt.Errorf("normalizer %q is not supported", typ)
}

// simpleRegexp are the expressions that mean the same in every dialect: a character that is repeated.
var simpleRegexp = regexp.MustCompile(`^[ a-zA-Z0-9\x{2581}](\+|\{[1-9][0-9]?,([1-9][0-9]?)?\})$`)

// splitters reads the pre-tokenizer. bytesOut says that its words are bytes for byte-level BPE.
func splitters(b json.RawMessage, depth int) (all []splitter, bytesOut bool, err error) {
	typ, err := kind(b)
	if err != nil || typ == "" {
		return nil, false, err
	}
	if depth > maxNesting {
		return nil, false, errNesting
	}
	var c struct {
		Pretokenizers  []json.RawMessage `json:"pretokenizers"`
		AddPrefixSpace *bool             `json:"add_prefix_space"`
		UseRegex       *bool             `json:"use_regex"`
		metaspace
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return nil, false, fmt.Errorf("pre-tokenizer %s: %w", typ, err)
	}
	switch typ {
	case "Sequence":
		for _, raw := range c.Pretokenizers {
			if bytesOut {
				return nil, false, errors.New("pre-tokenizer ByteLevel is supported as the last of a Sequence only")
			}
			s, out, err := splitters(raw, depth+1)
			if err != nil {
				return nil, false, err
			}
			all, bytesOut = append(all, s...), out
		}
		return all, bytesOut, nil
	case "ByteLevel":
		return []splitter{byteLevel(c.AddPrefixSpace != nil && *c.AddPrefixSpace, c.UseRegex == nil || *c.UseRegex)}, true, nil
	case "Metaspace":
		m, err := c.metaspace.splitter(c.AddPrefixSpace)
		return []splitter{m}, false, err
	case "BertPreTokenizer":
		return []splitter{bertWords}, false, nil
	case "Whitespace":
		return []splitter{wordsAndSymbols}, false, nil
	case "WhitespaceSplit":
		return []splitter{spaceWords}, false, nil
	}
	return nil, false, fmt.Errorf("pre-tokenizer %q is not supported", typ)
}

// processor reads the post-processor into the templates for one text and for two.
func (t *Tokenizer) processor(b json.RawMessage) (single, pair template, err error) {
	single = newTemplate([]piece{{text: 1}})
	pair = newTemplate([]piece{{text: 1}, {text: 2, typeID: 1}})
	typ, err := kind(b)
	if err != nil || typ == "" {
		return single, pair, err
	}
	var c struct {
		Processors    []json.RawMessage `json:"processors"`
		Sep, Cls      specialPair
		Single, Pair  []templatePiece
		SpecialTokens map[string]struct {
			IDs []int32 `json:"ids"`
		} `json:"special_tokens"`
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return single, pair, fmt.Errorf("post-processor %s: %w", typ, err)
	}
	switch typ {
	case "ByteLevel": // only moves offsets
		return single, pair, nil
	case "Sequence":
		seen := ""
		for _, raw := range c.Processors {
			typ, err := kind(raw)
			if err != nil {
				return single, pair, err
			}
			switch {
			case typ == "ByteLevel" || typ == "":
				continue
			case typ == "Sequence" || seen != "":
				return single, pair, fmt.Errorf("post-processor Sequence with %s after %q is not supported", typ, seen)
			}
			seen = typ
			if single, pair, err = t.processor(raw); err != nil {
				return single, pair, err
			}
		}
		return single, pair, nil
	case "RobertaProcessing", "BertProcessing":
		cls, sep := piece{id: c.Cls.ID}, piece{id: c.Sep.ID}
		if err := errors.Join(t.known(c.Cls.ID), t.known(c.Sep.ID)); err != nil {
			return single, pair, fmt.Errorf("post-processor %s: %w", typ, err)
		}
		single = newTemplate([]piece{cls, {text: 1}, sep})
		if typ == "RobertaProcessing" {
			return single, newTemplate([]piece{cls, {text: 1}, sep, sep, {text: 2}, sep}), nil
		}
		second := sep
		second.typeID = 1
		return single, newTemplate([]piece{cls, {text: 1}, sep, {text: 2, typeID: 1}, second}), nil
	case "TemplateProcessing":
		build := func(in []templatePiece, texts string) (template, error) {
			var out []piece
			found := ""
			for _, p := range in {
				switch {
				case p.Sequence != nil && (p.Sequence.ID == "A" || p.Sequence.ID == "B"):
					found += p.Sequence.ID
					out = append(out, piece{text: int(p.Sequence.ID[0]-'A') + 1, typeID: p.Sequence.TypeID})
				case p.SpecialToken != nil:
					ids := c.SpecialTokens[p.SpecialToken.ID].IDs
					if len(ids) == 0 {
						return template{}, fmt.Errorf("post-processor TemplateProcessing: special token %q has no ids", p.SpecialToken.ID)
					}
					for _, id := range ids {
						if err := t.known(id); err != nil {
							return template{}, fmt.Errorf("post-processor TemplateProcessing: %w", err)
						}
						out = append(out, piece{id: id, typeID: p.SpecialToken.TypeID})
					}
				default:
					return template{}, errors.New("post-processor TemplateProcessing: a piece is neither a special token nor sequence A or B")
				}
			}
			if found != texts {
				return template{}, fmt.Errorf("post-processor TemplateProcessing: the template has the sequences %q, want %q", found, texts)
			}
			return newTemplate(out), nil
		}
		if single, err = build(c.Single, "A"); err != nil {
			return single, pair, err
		}
		if len(c.Pair) > 0 {
			pair, err = build(c.Pair, "AB")
		}
		return single, pair, err
	}
	return single, pair, fmt.Errorf("post-processor %q is not supported", typ)
}

func (t *Tokenizer) known(id int32) error {
	if id < 0 || int(id) >= t.size {
		return fmt.Errorf("id %d is not in the vocabulary of %d", id, t.size)
	}
	return nil
}

// specialPair is written ["</s>", 2].
type specialPair struct {
	Token string
	ID    int32
}

// UnmarshalJSON reads the two-element array.
func (p *specialPair) UnmarshalJSON(b []byte) error {
	return json.Unmarshal(b, &[]any{&p.Token, &p.ID})
}

// templatePiece is one entry of a TemplateProcessing template.
type templatePiece struct {
	SpecialToken *struct {
		ID     string `json:"id"`
		TypeID int32  `json:"type_id"`
	}
	Sequence *struct {
		ID     string `json:"id"`
		TypeID int32  `json:"type_id"`
	}
}
