// Package crashtest does to the real program what happens to programs: it kills the server and cuts its power while it
// imports, and proves that what was acknowledged is still there, in the store, in the graph and in the text index alike.
// It also kills imports and pulls of models, and runs Robin where there is no network.
package crashtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

const collection = "crash"

// Titles that have more than 16 tokens are several passages.
var settings = []byte(`{"id_field":"id","text":[{"field":"title"}],"attributes":{"n":"number"},"chunking":{"tokens":16,"overlap":2,"max_chunks":4}}`)

var goods = []string{"kettle", "rucksack", "lamp", "drill", "scarf", "tripod", "teapot", "ladder", "blanket", "monitor"}

// document makes document i in its given revision. Its word is unique to it, so that a keyword search proves it. Some
// revisions say more than one passage holds.
func document(i, revision int) (id, raw string) {
	id = fmt.Sprintf("p-%d", i)
	more := ""
	if (i+revision)%3 == 0 {
		more = ", with a bag to carry it in, spare parts for ten years and a booklet in eleven languages"
	}
	return id, fmt.Sprintf(`{"id":%q,"title":"%s number w%dx revision r%d%s","n":%d}`, id, goods[i%len(goods)], i, revision, more, i)
}

// campaign ends the server again and again while it imports.
type campaign struct {
	t    *testing.T
	dir  string
	seed uint64
	rng  *rand.Rand
	o    *oracle
	next int // the first document number that was never used

	made, loaded int // checkpoints of the graph that were stored whole, and starts that began from one
}

func newCampaign(t *testing.T, dir string) *campaign {
	seed := uint64(time.Now().UnixNano())
	if v := os.Getenv("ROBIN_SEED"); v != "" {
		if _, err := fmt.Sscan(v, &seed); err != nil {
			t.Fatalf("ROBIN_SEED: %v", err)
		}
	}
	t.Logf("ROBIN_SEED=%d", seed)
	return &campaign{t: t, dir: dir, seed: seed, rng: rand.New(rand.NewPCG(seed, 0)), o: newOracle()}
}

// load imports small batches, with updates and deletes of earlier documents among them, until the server goes away.
func (c *campaign) load(s *server) {
	for batch := 0; ; batch++ {
		var body bytes.Buffer
		docs := map[string]string{}
		for range 1 + c.rng.IntN(24) {
			i, revision := c.next, 0
			if c.next > 10 && c.rng.IntN(4) == 0 {
				i, revision = c.rng.IntN(c.next), c.rng.IntN(1000)+1
			} else {
				c.next++
			}
			id, raw := document(i, revision)
			if _, again := docs[id]; again {
				continue
			}
			docs[id] = raw
			body.WriteString(raw + "\n")
		}
		var rep struct{ Total, Indexed, Failed int }
		err := s.send("POST", "/collections/"+collection+"/documents/import?format=jsonl", "application/x-ndjson", body.Bytes(), &rep)
		if err == nil && (rep.Indexed != len(docs) || rep.Failed > 0) {
			c.t.Errorf("an import of %d sound documents was answered 200 with %+v", len(docs), rep)
		}
		if !c.answered(s, docs, err) {
			return
		}
		if batch%5 == 4 {
			id, _ := document(c.rng.IntN(c.next), 0)
			b, _ := json.Marshal(map[string]any{"ids": []string{id}})
			err := s.send("POST", "/collections/"+collection+"/documents/delete", "application/json", b, nil)
			if !c.answered(s, map[string]string{id: ""}, err) {
				return
			}
		}
	}
}

// answered takes down the outcome of a request, and says whether to go on. Only a server that is being ended may leave
// one without an answer.
func (c *campaign) answered(s *server, docs map[string]string, err error) bool {
	for id, raw := range docs {
		if err == nil {
			c.o.acknowledged(id, raw)
		} else {
			c.o.doubted(id, raw)
		}
	}
	if err != nil && !s.excuses(err) {
		c.t.Errorf("a server that nobody ended did not do its work: %v", err)
	}
	return err == nil && !c.t.Failed()
}

// begin starts the server and proves that all is there. Once a checkpoint was stored whole, every start begins from one.
func (c *campaign) begin() (s *server, documents int) {
	c.t.Helper()
	s = start(c.t, c.dir)
	if c.next == 0 {
		if err := s.send("PUT", "/collections/"+collection, "application/json", settings, nil); err != nil {
			c.t.Fatal(err)
		}
		return s, 0
	}
	switch rebuilt := s.metric(`robin_rebuilds_total{collection="` + collection + `",index="vectors"}`); {
	case rebuilt > 0 && c.made > 0:
		c.t.Errorf("after %d checkpoints the graph was built from the stored vectors, not from one of them", c.made)
	case rebuilt == 0 && s.metric(`robin_collection_documents{collection="`+collection+`"}`) > 0:
		c.loaded++
	}
	return s, c.o.check(c.t, s, c.rng)
}

const storedWhole = `robin_checkpoints_total{collection="` + collection + `",result="ok"}`

// moment waits for the moment to end the server in: soon after a whole checkpoint, within one, or any. It returns early
// when ctx ends, because there is no load any more.
func (c *campaign) moment(ctx context.Context, s *server, round int, delay time.Duration) {
	const limit = 30 * time.Second
	switch round % 3 {
	case 0:
		if !until(ctx, limit, 20*time.Millisecond, func() bool { return s.metric(storedWhole) > 0 }) {
			if ctx.Err() == nil {
				c.t.Errorf("no checkpoint within %v", limit)
			}
			return
		}
		time.Sleep(delay / 3)
		c.made += int(s.metric(storedWhole))
	case 1:
		// The first byte that changes in graph.db is the first of a checkpoint's. The rest, and the text index's flush and
		// the trimming of the log after it, take about as long as the delay may.
		path := filepath.Join(c.dir, "collections", collection, "graph.db")
		before, err := os.Stat(path)
		if err != nil {
			c.t.Error(err)
			return
		}
		writes := func() bool {
			now, err := os.Stat(path)
			return err == nil && (now.ModTime() != before.ModTime() || now.Size() != before.Size())
		}
		if !until(ctx, limit, time.Millisecond, writes) {
			if ctx.Err() == nil {
				c.t.Errorf("nothing was written to graph.db within %v", limit)
			}
			return
		}
		time.Sleep(delay / 30)
	case 2:
		time.Sleep(50*time.Millisecond + delay)
	}
}

// until asks ok again and again.
func until(ctx context.Context, limit, every time.Duration, ok func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for ctx.Err() == nil {
		if ok() {
			return true
		}
		time.Sleep(every)
	}
	return false
}

// run ends the server in each of the rounds by end, and checks what is there when it starts again. after is called when
// the process has gone. On a busy machine, where a round acknowledges little, there are more rounds.
func (c *campaign) run(what string, least int, end func(*server), after func()) {
	c.t.Helper()
	floor := least * ackedPerRound
	round := 0
	for ; round < least || c.o.acked < floor && round < 4*least; round++ {
		s, _ := c.begin()
		ctx, stop := context.WithCancel(context.Background())
		delay := time.Duration(c.rng.IntN(1450)) * time.Millisecond
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			c.moment(ctx, s, round, delay)
			end(s)
		}()
		c.load(s)
		stop()
		<-ended
		s.kill()
		after()
		if c.t.Failed() {
			c.t.Fatalf("failed in round %d, ROBIN_SEED=%d", round, c.seed)
		}
	}
	s, n := c.begin()
	s.stop()
	verify(c.t, c.dir, n)
	c.t.Logf("%d %s, %d documents and deletions acknowledged, %d documents at the end, %d checkpoints made before an end, %d starts from one, ROBIN_SEED=%d",
		round, what, c.o.acked, n, c.made, c.loaded, c.seed)
	if c.o.acked < floor {
		c.t.Errorf("only %d documents were acknowledged in %d rounds, want %d: the test proves too little", c.o.acked, round, floor)
	}
	if c.made == 0 || c.loaded == 0 {
		c.t.Errorf("%d checkpoints made, %d loaded: the test never reached them", c.made, c.loaded)
	}
}

// ackedPerRound is the least that a round acknowledges, on average. An idle machine with two cores does ten times as many.
const ackedPerRound = 50

func TestNothingAcknowledgedIsLostByKill(t *testing.T) {
	c := newCampaign(t, t.TempDir())
	c.run("kills", count(t, "ROBIN_CRASH_KILLS", 6), (*server).kill9, func() {})
}
