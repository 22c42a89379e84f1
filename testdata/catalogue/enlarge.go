package catalogue

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"regexp"
	"strings"
)

// product is a line of the catalogue.
type product struct {
	ID          string  `json:"id"`
	SKU         string  `json:"sku"`
	Title       string  `json:"title"`
	Brand       string  `json:"brand"`
	Category    string  `json:"category"`
	Description string  `json:"description"`
	Price       float64 `json:"price"`
	Rating      float64 `json:"rating"`
	Reviews     int     `json:"reviews"`
	InStock     *bool   `json:"in_stock,omitempty"`
	Colour      string  `json:"colour,omitempty"`
	Added       string  `json:"added"`
}

var sentenceEnd = regexp.MustCompile(`[.!?] `)

// sentences cuts a description.
func sentences(text string) (parts []string) {
	begin := 0
	for _, at := range sentenceEnd.FindAllStringIndex(text, -1) {
		parts = append(parts, text[begin:at[0]+1])
		begin = at[1]
	}
	return append(parts, text[begin:])
}

// Enlarge writes n products as JSON Lines: first those of the catalogue, then products made of three of one category each:
// title and first sentence of the first, with the brand of the second and the colour of the third in place of its own, and
// further sentences of all three in random order. No two have the same title and description. One seed gives one file.
func Enlarge(w io.Writer, n int, seed uint64) error {
	z, err := gzip.NewReader(bytes.NewReader(products))
	if err != nil {
		return err
	}
	var all []product
	like := map[string][]product{}
	for d := json.NewDecoder(z); d.More(); {
		var p product
		if err := d.Decode(&p); err != nil {
			return err
		}
		all = append(all, p)
		like[p.Category] = append(like[p.Category], p)
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	seen := map[string]bool{}
	for _, p := range all[:min(n, len(all))] {
		seen[p.Title+"\n"+p.Description] = true
		if err := enc.Encode(p); err != nil {
			return err
		}
	}
	r := rand.New(rand.NewPCG(seed, 0))
	for made := len(all); made < n; {
		first := all[r.IntN(len(all))]
		others := like[first.Category]
		p := recombine(r, first, others[r.IntN(len(others))], others[r.IntN(len(others))])
		if seen[p.Title+"\n"+p.Description] {
			continue
		}
		seen[p.Title+"\n"+p.Description] = true
		p.ID, p.SKU = fmt.Sprintf("made-%07d", made), fmt.Sprintf("ZZ-%07d", made)
		if err := enc.Encode(p); err != nil {
			return err
		}
		made++
	}
	return nil
}

func recombine(r *rand.Rand, first, second, third product) product {
	p := first
	replace := func(text string) string {
		text = strings.ReplaceAll(text, first.Brand, second.Brand)
		if first.Colour != "" && third.Colour != "" {
			text = strings.ReplaceAll(text, first.Colour, third.Colour)
		}
		return text
	}
	p.Title, p.Brand = replace(first.Title), second.Brand
	if third.Colour != "" {
		p.Colour = third.Colour
	}
	own := sentences(first.Description)
	more := own[1:]
	for _, other := range []product{second, third} {
		more = append(more, sentences(other.Description)[1:]...)
	}
	r.Shuffle(len(more), func(i, j int) { more[i], more[j] = more[j], more[i] })
	p.Description = strings.Join(append([]string{replace(own[0])}, more[:min(len(more), 2+r.IntN(3))]...), " ")
	p.Price = float64(int(100*(0.8+0.4*r.Float64())*first.Price)) / 100
	p.Reviews = r.IntN(1 + 2*first.Reviews)
	return p
}
