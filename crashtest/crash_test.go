// Package crashtest kills the real server and cuts its power while it imports, and proves that what was acknowledged
// is still there, in the store, in the graph and in the text index alike.
package crashtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// oracle is the client's own list of what the server acknowledged.
type oracle struct {
	mu      sync.Mutex
	acked   map[string]string // id → document bytes; "" when its deletion was acknowledged
	unknown map[string]bool   // ids of requests whose answer never came: either state is right
}

func newOracle() *oracle { return &oracle{acked: map[string]string{}, unknown: map[string]bool{}} }

const collection = "crash"

var settings = []byte(`{"id_field":"id","text":[{"field":"title"}],"attributes":{"n":"number"}}`)

var goods = []string{"kettle", "rucksack", "lamp", "drill", "scarf", "tripod", "teapot", "ladder", "blanket", "monitor"}

// document makes document i in its given revision. Its word is unique to it, so that a keyword search proves it.
func document(i, revision int) (id, raw string) {
	id = fmt.Sprintf("p-%d", i)
	return id, fmt.Sprintf(`{"id":%q,"title":"%s number w%dx revision r%d","n":%d}`, id, goods[i%len(goods)], i, revision, i)
}

// load imports small batches, with updates and deletes of earlier documents among them, until the server goes away.
// next is the first document number that was never used; it returns the new one.
func load(s *server, o *oracle, rng *rand.Rand, next int) int {
	for batch := 0; ; batch++ {
		var body bytes.Buffer
		docs := map[string]string{}
		for range 1 + rng.IntN(24) {
			i, revision := next, 0
			if next > 10 && rng.IntN(4) == 0 {
				i, revision = rng.IntN(next), rng.IntN(1000)+1
			} else {
				next++
			}
			id, raw := document(i, revision)
			if _, again := docs[id]; again {
				continue
			}
			docs[id] = raw
			body.WriteString(raw + "\n")
		}
		var rep struct{ Indexed, Failed int }
		ok, _ := s.send("POST", "/collections/"+collection+"/documents/import?format=jsonl", "application/x-ndjson", body.Bytes(), &rep)
		o.mu.Lock()
		for id, raw := range docs {
			switch {
			case ok && rep.Indexed == len(docs):
				o.acked[id] = raw
				delete(o.unknown, id)
			default:
				o.unknown[id] = true
			}
		}
		o.mu.Unlock()
		if !ok {
			return next
		}
		if batch%5 == 4 {
			id, _ := document(rng.IntN(next), 0)
			b, _ := json.Marshal(map[string]any{"ids": []string{id}})
			ok, _ := s.send("POST", "/collections/"+collection+"/documents/delete", "application/json", b, nil)
			o.mu.Lock()
			if ok {
				o.acked[id] = ""
				delete(o.unknown, id)
			} else {
				o.unknown[id] = true
			}
			o.mu.Unlock()
			if !ok {
				return next
			}
		}
	}
}

// check proves the oracle against a freshly started server.
func check(t *testing.T, s *server, o *oracle, rng *rand.Rand) (documents int) {
	t.Helper()
	have := s.export(collection)
	var live []string
	for id, raw := range o.acked {
		if o.unknown[id] {
			continue
		}
		switch got, ok := have[id]; {
		case raw == "" && ok:
			t.Errorf("%s was deleted and is back: %s", id, got)
		case raw != "" && !ok:
			t.Errorf("%s was acknowledged and is lost", id)
		case raw != "" && got != raw:
			t.Errorf("%s is %s, acknowledged was %s", id, got, raw)
		}
		if raw != "" {
			live = append(live, id)
		}
	}
	for id := range have {
		if _, ok := o.acked[id]; !ok && !o.unknown[id] {
			t.Errorf("%s was never sent", id)
		}
	}
	// The sets of the three places are compared whole by robin verify below; these searches prove that the answers
	// really come from the text index and from the graph.
	for range min(len(live), 12) {
		id := live[rng.IntN(len(live))]
		word := fmt.Sprintf("w%sx", id[2:])
		if f := s.search(collection, "keyword", word, 3); len(f.Hits) != 1 || f.Hits[0].ID != id {
			t.Errorf("keyword search for %s, the word of %s, gives %+v", word, id, f)
		}
		var d struct{ Title string }
		if err := json.Unmarshal([]byte(o.acked[id]), &d); err != nil {
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

func seeded(t *testing.T) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	if v := os.Getenv("ROBIN_SEED"); v != "" {
		if _, err := fmt.Sscan(v, &seed); err != nil {
			t.Fatalf("ROBIN_SEED: %v", err)
		}
	}
	t.Logf("ROBIN_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

func TestNothingAcknowledgedIsLostByKill(t *testing.T) {
	rng := seeded(t)
	dir, o, next := t.TempDir(), newOracle(), 0
	kills := count(t, "ROBIN_CRASH_KILLS", 6)
	for round := range kills {
		s := start(t, dir)
		if round == 0 {
			if _, err := s.send("PUT", "/collections/"+collection, "application/json", settings, nil); err != nil {
				t.Fatal(err)
			}
		} else {
			check(t, s, o, rng)
		}
		// 50 to 1,500 ms of import, then kill -9: within a batch, a commit, a checkpoint or a merge, as it falls.
		timer := time.AfterFunc(time.Duration(50+rng.IntN(1450))*time.Millisecond, func() {
			_ = s.cmd.Process.Kill()
		})
		next = load(s, o, rng, next)
		timer.Stop()
		s.kill()
		if t.Failed() {
			t.Fatalf("failed in round %d of %d", round, kills)
		}
	}
	s := start(t, dir)
	n := check(t, s, o, rng)
	s.stop()
	verify(t, dir, n)
	t.Logf("%d kills, %d documents acknowledged, %d live at the end, %d of unknown outcome", kills, len(o.acked), n, len(o.unknown))
}
