package dedup_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"robin"
	"robin/dedup"
)

func TestCSVRowsCannotBeFormulas(t *testing.T) {
	cross := 0.5
	rep := robin.DuplicateReport{Clusters: []robin.DuplicateCluster{{
		Kept: "=cmd|' /C calc'!A0", Title: "+1, \"quoted\"", Why: "the first of 3",
		Members: []robin.DuplicateMember{
			{ID: "-12", Title: " @SUM(A1)", Cosine: 0.95, Score: 0.95, Reason: "cosine 0.95", Cross: &cross},
			{ID: "x\ny", Title: "\t=1", Cosine: 1, Score: 1, Reason: "same text"},
		},
	}}}
	var b bytes.Buffer
	if err := dedup.WriteCSV(&b, rep); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&b).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	want := [][]string{
		{"cluster", "role", "id", "kept_id", "cosine", "cross", "score", "reason", "title"},
		{"1", "kept", "'=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0", "", "", "", "the first of 3", "'+1, \"quoted\""},
		{"1", "duplicate", "'-12", "'=cmd|' /C calc'!A0", "0.9500", "0.5000", "0.9500", "cosine 0.95", "' @SUM(A1)"},
		{"1", "duplicate", "x\ny", "'=cmd|' /C calc'!A0", "1.0000", "", "1.0000", "same text", "'\t=1"},
	}
	for i := range want {
		if i >= len(rows) || strings.Join(rows[i], "|") != strings.Join(want[i], "|") {
			t.Errorf("row %d is %q, want %q", i, rows[i], want[i])
		}
	}
}

func TestJSONLHoldsTheReportEveryClusterAndEveryPair(t *testing.T) {
	src := newFlatSource(t, randomItems(rand.New(rand.NewPCG(21, 0))))
	found := find(t, src, dedup.Options{})
	o := dedup.CutOptions{Threshold: 0.93}
	rep := found.Cut(o)
	var b bytes.Buffer
	if err := found.WriteJSONL(&b, o); err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	same := 0
	for dec := json.NewDecoder(&b); dec.More(); {
		var line struct {
			Type, Kept, A, B, Reason string
			Same                     json.RawMessage
			Cosine                   float64
		}
		if err := dec.Decode(&line); err != nil {
			t.Fatal(err)
		}
		count[line.Type]++
		if line.Type != "pair" {
			continue
		}
		if line.A == "" || line.B == "" || line.Reason == "" || line.Cosine < rep.Floor {
			t.Fatalf("a pair that says too little: %+v", line)
		}
		if string(line.Same) == "true" && line.Reason != "same text" {
			same++
		}
	}
	if count["report"] != 1 || count["cluster"] != rep.Total || same != rep.Same || rep.Exact == 0 {
		t.Errorf("lines %v with %d pairs the same; the report says %d clusters, %d pairs the same", count, same, rep.Total, rep.Same)
	}
	if want := rep.Pairs + rep.Exact/2; count["pair"] != want { // each copy here has one original
		t.Errorf("%d pairs, want %d near and %d copies", count["pair"], rep.Pairs, rep.Exact/2)
	}
}
