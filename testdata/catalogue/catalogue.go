// Package catalogue carries the demo catalogue inside the program: 3,000 invented products that `robin serve --demo`
// imports. How they were made, and the judged queries beside them, is told in README.md.
package catalogue

import _ "embed"

//go:embed products.jsonl.gz
var products []byte

// Products returns the catalogue as gzipped JSON Lines, one product a line. The caller must not change the bytes.
func Products() []byte { return products }
