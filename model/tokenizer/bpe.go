package tokenizer

import (
	"fmt"
	"hash/maphash"
)

// bpe merges the bytes of a word, pair by pair, in the order in which training found the pairs (Sennrich et al., 2016;
// over bytes: Radford et al., 2019).
type bpe struct {
	vocab        map[string]int32 // keys are bytes, not their printable stand-ins
	largest      int32
	bytes        [256]int32 // id of each single byte; -1 when the vocabulary lacks it
	unknown      int32      // for such bytes; -1: they are dropped
	fuseUnknown  bool       // a run of them gives one unknown
	ignoreMerges bool       // a word that is a token is not merged up
	merges       map[uint64]merge
	cache        wordCache
}

type merge struct{ rank, id int32 }

func pairKey(left, right int32) uint64 { return uint64(uint32(left))<<32 | uint64(uint32(right)) }

// runeBytes undoes GPT-2's map from bytes to printable characters, in which vocabularies are written.
var runeBytes = func() map[rune]byte {
	from := make(map[rune]byte, 256)
	next := rune(256)
	for b := range 256 {
		r := rune(b)
		if !('!' <= r && r <= '~' || 0xA1 <= r && r <= 0xAC || 0xAE <= r && r <= 0xFF) {
			r = next
			next++
		}
		from[r] = byte(b)
	}
	return from
}()

// toBytes reads a token in its printable spelling. Special tokens may have characters that stand for no byte: those give
// ok = false.
func toBytes(token string) (s string, ok bool) {
	b := make([]byte, 0, len(token))
	for _, r := range token {
		c, ok := runeBytes[r]
		if !ok {
			return "", false
		}
		b = append(b, c)
	}
	return string(b), true
}

func newBPE(vocab map[string]int32, merges [][2]string, unknown string) (*bpe, error) {
	m := &bpe{
		vocab: make(map[string]int32, len(vocab)), merges: make(map[uint64]merge, len(merges)),
		unknown: -1, cache: wordCache{seed: maphash.MakeSeed()},
	}
	for token, id := range vocab {
		if id < 0 {
			return nil, fmt.Errorf("token %q has the id %d", token, id)
		}
		m.largest = max(m.largest, id)
		if s, ok := toBytes(token); ok {
			m.vocab[s] = id
		}
	}
	if unknown != "" {
		id, ok := vocab[unknown]
		if !ok {
			return nil, fmt.Errorf("the unknown token %q is not in the vocabulary", unknown)
		}
		m.unknown = id
	}
	for b := range 256 {
		id, ok := m.vocab[string([]byte{byte(b)})]
		if !ok {
			id = -1
		}
		m.bytes[b] = id
	}
	for rank, pair := range merges {
		left, ok1 := vocab[pair[0]]
		right, ok2 := vocab[pair[1]]
		joined, ok3 := vocab[pair[0]+pair[1]]
		if !ok1 || !ok2 || !ok3 {
			return nil, fmt.Errorf("merge %d (%q with %q) is not made of tokens of the vocabulary", rank, pair[0], pair[1])
		}
		m.merges[pairKey(left, right)] = merge{rank: int32(rank), id: joined}
	}
	return m, nil
}

func (m *bpe) size() int { return int(m.largest) + 1 }

func (m *bpe) id(token string) (int32, bool) {
	s, ok := toBytes(token)
	if !ok {
		return 0, false
	}
	id, ok := m.vocab[s]
	return id, ok
}

func (m *bpe) tokenize(dst []int32, word string, s *scratch) []int32 {
	if len(word) == 1 && m.bytes[word[0]] >= 0 {
		return append(dst, m.bytes[word[0]])
	}
	if len(word) > maxCachedBytes {
		if m.ignoreMerges {
			if id, ok := m.vocab[word]; ok {
				return append(dst, id)
			}
		}
		return m.mergeLong(dst, word, s)
	}
	return m.cache.tokenize(dst, word, func(dst []int32) []int32 {
		if id, ok := m.vocab[word]; ok && m.ignoreMerges {
			return append(dst, id)
		}
		return m.mergeShort(dst, word)
	})
}

// initial appends the ids of the single bytes.
func (m *bpe) initial(dst []int32, word string) []int32 {
	fused := false
	for i := 0; i < len(word); i++ {
		id := m.bytes[word[i]]
		if id >= 0 {
			dst, fused = append(dst, id), false
			continue
		}
		if m.unknown >= 0 && !(m.fuseUnknown && fused) {
			dst, fused = append(dst, m.unknown), true
		}
	}
	return dst
}

// mergeShort looks for the best pair again after each merge: quadratic, and fastest for a few bytes.
func (m *bpe) mergeShort(dst []int32, word string) []int32 {
	var buf [maxCachedBytes]int32
	var found [maxCachedBytes]merge // found[i] merges ids[i] and ids[i+1]
	ids := m.initial(buf[:0], word)
	none := merge{rank: -1}
	look := func(i int) merge {
		if i < 0 || i+1 >= len(ids) {
			return none
		}
		if mg, ok := m.merges[pairKey(ids[i], ids[i+1])]; ok {
			return mg
		}
		return none
	}
	for i := range ids {
		found[i] = look(i)
	}
	for {
		best := -1
		for i := range len(ids) - 1 {
			if r := found[i].rank; r >= 0 && (best < 0 || r < found[best].rank) {
				best = i
			}
		}
		if best < 0 {
			return append(dst, ids...)
		}
		ids[best] = found[best].id
		copy(ids[best+1:], ids[best+2:])
		copy(found[best+1:], found[best+2:len(ids)])
		ids = ids[:len(ids)-1]
		found[best] = look(best)
		if best > 0 {
			found[best-1] = look(best - 1)
		}
	}
}

// symbol is a token in the making, linked to its neighbors; id -1 when it was merged into the one before.
type symbol struct{ id, prev, next int32 }

// candidate is a merge that was possible when it was pushed.
type candidate struct{ rank, pos, id int32 }

// mergeHeap is a binary heap: lowest rank first, then leftmost.
type mergeHeap []candidate

func (c candidate) before(d candidate) bool {
	return c.rank < d.rank || c.rank == d.rank && c.pos < d.pos
}

func (h *mergeHeap) push(c candidate) {
	*h = append(*h, c)
	a := *h
	for i := len(a) - 1; i > 0; {
		parent := (i - 1) / 2
		if !a[i].before(a[parent]) {
			break
		}
		a[i], a[parent] = a[parent], a[i]
		i = parent
	}
}

func (h *mergeHeap) pop() candidate {
	a := *h
	top := a[0]
	a[0] = a[len(a)-1]
	a = a[:len(a)-1]
	*h = a
	for i := 0; ; {
		child := 2*i + 1
		if child >= len(a) {
			break
		}
		if child+1 < len(a) && a[child+1].before(a[child]) {
			child++
		}
		if !a[child].before(a[i]) {
			break
		}
		a[i], a[child] = a[child], a[i]
		i = child
	}
	return top
}

// mergeLong keeps possible merges in a heap, O(n log n) in the bytes of the word.
func (m *bpe) mergeLong(dst []int32, word string, s *scratch) []int32 {
	start := len(dst)
	dst = m.initial(dst, word)
	n := int32(len(dst) - start)
	if n < 2 {
		return dst
	}
	symbols, heap := s.symbols[:0], s.merges[:0]
	for i, id := range dst[start:] {
		symbols = append(symbols, symbol{id: id, prev: int32(i) - 1, next: int32(i) + 1})
	}
	symbols[n-1].next = -1
	push := func(i int32) {
		if i < 0 || symbols[i].next < 0 {
			return
		}
		if mg, ok := m.merges[pairKey(symbols[i].id, symbols[symbols[i].next].id)]; ok {
			heap.push(candidate{rank: mg.rank, pos: i, id: mg.id})
		}
	}
	for i := range n - 1 {
		push(i)
	}
	for len(heap) > 0 {
		c := heap.pop()
		left := &symbols[c.pos]
		if left.id < 0 || left.next < 0 {
			continue
		}
		right := &symbols[left.next]
		if mg, ok := m.merges[pairKey(left.id, right.id)]; !ok || mg.id != c.id {
			continue // a neighbor changed since
		}
		left.id = c.id
		right.id = -1
		left.next = right.next
		if left.next >= 0 {
			symbols[left.next].prev = c.pos
		}
		push(left.prev)
		push(c.pos)
	}
	dst = dst[:start]
	for i := int32(0); i >= 0; i = symbols[i].next {
		dst = append(dst, symbols[i].id)
	}
	s.symbols, s.merges = keep(symbols), keep(heap)
	return dst
}

// keep drops a buffer that one extraordinary word made large.
func keep[S ~[]T, T any](s S) S {
	if cap(s) > 1<<16 {
		return nil
	}
	return s[:0]
}
