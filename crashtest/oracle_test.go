package crashtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"testing"
)

// oracle is the client's own list of what the server acknowledged.
type oracle struct {
	state  map[string]string   // id → the document's bytes; "" when it is not there
	doubts map[string][]string // id → what it may be instead: of requests whose answer never came
	acked  int                 // documents and deletions that were acknowledged, all together
}

func newOracle() *oracle {
	return &oracle{state: map[string]string{}, doubts: map[string][]string{}}
}

// acknowledged takes down what the server answered for; raw is "" for a deletion.
func (o *oracle) acknowledged(id, raw string) {
	o.state[id] = raw
	o.acked++
}

func (o *oracle) doubted(id, raw string) { o.doubts[id] = append(o.doubts[id], raw) }

// check proves the oracle against a freshly started server. What was in doubt is known from then on, and must stay.
func (o *oracle) check(t *testing.T, s *server, rng *rand.Rand) (documents int) {
	t.Helper()
	have := s.export(collection)
	for id := range have {
		if _, ok := o.state[id]; !ok && o.doubts[id] == nil {
			t.Errorf("%s was never sent", id)
		}
	}
	for id := range o.doubts {
		if _, ok := o.state[id]; !ok {
			o.state[id] = "" // and was new
		}
	}
	var live []string
	for id, raw := range o.state {
		got := have[id]
		switch {
		case got == raw || slices.Contains(o.doubts[id], got):
		case raw == "":
			t.Errorf("%s was deleted and is back: %s", id, got)
		case got == "":
			t.Errorf("%s was acknowledged and is lost", id)
		default:
			t.Errorf("%s is %s, acknowledged was %s", id, got, raw)
		}
		o.state[id] = got
		if got != "" {
			live = append(live, id)
		}
	}
	clear(o.doubts)
	slices.Sort(live)
	// The sets of the three places are compared whole by robin verify below; these searches prove that the answers
	// really come from the text index and from the graph.
	for range min(len(live), 12) {
		id := live[rng.IntN(len(live))]
		word := fmt.Sprintf("w%sx", id[2:])
		if f := s.search(collection, "keyword", word, 3); len(f.Hits) != 1 || f.Hits[0].ID != id {
			t.Errorf("keyword search for %s, the word of %s, gives %+v", word, id, f)
		}
		var d struct{ Title string }
		if err := json.Unmarshal([]byte(o.state[id]), &d); err != nil {
			t.Fatal(err)
		}
		f, ok := s.search(collection, "semantic", d.Title, 50), false
		for _, h := range f.Hits {
			ok = ok || h.ID == id && h.Scores.Vector != nil
		}
		if !ok {
			t.Errorf("semantic search for the text of %s does not find it among 50", id)
		}
	}
	return len(have)
}

// verify runs `robin verify` on the stopped data folder: every checksum, and that the three places hold the same ids.
func verify(t *testing.T, dir string, documents int) {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command(binary, "verify", "--data", dir, "--json")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("robin verify: %v\n%s%s", err, out, &stderr)
	}
	var rep struct {
		Collections []struct {
			Collection string
			Documents  int
			OK         bool
		}
	}
	if err := json.Unmarshal(out, &rep); err != nil {
		t.Fatalf("robin verify printed %s: %v", out, err)
	}
	if len(rep.Collections) != 1 || !rep.Collections[0].OK || rep.Collections[0].Documents != documents {
		t.Errorf("robin verify found %+v, want one sound collection of %d documents", rep.Collections, documents)
	}
}
