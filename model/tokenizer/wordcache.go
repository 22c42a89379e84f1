package tokenizer

import (
	"hash/maphash"
	"slices"
	"strings"
	"sync/atomic"
)

// wordCache keeps the ids of words. It is direct-mapped: a word has one slot, and the last word in it stays. Its memory is
// bounded by cacheSlots × (the entry, a word of at most maxCachedBytes, its ids): 6 MiB at most. It may be used from several
// goroutines.
type wordCache struct {
	slots [cacheSlots]atomic.Pointer[cachedWord]
	seed  maphash.Seed
}

const (
	cacheSlots     = 1 << 15
	maxCachedBytes = 32 // of a word that is kept
)

type cachedWord struct {
	word string
	ids  []int32
}

// tokenize appends the ids of a word of at most maxCachedBytes: those that are kept, or those that compute appends, and
// keeps them.
func (c *wordCache) tokenize(dst []int32, word string, compute func(dst []int32) []int32) []int32 {
	slot := &c.slots[maphash.String(c.seed, word)%cacheSlots]
	if known := slot.Load(); known != nil && known.word == word {
		return append(dst, known.ids...)
	}
	first := len(dst)
	dst = compute(dst)
	slot.Store(&cachedWord{word: strings.Clone(word), ids: slices.Clone(dst[first:])})
	return dst
}
