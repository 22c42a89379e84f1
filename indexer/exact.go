package indexer

import (
	"hash/fnv"

	"robin/dedup"
	"robin/store"
)

// exactTexts finds documents by their normalised text, where a document can have a text and no vector: with the embedder
// "none". Elsewhere the graph finds the same text. It is made at the first look, and whoever has the collection's
// twinTurn may use it. An entry is a hint: the document may have changed since.
type exactTexts struct {
	sc    *schema // that it was made under; nil while it is not made
	first map[uint64]uint64
	more  map[uint64][]uint64 // beyond the first
}

func textKey(normalized string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(normalized))
	return h.Sum64()
}

// copies lists the documents that may have this text.
func (x *exactTexts) copies(r *store.Reader, sc *schema, normalized string) ([]uint64, error) {
	if sc.embeds() || normalized == "" {
		return nil, nil
	}
	if x.sc != sc {
		*x = exactTexts{first: map[uint64]uint64{}, more: map[uint64][]uint64{}}
		for doc, err := range r.Docs(0) {
			if err != nil {
				return nil, err
			}
			if text, err := sc.template.of(doc.Raw); err == nil { // Verify tells of others
				x.add(text, doc.Number)
			}
		}
		x.sc = sc
	}
	key := textKey(normalized)
	first, ok := x.first[key]
	if !ok {
		return nil, nil
	}
	return append([]uint64{first}, x.more[key]...), nil
}

func (x *exactTexts) add(text string, number uint64) {
	n := dedup.Normalized(text)
	if n == "" {
		return
	}
	key := textKey(n)
	if first, ok := x.first[key]; !ok {
		x.first[key] = number
	} else if first != number {
		x.more[key] = append(x.more[key], number)
	}
}

// wrote takes down what was written.
func (x *exactTexts) wrote(c *collection, sc *schema, items []*item) error {
	if x.sc != sc {
		return nil
	}
	err := c.st.View(func(r *store.Reader) error {
		for _, it := range items {
			if !it.stored || !it.changed() {
				continue
			}
			number, err := r.Number(it.doc.id)
			if isNotFound(err) {
				continue
			}
			if err != nil {
				return err
			}
			text, err := sc.template.of(it.raw)
			if err != nil {
				return err
			}
			x.add(text, number)
		}
		return nil
	})
	if err != nil {
		return c.storeError(err, "look for duplicates")
	}
	return nil
}
