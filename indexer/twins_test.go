package indexer

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"robin"
)

// duplicateSettings make a collection with a policy. The hash embedder knows words only, so the cosine of two texts is
// near the share of their words in common.
func duplicateSettings(p robin.DuplicatePolicy) robin.Settings {
	s := testSettings()
	s.Duplicates = p
	return s
}

func policyCollection(t testing.TB, p robin.DuplicatePolicy) *Engine {
	t.Helper()
	e := newCollection(t, testOptions(t.TempDir()))
	mustPut(t, e, "c", duplicateSettings(p))
	return e
}

func titled(id, title string) string { return fmt.Sprintf(`{"id":%q,"title":%q}`, id, title) }

// twinPairs writes each twin as "id of twin".
func twinPairs(res robin.WriteResult) []string {
	out := []string{}
	for _, t := range res.Twins {
		out = append(out, t.ID+" of "+t.Twin)
	}
	return out
}

func wantTwins(t testing.TB, res robin.WriteResult, want ...string) {
	t.Helper()
	if got := twinPairs(res); !slices.Equal(got, want) {
		t.Errorf("twins %q, want %q", got, want)
	}
}

const (
	mug    = "stoneware coffee mug with bamboo lid and handle in forest green glaze"
	lamp   = "adjustable desk lamp made of brushed steel with a heavy round base"
	kettle = "electric kettle that boils water fast and switches itself off after"
)

func TestRejectNamesTheTwinAndWritesTheOthers(t *testing.T) {
	e := policyCollection(t, robin.DuplicatesReject)
	mustWrite(t, e, "c", titled("a", mug), titled("b", lamp))
	res := write(t, e, robin.Upsert, titled("x", strings.ToUpper(mug)+"!"), titled("y", kettle), titled("z", "  "+lamp))
	if res.Indexed != 1 || len(res.Errors) != 2 {
		t.Fatalf("got %+v", res)
	}
	for i, want := range []struct {
		line int
		id   string
		twin string
	}{{1, "x", "a"}, {3, "z", "b"}} {
		got := res.Errors[i]
		if got.Line != want.line || got.ID != want.id || got.Code != robin.CodeDuplicate ||
			!strings.Contains(got.Detail, `"`+want.twin+`"`) || !strings.Contains(got.Detail, "same text") || !strings.Contains(got.Detail, "cosine ") {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	wantTwins(t, res, "x of a", "z of b")
	if raw(t, e, "x") != "" || raw(t, e, "z") != "" || raw(t, e, "y") == "" {
		t.Error("the wrong documents are stored")
	}
	wantFound := []string{}
	if got := passing(t, e, "_duplicate EXISTS"); !slices.Equal(got, wantFound) {
		t.Errorf("marked %q", got)
	}
}

func TestFlagAndLinkWriteAndMark(t *testing.T) {
	for _, policy := range []robin.DuplicatePolicy{robin.DuplicatesFlag, robin.DuplicatesLink} {
		e := policyCollection(t, policy)
		mustWrite(t, e, "c", titled("a", mug), titled("b", lamp))
		res := mustWrite(t, e, "c", titled("x", mug+"."), titled("y", kettle))
		wantTwins(t, res, "x of a")
		if tw := res.Twins[0]; tw.Line != 1 || tw.Action != policy || tw.Score != 1 || tw.Reason != "same text" || tw.Cosine < 0.5 || tw.Cosine > 1 {
			t.Errorf("got %+v", tw)
		}
		wantFound(t, e, "_duplicate = "+string(policy), "x")
		wantFound(t, e, "_duplicate_of = a", "x")
	}
}

func TestNearTextIsATwinByTheCollectionsRule(t *testing.T) {
	o := testOptions(t.TempDir())
	embedders(o)["hash"] = &hashEmbedder{dim: 256, version: "1"}
	e := newCollection(t, o)
	s := duplicateSettings(robin.DuplicatesFlag)
	s.DuplicateRule = &robin.DuplicateRule{Threshold: 0.7}
	mustPut(t, e, "c", s)
	mustWrite(t, e, "c", titled("a", mug))
	res := mustWrite(t, e, "c", titled("c", "new "+mug))
	wantTwins(t, res, "c of a")
	if tw := res.Twins[0]; tw.Cosine < 0.7 || tw.Cosine >= 1 || tw.Reason == "" || tw.Reason == "same text" {
		t.Errorf("got %+v", tw)
	}
	s.DuplicateRule = &robin.DuplicateRule{Threshold: 0.999}
	mustPut(t, e, "c", s)
	wantTwins(t, mustWrite(t, e, "c", titled("d", "fine "+mug)))
}

func TestDocumentsOfOneBatchAreComparedAndTheFirstStays(t *testing.T) {
	e := policyCollection(t, robin.DuplicatesReject)
	var docs []string
	for i := range 600 { // more than one chunk
		docs = append(docs, titled(fmt.Sprint("d", i), []string{mug, lamp, kettle}[i%3]))
	}
	res := write(t, e, robin.Upsert, docs...)
	if res.Indexed != 3 || len(res.Errors) != 597 || len(res.Twins) != 597 {
		t.Fatalf("%d indexed, %d errors, %d twins", res.Indexed, len(res.Errors), len(res.Twins))
	}
	for _, tw := range res.Twins {
		if want := fmt.Sprint("d", (tw.Line-1)%3); tw.Twin != want {
			t.Fatalf("%+v, want twin %s", tw, want)
		}
	}
}

func TestADocumentIsNotItsOwnTwin(t *testing.T) {
	e := policyCollection(t, robin.DuplicatesReject)
	mustWrite(t, e, "c", titled("a", mug), titled("b", lamp))
	again := write(t, e, robin.Upsert, titled("a", mug), titled("b", lamp))
	if again.Unchanged != 2 || len(again.Errors)+len(again.Twins) != 0 {
		t.Errorf("the same again: %+v", again)
	}
	price := write(t, e, robin.Update, `{"id":"a","price":3}`)
	if price.Indexed != 1 || len(price.Errors)+len(price.Twins) != 0 {
		t.Errorf("a new price: %+v", price)
	}
	slight := write(t, e, robin.Upsert, titled("a", mug+"!"))
	if slight.Indexed != 1 || len(slight.Errors) != 0 {
		t.Errorf("a sign more in its own text: %+v", slight)
	}
	taken := write(t, e, robin.Upsert, titled("a", lamp))
	if taken.Indexed != 0 || len(taken.Errors) != 1 || taken.Errors[0].Code != robin.CodeDuplicate {
		t.Errorf("changed into another one's text: %+v", taken)
	}
	swap := write(t, e, robin.Upsert, titled("b", kettle), titled("c", lamp))
	if swap.Indexed != 2 || len(swap.Errors) != 0 {
		t.Errorf("the text that the same write frees: %+v", swap)
	}
}

func TestAcceptDoesNotLookAndAChangeOfPolicyAppliesToLaterWrites(t *testing.T) {
	e := policyCollection(t, "")
	mustWrite(t, e, "c", titled("a", mug), titled("b", mug))
	mustPut(t, e, "c", duplicateSettings(robin.DuplicatesReject))
	res := write(t, e, robin.Upsert, titled("a", mug), titled("c", mug))
	if res.Unchanged != 1 || len(res.Errors) != 1 {
		t.Errorf("got %+v", res)
	}
	mustPut(t, e, "c", duplicateSettings(robin.DuplicatesAccept))
	if res := mustWrite(t, e, "c", titled("c", mug)); len(res.Twins) != 0 {
		t.Errorf("got %+v", res)
	}
}

// TestSameContentFromManyClientsIsStoredOnce is a race for one place: each client sends its own id and the same text.
func TestSameContentFromManyClientsIsStoredOnce(t *testing.T) {
	e := policyCollection(t, robin.DuplicatesReject)
	const clients = 100
	var stored, rejected atomic.Int64
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range clients {
		wg.Go(func() {
			<-start
			res, err := e.Write(ctx, "c", robin.Upsert, rawDocs(titled(fmt.Sprint("c", i), mug)))
			switch {
			case err != nil:
				t.Error(err)
			case res.Indexed == 1 && len(res.Errors) == 0:
				stored.Add(1)
			case len(res.Errors) == 1 && res.Errors[0].Code == robin.CodeDuplicate:
				rejected.Add(1)
			default:
				t.Errorf("got %+v", res)
			}
		})
	}
	close(start)
	wg.Wait()
	if stored.Load() != 1 || rejected.Load() != clients-1 {
		t.Errorf("%d stored, %d rejected", stored.Load(), rejected.Load())
	}
	if info, _ := e.Collection(ctx, "c"); info.Documents != 1 {
		t.Errorf("%d documents", info.Documents)
	}
}

func TestRefusedForOneThatIsNotWrittenIsTriedAgain(t *testing.T) {
	o := testOptions(t.TempDir())
	e := newCollection(t, o)
	mustPut(t, e, "c", duplicateSettings(robin.DuplicatesReject))
	mustWrite(t, e, "c", titled("a", lamp), titled("b", kettle))
	var once sync.Once
	embedders(o)["hash"].(*hashEmbedder).before = func(context.Context, []string) error {
		once.Do(func() { e.Delete(ctx, "c", []string{"a"}) }) // after a was read, before it is judged
		return nil
	}
	res := write(t, e, robin.Update, titled("a", mug), titled("b", mug))
	if res.Indexed != 1 || len(res.Errors) != 1 || res.Errors[0].ID != "a" || res.Errors[0].Code != robin.CodeNoDocument || len(res.Twins) != 0 {
		t.Errorf("got %+v", res)
	}
	if raw(t, e, "b") != titled("b", mug) {
		t.Errorf("b is %s", raw(t, e, "b"))
	}
}

func TestDocumentsThatBringTheirVectorsAreComparedByTextAndVector(t *testing.T) {
	e := newCollection(t, testOptions(t.TempDir()))
	s := duplicateSettings(robin.DuplicatesReject)
	s.Embedder, s.Dimension, s.VectorField = "none", 4, "vector"
	if err := e.DropCollection(ctx, "c"); err != nil {
		t.Fatal(err)
	}
	mustPut(t, e, "c", s)
	brings := func(id, title, vector string) string {
		return fmt.Sprintf(`{"id":%q,"title":%q,"vector":%s}`, id, title, vector)
	}
	mustWrite(t, e, "c", titled("plain", mug), brings("x", lamp, "[1,0,0,0]"), brings("y", kettle, "[0,1,0,0]"))
	rejected := func(what, doc, twin string) {
		t.Helper()
		res := write(t, e, robin.Upsert, doc)
		if len(res.Errors) != 1 || res.Errors[0].Code != robin.CodeDuplicate || len(res.Twins) != 1 || res.Twins[0].Twin != twin {
			t.Errorf("%s: %+v", what, res)
		}
	}
	rejected("the same text, neither with a vector", titled("a", mug+"!"), "plain")
	rejected("the same text, one with a vector", brings("a", mug, "[0,0,1,0]"), "plain")
	rejected("the same text, the other with a vector", titled("a", lamp), "x")
	rejected("a near vector", brings("a", lamp+" in the usual box", "[1,0.01,0,0]"), "x")
	rejected("changed to another's text, with its own vector", brings("y", lamp, "[0,1,0,0]"), "x")
	rejected("changed to another's text, without a vector", titled("plain", lamp), "x")
	if res := write(t, e, robin.Upsert, titled("plain", "a hat"), titled("b", mug)); res.Indexed != 2 {
		t.Errorf("a text that was given up: %+v", res)
	}
	if _, _, _, err := e.Delete(ctx, "c", []string{"b"}); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, e, "c", titled("d", mug))
	rejected("a text that went and came again", titled("e", mug), "d")
}
