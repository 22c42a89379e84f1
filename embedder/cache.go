package embedder

import (
	"container/list"
	"slices"
	"strings"
	"sync"
)

// maxCachedText keeps long pastes out of the cache, whose memory is so bounded.
const maxCachedText = 1024

// cache holds the vectors of the queries last asked for. A nil cache holds nothing.
type cache struct {
	size int
	mu   struct {
		sync.Mutex
		entries map[string]*list.Element // of *entry
		recent  *list.List               // the last used first
	}
}

type cached struct {
	vector    []float32
	length    float32
	tokens    int
	truncated bool
}

type entry struct {
	text string
	cached
}

func newCache(size int) *cache {
	if size <= 0 {
		return nil
	}
	c := &cache{size: size}
	c.mu.entries, c.mu.recent = make(map[string]*list.Element), list.New()
	return c
}

// get gives a copy, since callers own what they get.
func (c *cache) get(text string) (cached, bool) {
	if c == nil {
		return cached{}, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	el, ok := c.mu.entries[text]
	if !ok {
		return cached{}, false
	}
	c.mu.recent.MoveToFront(el)
	hit := el.Value.(*entry).cached
	hit.vector = slices.Clone(hit.vector)
	return hit, true
}

func (c *cache) put(text string, v cached) {
	if c == nil || len(text) > maxCachedText {
		return
	}
	v.vector = slices.Clone(v.vector)
	c.mu.Lock()
	defer c.mu.Unlock()
	if el, ok := c.mu.entries[text]; ok {
		el.Value.(*entry).cached = v
		c.mu.recent.MoveToFront(el)
		return
	}
	text = strings.Clone(text)
	c.mu.entries[text] = c.mu.recent.PushFront(&entry{text, v})
	if c.mu.recent.Len() > c.size {
		last := c.mu.recent.Back()
		c.mu.recent.Remove(last)
		delete(c.mu.entries, last.Value.(*entry).text)
	}
}
