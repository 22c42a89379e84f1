package catalogue_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"robin/testdata/catalogue"
)

func TestEnlargedCatalogueBeginsWithItselfAndRepeatsNoText(t *testing.T) {
	file := func(n int, seed uint64) []byte {
		t.Helper()
		var b bytes.Buffer
		if err := catalogue.Enlarge(&b, n, seed); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	own := products(t)
	n := len(own) + 2000
	big := file(n, 1)
	if !bytes.Equal(big, file(n, 1)) || bytes.Equal(big, file(n, 2)) {
		t.Error("the seed does not decide the file")
	}
	brands, texts, ids := map[string][]string{}, map[string]bool{}, map[string]bool{}
	for _, p := range own {
		brands[p.Category] = append(brands[p.Category], p.Brand)
	}
	i := 0
	for dec := json.NewDecoder(bytes.NewReader(big)); dec.More(); i++ {
		var p product
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		if i < len(own) && (p.ID != own[i].ID || p.Title != own[i].Title || p.Description != own[i].Description || (p.InStock == nil) != (own[i].InStock == nil)) {
			t.Fatalf("product %d is %+v, want %+v", i, p, own[i])
		}
		if i >= len(own) {
			if !slices.Contains(brands[p.Category], p.Brand) || strings.Count(p.Description, " ") < 3 || p.Price <= 0 {
				t.Errorf("made product %d: %+v", i, p)
			}
			if texts[p.Title+p.Description] {
				t.Errorf("%q comes twice", p.Title)
			}
		}
		texts[p.Title+p.Description] = true
		if ids[p.ID] {
			t.Errorf("id %s comes twice", p.ID)
		}
		ids[p.ID] = true
	}
	if i != n {
		t.Errorf("%d products, want %d", i, n)
	}
	if few := file(10, 1); bytes.Count(few, []byte("\n")) != 10 {
		t.Errorf("10 products are %d lines", bytes.Count(few, []byte("\n")))
	}
}
