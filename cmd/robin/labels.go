package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"robin"
)

// labelLine is a labelled pair and where it stands.
type labelLine struct {
	robin.Label
	line int
}

func pairs(lines []labelLine) []robin.Label {
	out := make([]robin.Label, len(lines))
	for i, l := range lines {
		out[i] = l.Label
	}
	return out
}

// labelWords are what a label may say.
var labelWords = map[string]bool{
	"1": true, "true": true, "yes": true,
	"0": false, "false": false, "no": false,
}

// readLabels reads labelled pairs: two ids and whether they are the same, by tabs or commas, with or without a header.
func readLabels(path string) ([]labelLine, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	text := strings.TrimPrefix(string(b), "\ufeff")
	r := csv.NewReader(strings.NewReader(text))
	r.FieldsPerRecord = -1
	if first, _, _ := strings.Cut(text, "\n"); strings.Contains(first, "\t") {
		r.Comma, r.LazyQuotes = '\t', true
	}
	var list []labelLine
	for n := 0; ; n++ {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		line, _ := r.FieldPos(0)
		if len(row) != 3 {
			return nil, fmt.Errorf("line %d has %d columns; it wants an id, another id, and yes or no", line, len(row))
		}
		l := labelLine{robin.Label{A: strings.TrimSpace(row[0]), B: strings.TrimSpace(row[1])}, line}
		same, ok := labelWords[strings.ToLower(strings.TrimSpace(row[2]))]
		switch {
		case !ok && n == 0:
			continue // the header
		case !ok:
			return nil, fmt.Errorf("line %d says %q; say yes or no, or 1 or 0", line, row[2])
		case l.A == "" || l.B == "" || l.A == l.B:
			return nil, fmt.Errorf("line %d does not name two different documents", line)
		}
		l.Same = same
		list = append(list, l)
	}
	if len(list) == 0 {
		return nil, errors.New("it holds no labelled pair")
	}
	if len(list) > robin.MaxDuplicateLabels {
		return nil, fmt.Errorf("it holds %d pairs, the limit is %d", len(list), robin.MaxDuplicateLabels)
	}
	return list, nil
}
