package main

import (
	"bytes"
	"encoding/json"
	"testing"
)

func TestOneSeedGivesOneFileOfWholeDocuments(t *testing.T) {
	file := func(seed uint64) []byte {
		var b bytes.Buffer
		if err := write(&b, 50, 24, 5, 0.6, seed); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	one := file(1)
	if !bytes.Equal(one, file(1)) || bytes.Equal(one, file(2)) {
		t.Error("the seed does not decide the file")
	}
	ids := map[string]bool{}
	for dec := json.NewDecoder(bytes.NewReader(one)); dec.More(); {
		var d struct {
			ID, Title string
			Price     float64
			Vector    []float32
		}
		if err := dec.Decode(&d); err != nil {
			t.Fatal(err)
		}
		if d.Title == "" || d.Price < 1 || len(d.Vector) != 24 {
			t.Errorf("got %+v", d)
		}
		ids[d.ID] = true
	}
	if len(ids) != 50 {
		t.Errorf("%d ids", len(ids))
	}
}
