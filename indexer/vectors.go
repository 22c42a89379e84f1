package indexer

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"

	"robin"
)

// noModel is the embedder's name in settings whose documents bring all vectors.
const noModel = "none"

// brought stands where an embedder would in a collection without one.
type brought struct{ dim int }

func (b brought) Dim() int { return b.dim }

// Version tells vectors of other lengths apart. Vectors of one length that come from two models look the same to Robin:
// who brings vectors answers for their kind.
func (b brought) Version() robin.ModelVersion {
	kind := fmt.Sprintf("own-%d", b.dim)
	sum := sha256.Sum256([]byte(kind))
	return robin.ModelVersion{Name: noModel, Version: kind, Fingerprint: hex.EncodeToString(sum[:])}
}

func (brought) Embed(context.Context, []string, bool) (Embeddings, error) {
	return Embeddings{}, robin.Errorf(robin.CodeInvalid, "the collection has no embedder: its documents bring their vectors, and so must a search by meaning")
}

// embedderFor finds the embedder that settings name; nil when it is not there.
func (e *Engine) embedderFor(s robin.Settings) Embedder {
	if s.Embedder == noModel {
		return brought{s.Dimension}
	}
	return e.models().Embedders[s.Embedder]
}

// models are none when they could not be loaded; recovery tells why.
func (e *Engine) models() Models {
	m, _ := e.opt.Models()
	return m
}

// embeds says whether the collection has a model for texts.
func (s *schema) embeds() bool { return s.settings.Embedder != noModel }

// meaning is where a document's vectors come from: the document itself, its text, or nowhere.
type meaning struct {
	own  []float32 // the vector that the document brings
	text string    // that is to be embedded
	head int       // how much of it is the title
	hash [32]byte  // changes whenever the vectors must
}

// means works out a document's meaning.
func (s *schema) means(d *parsed) (m meaning, err *robin.Error) {
	if m.own, err = s.ownVector(d); err != nil {
		return m, err
	}
	if m.own != nil {
		m.hash = vectorHash(m.own)
		return m, nil
	}
	if s.embeds() {
		m.text, m.head = s.template.render(d)
	}
	m.hash = sha256.Sum256([]byte(m.text))
	return m, nil
}

// vectorHash stands in for the hash of a text. No text begins with 0xff, because documents are UTF-8.
func vectorHash(v []float32) [32]byte {
	b := make([]byte, 0, 1+4*len(v))
	b = append(b, 0xff)
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return sha256.Sum256(b)
}

// ownVector reads the vector that a document brings, at length 1, or nil when it brings none.
func (s *schema) ownVector(d *parsed) ([]float32, *robin.Error) {
	name := s.settings.VectorField
	if name == "" {
		return nil, nil
	}
	value, ok := lookup(d.fields, name)
	if !ok {
		return nil, nil
	}
	bad := func(code robin.Code, why string) *robin.Error {
		e := fieldError(name, "%s", why)
		e.Code = code
		return e
	}
	v, code, why := parseVector(value, s.embedder.Dim())
	if why != "" {
		return nil, bad(code, why)
	}
	if why := unit(v); why != "" {
		return nil, bad(robin.CodeNotFinite, why)
	}
	return v, nil
}

// parseVector reads a JSON array of dim numbers, whose syntax the scanner has accepted, or says what is wrong with it.
// Through encoding/json and []any this would be most of the time that reading such a document takes.
func parseVector(b []byte, dim int) (v []float32, code robin.Code, why string) {
	if b[0] != '[' {
		return nil, robin.CodeInvalid, "must be an array of numbers, not " + kindOf(b)
	}
	v = make([]float32, 0, dim)
	n := 0
	s := scanner{b: b, i: 1}
	for s.space(); s.peek() != ']'; s.space() {
		if s.peek() == ',' {
			s.i++
			s.space()
		}
		start := s.i
		if c := s.peek(); c != '-' && (c < '0' || c > '9') {
			return nil, robin.CodeInvalid, fmt.Sprintf("must be an array of numbers, but number %d is %s", n+1, kindOf(b[start:]))
		}
		if err := s.number(); err != nil {
			return nil, robin.CodeInvalid, err.Error()
		}
		if n++; n > dim {
			continue // to count them
		}
		x, err := strconv.ParseFloat(string(b[start:s.i]), 32)
		if err != nil {
			return nil, robin.CodeNotFinite, fmt.Sprintf("has %s as number %d, which is beyond 32-bit floats", short(string(b[start:s.i])), n)
		}
		v = append(v, float32(x))
	}
	if n != dim {
		return nil, robin.CodeInvalid, fmt.Sprintf("has %d numbers, the collection's vectors have %d", n, dim)
	}
	return v, "", ""
}

// Lengths beyond these have squares that 32-bit floats cannot hold in full, and come from a mistake and not from a model.
const (
	shortestVector = 1e-18
	longestVector  = 1e18
)

// unit brings a vector to length 1, or says why that cannot be done.
func unit(v []float32) (why string) {
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	switch length := math.Sqrt(sum); {
	case math.IsNaN(length) || math.IsInf(length, 0): // finite 32-bit floats cannot overflow the sum
		return "holds a number that is not finite"
	case length == 0:
		return "is zero, and so has no direction to compare"
	case length < shortestVector || length > longestVector:
		return fmt.Sprintf("has length %.3g; between %g and %g it can be brought to 1", length, shortestVector, longestVector)
	default:
		for i, x := range v {
			v[i] = float32(float64(x) / length)
		}
	}
	return ""
}

// queryVector checks and prepares the vector that a search brings.
func (s *search) queryVector() error {
	sc := s.v.schema
	given := s.q.Vector
	switch {
	case given == nil && sc.embeds(), given == nil && s.q.Q == "":
		return nil
	case given == nil && s.q.Mode == robin.ModeSemantic:
		return robin.Invalid("/vector", "is missing: collection %q has no embedder, so a search by meaning must bring a vector of %d numbers", s.c.name, sc.embedder.Dim())
	case given == nil:
		if s.q.Mode == robin.ModeHybrid {
			s.warn("the collection has no embedder and the search brings no vector, so it was searched by words alone")
			s.q.Mode = robin.ModeKeyword
		}
		return nil
	case s.q.Mode == robin.ModeKeyword:
		return robin.Invalid("/vector", "is of no use in mode keyword; use hybrid or semantic")
	case len(given) != sc.embedder.Dim():
		return robin.Invalid("/vector", "has %d numbers, the collection's vectors have %d", len(given), sc.embedder.Dim())
	}
	v := append([]float32(nil), given...)
	if why := unit(v); why != "" {
		return robin.Invalid("/vector", "%s", why)
	}
	s.q.Vector = v
	version := sc.embedder.Version()
	s.res.Models.Embedder = &version
	return nil
}
