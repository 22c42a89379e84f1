package boltfile

import (
	"context"
	"os"
	"slices"
)

// Leaves are pages of a file that hold a bucket's values.
type Leaves struct {
	path     string
	pageSize int64
	pages    []uint64
}

// bbolt tells the system to read single pages, as they are touched. Where a file is not in memory, after the machine was started
// anew, one waits for each of them: a million vectors of 1 KB took half a minute. So whoever is about to read much of a file asks
// for it ahead.
const (
	fetchedTogether = 16 // pages between two that are fetched along with them
	sampled         = 32 // pages that tell whether a file is in memory
)

// Fetch asks the system to read the leaves, in the order in which they lie in the file. It is a wish: without it all works as
// before, and more slowly. Where a sample of them is in memory it does nothing.
func (l Leaves) Fetch(ctx context.Context) {
	if len(l.pages) == 0 {
		return
	}
	f, err := os.Open(l.path)
	if err != nil {
		return
	}
	defer f.Close()
	missing := false
	for i := range sampled {
		missing = missing || !inMemory(f, int64(l.pages[i*len(l.pages)/sampled])*l.pageSize)
	}
	if !missing {
		return
	}
	slices.Sort(l.pages)
	for rest := l.pages; len(rest) > 0 && ctx.Err() == nil; {
		n := 1
		for n < len(rest) && rest[n] <= rest[n-1]+fetchedTogether {
			n++
		}
		first, last := rest[0], rest[n-1]
		willNeed(f, int64(first)*l.pageSize, int64(last+1-first)*l.pageSize)
		rest = rest[n:]
	}
}

// FetchAll is Fetch of a whole file.
func FetchAll(path string) {
	if f, err := os.Open(path); err == nil {
		defer f.Close()
		willNeed(f, 0, 0)
	}
}
