package importer

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"robin"
)

// sampleRows is how many documents a guess looks at.
const sampleRows = 1000

// role is what a field's name says about it. Names are compared without case, spaces and punctuation.
type role uint8

const (
	noRole role = iota
	roleID
	roleIdentifier
	roleTitle
	roleDescription
	roleFacet // brand, category, colour: both text and a keyword attribute
	roleLink
)

// textual roles hold text even where it looks like a number.
func (r role) textual() bool {
	return r == roleID || r == roleIdentifier || r == roleTitle || r == roleDescription || r == roleLink
}

// Names by role. Those of ids and titles are in order of preference.
var (
	idNames = []string{"id", "uid", "uuid", "guid", "uniqid", "uniqueid", "productid", "itemid", "documentid", "docid",
		"recordid", "articleid", "pid", "sku", "asin", "gtin", "ean", "upc", "isbn", "handle", "slug", "key"}
	identifierNames = []string{"sku", "mpn", "gtin", "gtin8", "gtin12", "gtin13", "gtin14", "ean", "ean8", "ean13", "upc",
		"isbn", "isbn10", "isbn13", "asin", "model", "modelno", "modelnumber", "modelcode", "partno", "partnumber",
		"barcode", "itemno", "itemnumber", "articleno", "articlenumber", "productcode", "productno", "productnumber",
		"itemcode", "manufacturerpartnumber", "styleno", "stylecode"}
	titleNames = []string{"title", "name", "productname", "producttitle", "productdisplayname", "displayname", "itemname",
		"itemtitle", "heading", "headline", "subject", "label"}
	descriptionNames = []string{"description", "text", "productdescription", "longdescription", "shortdescription",
		"abstract", "summary", "body", "content", "contents", "details", "overview", "about", "aboutproduct", "features",
		"bulletpoints", "productdetails", "productspecification", "specification", "specifications", "notes"}
	facetNames = []string{"brand", "brandname", "manufacturer", "vendor", "maker", "author", "artist", "publisher",
		"category", "categories", "productcategory", "maincategory", "subcategory", "categoryname", "department", "type",
		"producttype", "articletype", "genre", "collection", "colour", "color", "basecolour", "material", "tags",
		"keywords"}
	linkNames = []string{"url", "link", "href", "image", "images", "imageurl", "imageurls", "img", "imagelink",
		"thumbnail", "photo", "picture", "producturl", "website"}
)

func plainName(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r >= utf8.RuneSelf:
			return r
		}
		return -1
	}, name)
}

func roleOf(name string) role {
	switch n := plainName(name); {
	case slices.Contains(identifierNames, n):
		return roleIdentifier
	case slices.Contains(idNames, n), strings.HasSuffix(strings.ToLower(name), "_id"):
		return roleID
	case slices.Contains(titleNames, n):
		return roleTitle
	case slices.Contains(descriptionNames, n):
		return roleDescription
	case slices.Contains(facetNames, n):
		return roleFacet
	case slices.Contains(linkNames, n), strings.HasSuffix(n, "url"):
		return roleLink
	}
	return noRole
}

// field is what a sample shows of one top-level field.
type field struct {
	name    string
	role    role
	present int // documents with a value that is not null or empty

	strings, numbers, bools, objects int // documents by the kind of their value; an array counts as its values' kind
	ids, arrays, dates, links        int // ids: whose value can be an id

	values  int // strings seen, those in arrays each
	words   int
	longest int            // bytes of the longest string
	counts  map[string]int // of each value as text
}

// mostShare is the share of a field's values that decides about it. The others are faults, which the write refuses and
// names: one misspelt price among many must not make all prices words.
const mostShare = 0.95

func most(some, all int) bool { return some > 0 && float64(some) >= mostShare*float64(all) }

// Guess proposes settings that fit a sample of documents, by what most of each field's values are:
//
//   - id_field: the first field, by the usual names (id, _id, uniq_id, product_id, sku, asin, …, then any …_id), that
//     every document has and no two share. Without one there is no guess.
//   - identifiers: the other fields named like sku, mpn, gtin, ean, upc, isbn, model or a part number. They are searched
//     as text too, without stemming, for queries that hold a part number among other words; but not embedded.
//   - text: the title (by name, else the first wordy field) with weight 3; then brand, category and the like; then
//     descriptions; then other strings of four or more words. Links and dates are left out.
//   - attributes: numbers, booleans, dates (RFC 3339 or YYYY-MM-DD), and as keyword what is named like brand, category
//     or colour or is short with repeating values.
//   - embed_template: the text fields in order, without the identifiers and without what the title says already, such as
//     a brand that stands in every title: the model would only read it twice.
func Guess(sample []json.RawMessage) (robin.Settings, error) { return guess(sample, guessID) }

// guess is Guess with another way to choose the id.
func guess(sample []json.RawMessage, guessID func([]*field, int) (string, error)) (robin.Settings, error) {
	if len(sample) == 0 {
		return robin.Settings{}, robin.Errorf(robin.CodeInvalid, "there is no document to guess settings from; create the collection with settings first, or send at least one document")
	}
	fields := survey(sample)
	id, err := guessID(fields, len(sample))
	if err != nil {
		return robin.Settings{}, err
	}
	s := robin.Settings{IDField: id, Attributes: map[string]robin.AttributeType{}}
	var title *field
	var facets, descriptions, others, identifiers []*field
	for _, f := range fields {
		if f.name == id || f.present == 0 {
			continue
		}
		if f.isIdentifier() {
			s.Identifiers = append(s.Identifiers, f.name)
			if most(f.strings, f.present) {
				identifiers = append(identifiers, f)
			}
			continue
		}
		if t, ok := f.attribute(len(sample)); ok && len(s.Attributes) < 64 && !robin.ReservedAttribute(f.name) {
			s.Attributes[f.name] = t
		}
		if !most(f.strings, f.present) || f.looksLikeLink() || most(f.dates, f.present) {
			continue
		}
		switch {
		case f.role == roleTitle && (title == nil || preference(titleNames, f.name) < preference(titleNames, title.name)):
			if title != nil {
				others = append(others, title)
			}
			title = f
		case f.role == roleFacet:
			facets = append(facets, f)
		case f.role == roleDescription:
			descriptions = append(descriptions, f)
		case f.role == roleTitle || f.words >= 4*f.values:
			others = append(others, f)
		}
	}
	texts := slices.Concat(facets, descriptions, others)
	if title == nil { // the first field with words, or any string at all
		texts = slices.Concat(others, descriptions, facets)
		if len(texts) == 0 {
			texts = slices.DeleteFunc(slices.Clone(fields), func(f *field) bool {
				return f.name == id || !most(f.strings, f.present) || f.looksLikeLink()
			})
		}
	} else {
		texts = slices.Insert(texts, 0, title)
	}
	if len(texts) == 0 {
		return robin.Settings{}, robin.Errorf(robin.CodeInvalid, "no field holds text to search; create the collection with settings that list the text fields")
	}
	repeated := inTitle(sample, texts)
	var embedded []string
	for i, f := range texts[:min(len(texts), 16)] {
		weight := 1.0
		if i == 0 {
			weight = 3
		}
		s.Text = append(s.Text, robin.TextField{Field: f.name, Weight: weight})
		if !repeated[f.name] {
			embedded = append(embedded, "{{"+f.name+"}}")
		}
	}
	s.EmbedTemplate = strings.Join(embedded, ". ")
	s = s.Defaulted()
	for _, f := range identifiers[:min(len(identifiers), 16)] {
		s.Text = append(s.Text, robin.TextField{Field: f.name, Weight: 1, Analyzer: robin.Standard})
	}
	return s, s.Validate()
}

// saidShare is the share of a field's values that the title must hold for the field to add nothing to it.
const saidShare = 0.8

// inTitle names the fields of texts whose value the first of them, the title, holds in most documents.
func inTitle(sample []json.RawMessage, texts []*field) map[string]bool {
	said, present := map[string]int{}, map[string]int{}
	for _, raw := range sample {
		var doc map[string]any
		if json.Unmarshal(raw, &doc) != nil {
			continue // survey left it out too
		}
		title, _ := doc[texts[0].name].(string)
		title = strings.ToLower(title)
		for _, f := range texts[1:] {
			if v, ok := doc[f.name].(string); ok && v != "" {
				present[f.name]++
				if strings.Contains(title, strings.ToLower(v)) {
					said[f.name]++
				}
			}
		}
	}
	out := map[string]bool{}
	for name, n := range present {
		out[name] = float64(said[name]) >= saidShare*float64(n)
	}
	return out
}

func (f *field) isIdentifier() bool {
	named := f.role == roleIdentifier || f.role == roleID
	repeats := f.present >= 10 && len(f.counts) < f.present/2
	return named && most(f.ids, f.present) && !repeats
}

func (f *field) looksLikeLink() bool {
	return f.role == roleLink || 2*f.links > f.values
}

func (f *field) attribute(n int) (robin.AttributeType, bool) {
	switch {
	case most(f.numbers, f.present):
		return robin.Number, true
	case most(f.bools, f.present):
		return robin.Bool, true
	case most(f.dates, f.present):
		return robin.Date, true
	case !most(f.strings, f.present):
		return "", false // objects or mixed kinds
	}
	if f.looksLikeLink() || f.role == roleTitle || f.role == roleDescription || f.longest > 128 {
		return "", false
	}
	few := n < 20 && f.words <= 3*f.values || n >= 20 && 2*len(f.counts) <= f.values && f.words <= 5*f.values
	return robin.Keyword, f.role == roleFacet || few
}

// survey collects the fields in order of first appearance.
func survey(sample []json.RawMessage) []*field {
	var fields []*field
	byName := map[string]*field{}
	for _, doc := range sample[:min(len(sample), sampleRows)] {
		dec := json.NewDecoder(bytes.NewReader(doc))
		dec.UseNumber()
		if t, err := dec.Token(); err != nil || t != json.Delim('{') {
			continue
		}
		for dec.More() {
			key, err := dec.Token()
			if err != nil {
				break
			}
			var value any
			if err := dec.Decode(&value); err != nil {
				break
			}
			name := key.(string)
			f := byName[name]
			if f == nil {
				f = &field{name: name, role: roleOf(name), counts: map[string]int{}}
				byName[name] = f
				fields = append(fields, f)
			}
			f.add(value)
		}
	}
	return fields
}

func (f *field) add(value any) {
	switch v := value.(type) {
	case nil:
	case string:
		if v == "" {
			return
		}
		f.present++
		f.strings++
		f.addString(v)
		if len(v) <= robin.MaxIDBytes {
			f.ids++
		}
		if isDate(v) {
			f.dates++
		}
	case json.Number:
		f.present++
		f.numbers++
		if _, err := v.Int64(); err == nil {
			f.ids++
		}
		f.values++
		f.words++
		f.counts[v.String()]++
	case bool:
		f.present++
		f.bools++
	case []any:
		f.addArray(v)
	default:
		f.present++
		f.objects++
	}
}

func (f *field) addArray(values []any) {
	if len(values) == 0 {
		return
	}
	f.present++
	f.arrays++
	strings, numbers := 0, 0
	for _, v := range values {
		switch v := v.(type) {
		case string:
			strings++
			f.addString(v)
		case json.Number:
			numbers++
		}
	}
	switch len(values) {
	case strings:
		f.strings++
	case numbers:
		f.numbers++
	default:
		f.objects++
	}
}

func (f *field) addString(s string) {
	f.values++
	f.words += len(strings.Fields(s))
	f.longest = max(f.longest, len(s))
	if len(s) > 256 {
		s = s[:256] // long values differ early or are not told apart: this bounds the memory of a sample
	}
	f.counts[s]++
	if strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://") {
		f.links++
	}
}

func isDate(s string) bool {
	if len(s) < len(time.DateOnly) || s[4] != '-' {
		return false
	}
	if _, err := time.Parse(time.DateOnly, s); err == nil {
		return true
	}
	_, err := time.Parse(time.RFC3339, s)
	return err == nil
}
