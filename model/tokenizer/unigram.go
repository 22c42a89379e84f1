package tokenizer

import (
	"cmp"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"slices"
	"unicode/utf8"
)

// unigram cuts a word into the tokens whose scores, which are log probabilities, have the largest sum (Kudo, 2018), by
// Viterbi's algorithm. A character that no token is gets the unknown token; a run of them is one unknown.
type unigram struct {
	ids      map[string]int32
	scores   []float64
	unknown  int32
	worst    float64    // score of an unknown character
	bytes    [256]int32 // tokens <0x00> to <0xFF> for byte_fallback; -1 when there is none
	fallback bool       // spell unknown text in bytes
	trie     byteTrie
	cache    wordCache
}

// unknownPenalty is how much worse than the worst token an unknown character is.
const unknownPenalty = 10

// scoredToken is written ["token", score].
type scoredToken struct {
	token string
	score float64
}

func newUnigram(vocab []scoredToken, unknown *int32, fallback bool) (*unigram, error) {
	if unknown == nil || *unknown < 0 || int(*unknown) >= len(vocab) {
		return nil, errors.New("model Unigram has no unk_id in its vocabulary, so that some texts could not be encoded")
	}
	m := &unigram{
		ids: make(map[string]int32, len(vocab)), scores: make([]float64, len(vocab)), unknown: *unknown,
		worst: math.Inf(1), fallback: fallback, cache: wordCache{seed: maphash.MakeSeed()},
	}
	for i, t := range vocab {
		if math.IsNaN(t.score) || math.IsInf(t.score, 0) {
			return nil, fmt.Errorf("token %q has the score %g", t.token, t.score)
		}
		m.ids[t.token] = int32(i) // of two with one text the last counts
		m.scores[i] = t.score
		m.worst = min(m.worst, t.score)
	}
	m.worst -= unknownPenalty
	for b := range m.bytes {
		id, ok := m.ids[fmt.Sprintf("<0x%02X>", b)]
		if !ok {
			id = -1
		}
		m.bytes[b] = id
	}
	m.trie = newByteTrie(m.ids)
	return m, nil
}

func (m *unigram) size() int { return len(m.scores) }

func (m *unigram) id(token string) (int32, bool) {
	id, ok := m.ids[token]
	return id, ok
}

// pathEnd is the best way to cover a word up to some byte.
type pathEnd struct {
	score float64
	start int32 // of its last token; -1: not reached
	id    int32
}

func (m *unigram) tokenize(dst []int32, word string, s *scratch) []int32 {
	if word == "" {
		return dst
	}
	if len(word) > maxCachedBytes {
		return m.best(dst, word, s)
	}
	return m.cache.tokenize(dst, word, func(dst []int32) []int32 { return m.best(dst, word, s) })
}

// best appends the tokens of the best path.
func (m *unigram) best(dst []int32, word string, s *scratch) []int32 {
	s.path = slices.Grow(s.path[:0], len(word)+1)[:len(word)+1]
	path := s.path
	for i := range path {
		path[i] = pathEnd{start: -1}
	}
	for start := 0; start < len(word); {
		here := path[start].score
		_, width := utf8.DecodeRuneInString(word[start:])
		single := false
		node := int32(0)
		for end := start; end < len(word); {
			next, ok := m.trie.step(node, word[end])
			if !ok {
				break
			}
			node = next
			end++
			id := m.trie.nodes[node].id
			if id < 0 {
				continue
			}
			if score := here + m.scores[id]; path[end].start < 0 || score > path[end].score {
				path[end] = pathEnd{score, int32(start), id}
			}
			single = single || end == start+width
		}
		if !single {
			end := start + width
			if score := here + m.worst; path[end].start < 0 || score > path[end].score {
				path[end] = pathEnd{score, int32(start), m.unknown}
			}
		}
		start += width
	}
	first := len(dst)
	for end := len(word); end > 0; {
		p := path[end]
		start := int(p.start)
		if p.id == m.unknown { // with the unknowns before it
			for start > 0 && path[start].id == m.unknown {
				start = int(path[start].start)
			}
			dst = m.appendUnknown(dst, word[start:end])
		} else {
			dst = append(dst, p.id)
		}
		end = start
	}
	slices.Reverse(dst[first:])
	if len(path) > keptPath {
		s.path = nil
	}
	return dst
}

// keptPath bounds what one long word leaves in the memory of later texts.
const keptPath = 1 << 16

// appendUnknown appends the ids of a run of unknown characters, the last one first. A run may happen to be a token.
func (m *unigram) appendUnknown(dst []int32, run string) []int32 {
	if id, ok := m.ids[run]; ok {
		return append(dst, id)
	}
	if !m.fallback {
		return append(dst, m.unknown)
	}
	first := len(dst)
	for i := len(run) - 1; i >= 0; i-- {
		id := m.bytes[run[i]]
		if id < 0 {
			return append(dst[:first], m.unknown)
		}
		dst = append(dst, id)
	}
	return dst
}

// byteTrie finds the tokens that a text begins with, byte by byte. The edges of a node lie together, by their byte.
type byteTrie struct {
	nodes []trieSpan
	label []byte
	to    []int32
	root  [256]int32 // the nodes below the root; -1 when there is none
}

type trieSpan struct {
	from, to int32 // its edges
	id       int32 // of the token that ends here, or -1
}

func newByteTrie(ids map[string]int32) byteTrie {
	type token struct {
		text string
		id   int32
	}
	tokens := make([]token, 0, len(ids))
	for text, id := range ids {
		if text != "" {
			tokens = append(tokens, token{text, id})
		}
	}
	slices.SortFunc(tokens, func(a, b token) int { return cmp.Compare(a.text, b.text) })
	t := byteTrie{nodes: []trieSpan{{id: -1}}}
	// Level by level, so that the edges of a node come together. A pending node has the tokens of a range, which share their
	// first depth bytes.
	type pending struct {
		node, from, to int32
		depth          int
	}
	for queue := []pending{{0, 0, int32(len(tokens)), 0}}; len(queue) > 0; {
		p := queue[0]
		queue = queue[1:]
		i := p.from
		if i < p.to && len(tokens[i].text) == p.depth {
			t.nodes[p.node].id = tokens[i].id
			i++
		}
		t.nodes[p.node].from = int32(len(t.label))
		for i < p.to {
			b, j := tokens[i].text[p.depth], i
			for j < p.to && tokens[j].text[p.depth] == b {
				j++
			}
			child := int32(len(t.nodes))
			t.nodes = append(t.nodes, trieSpan{id: -1})
			t.label, t.to = append(t.label, b), append(t.to, child)
			queue = append(queue, pending{child, i, j, p.depth + 1})
			i = j
		}
		t.nodes[p.node].to = int32(len(t.label))
	}
	for b := range t.root {
		t.root[b] = -1
	}
	for i := t.nodes[0].from; i < t.nodes[0].to; i++ {
		t.root[t.label[i]] = t.to[i]
	}
	return t
}

// step goes from a node along a byte.
func (t *byteTrie) step(node int32, b byte) (int32, bool) {
	if node == 0 {
		next := t.root[b]
		return next, next >= 0
	}
	n := t.nodes[node]
	lo, hi := n.from, n.to
	for hi-lo > 8 {
		if mid := (lo + hi) / 2; t.label[mid] <= b {
			lo = mid
		} else {
			hi = mid
		}
	}
	for ; lo < hi; lo++ {
		if t.label[lo] == b {
			return t.to[lo], true
		}
	}
	return 0, false
}
