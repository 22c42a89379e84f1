package indexer

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"robin"
	"robin/dedup"
	"robin/store"
)

// state is all that an undo must bring back: documents by id with their vectors and marks.
type state map[string]string

func stateOf(t testing.TB, e *Engine) state {
	t.Helper()
	out, _ := readState(t, e)
	return out
}

// readState also lists the marks that do not lead to the document of their twin's id.
func readState(t testing.TB, e *Engine) (out state, astray []string) {
	t.Helper()
	c, err := e.collection("c")
	if err != nil {
		t.Fatal(err)
	}
	out = state{}
	err = c.st.View(func(r *store.Reader) error {
		for doc, err := range r.Docs(0) {
			if err != nil {
				return err
			}
			_, vec, _ := r.Vector(doc.Number)
			m, _ := r.Mark(doc.Number)
			if m.TwinID != "" { // it leads to the document of that id, if there is one
				if n, err := r.Number(m.TwinID); err == nil && n != m.Twin {
					astray = append(astray, doc.ID)
				}
			}
			out[doc.ID] = fmt.Sprint(string(doc.Raw), doc.TextHash, doc.Flags, vec, m.Kind, m.TwinID, m.Cosine)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out, astray
}

func wantState(t testing.TB, e *Engine, what string, want state) {
	t.Helper()
	got, astray := readState(t, e)
	if len(astray) > 0 {
		t.Errorf("%s: the marks of %q lead to no document or another", what, astray)
	}
	for id := range want {
		if got[id] != want[id] {
			t.Errorf("%s: %s is\n%s\nwant\n%s", what, id, got[id], want[id])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s: %d documents, want %d", what, len(got), len(want))
	}
	mustVerify(t, e, "c")
}

func cluster(kept string, members ...string) robin.DuplicateCluster {
	g := robin.DuplicateCluster{Kept: kept}
	for i, id := range members {
		g.Members = append(g.Members, robin.DuplicateMember{ID: id, Cosine: 1 - float64(i)/100})
	}
	return g
}

func apply(t testing.TB, e *Engine, action string, clusters ...robin.DuplicateCluster) robin.DuplicateAction {
	t.Helper()
	c, err := e.collection("c")
	if err != nil {
		t.Fatal(err)
	}
	a, err := c.actOn(ctx, action, clusters, 0)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func undoAction(t testing.TB, e *Engine, id string) {
	t.Helper()
	if a, err := e.UndoDuplicates(ctx, "c", id); err != nil || !a.Undone || a.ID != id {
		t.Fatalf("undo %s: %+v, %v", id, a, err)
	}
}

// shelf is a collection with ten documents, one of them without text, and a few marks. embedded counts the texts that the
// model is given.
func shelf(t testing.TB, o Options, embedded *atomic.Int64) *Engine {
	t.Helper()
	embedders(o)["hash"].(*hashEmbedder).before = func(_ context.Context, texts []string) error {
		embedded.Add(int64(len(texts)))
		return nil
	}
	e := newCollection(t, o)
	for i := range 9 {
		mustWrite(t, e, "c", " "+product(i))
	}
	mustWrite(t, e, "c", `{"id": "p9", "n": [1,  2]}`)
	if _, _, err := e.Mark(ctx, "c", []Mark{
		{ID: "p1", Twin: "p0", Action: robin.DuplicatesFlag, Cosine: 0.9},
		{ID: "p2", Twin: "p8", Action: robin.DuplicatesLink, Cosine: 0.8},
		{ID: "p3", Twin: "p1", Action: robin.DuplicatesLink, Cosine: 0.7},
	}); err != nil {
		t.Fatal(err)
	}
	return e
}

func TestEveryActionCanBeTakenBack(t *testing.T) {
	var embedded atomic.Int64
	o := testOptions(t.TempDir())
	e := shelf(t, o, &embedded)
	before, calls := stateOf(t, e), embedded.Load()
	var done []robin.DuplicateAction
	for _, action := range []string{"flag", "link", "delete"} {
		a := apply(t, e, action, cluster("p0", "p1", "p9", "gone", "p0"), cluster("p2", "p3"), cluster("gone", "p4"))
		if a.Documents != 3 || a.Action != action || a.Undone {
			t.Errorf("%+v", a)
		}
		done = append(done, a)
		if action == "delete" {
			if info, _ := e.Collection(ctx, "c"); info.Documents != 7 {
				t.Errorf("%d documents are left", info.Documents)
			}
		} else {
			wantFound(t, e, "_duplicate_of = p0 AND _duplicate = "+action, "p1", "p9")
		}
		if action == "link" { // as they stand, the last first
			undoAction(t, e, done[1].ID)
			undoAction(t, e, done[0].ID)
			wantState(t, e, "after flag and link were taken back", before)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = mustOpen(t, o)
	undoAction(t, e, done[2].ID)
	wantState(t, e, "after the delete was taken back", before)
	if n := embedded.Load() - calls; n != 0 {
		t.Errorf("%d texts were embedded again", n)
	}
	list, err := e.DuplicateActions(ctx, "c")
	if err != nil || len(list) != 3 || list[0].ID != done[2].ID || list[2].ID != done[0].ID || !list[0].Undone {
		t.Errorf("listed %+v, %v", list, err)
	}
	seq := e.mustSeq(t)
	for _, a := range done {
		undoAction(t, e, a.ID)
	}
	if e.mustSeq(t) != seq {
		t.Error("taking back again wrote something")
	}
	for _, id := range []string{"", "../../store", "20260101t000000-000000000"} {
		if _, err := e.UndoDuplicates(ctx, "c", id); robin.CodeOf(err) != robin.CodeNoTask {
			t.Errorf("undo %q: %v", id, err)
		}
	}
	if _, err := e.ApplyDuplicates(ctx, "c", "t", robin.DuplicateApply{Action: "merge"}); robin.CodeOf(err) != robin.CodeInvalid {
		t.Errorf("merge: %v", err)
	}
	c, err := e.collection("c")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.actOn(ctx, "delete", []robin.DuplicateCluster{cluster("gone", "p4")}, 0); robin.CodeOf(err) != robin.CodeInvalid {
		t.Errorf("nothing to delete: %v", err)
	}
}

func TestOnlyTheLastActionsCanBeTakenBack(t *testing.T) {
	var embedded atomic.Int64
	e := shelf(t, testOptions(t.TempDir()), &embedded)
	var done []string
	for i := range keptActions + 3 {
		a := apply(t, e, []string{"flag", "link"}[i%2], cluster("p0", "p4", "p5"))
		if done = append(done, a.ID); i == 0 {
			undoAction(t, e, a.ID)
		}
	}
	list, err := e.DuplicateActions(ctx, "c")
	if err != nil || len(list) != keptActions || list[0].ID != done[len(done)-1] {
		t.Errorf("%d actions are listed, want the last %d; %v", len(list), keptActions, err)
	}
	if _, err := e.UndoDuplicates(ctx, "c", done[2]); robin.CodeOf(err) != robin.CodeNoTask {
		t.Errorf("the action before them: %v", err)
	}
	undoAction(t, e, done[3])
	if left, _ := filepath.Glob(filepath.Join(e.opt.Dir, "collections", "c", actionsDir, "*")); len(left) > 2*keptActions {
		t.Errorf("%d files are left of %d actions", len(left), len(done))
	}
}

func TestUndoLeavesAloneWhatHasBeenWrittenSince(t *testing.T) {
	var embedded atomic.Int64
	e := shelf(t, testOptions(t.TempDir()), &embedded)
	del := apply(t, e, "delete", cluster("p0", "p4", "p5"))
	mustWrite(t, e, "c", `{"id":"p4","title":"another thing"}`)
	undoAction(t, e, del.ID)
	if raw(t, e, "p4") != `{"id":"p4","title":"another thing"}` || raw(t, e, "p5") != product(5) {
		t.Errorf("p4 is %s, p5 %s", raw(t, e, "p4"), raw(t, e, "p5"))
	}
	flag := apply(t, e, "flag", cluster("p0", "p6", "p7"))
	if _, _, err := e.Mark(ctx, "c", []Mark{{ID: "p6", Twin: "p5", Action: robin.DuplicatesLink, Cosine: 1}}); err != nil {
		t.Fatal(err)
	}
	undoAction(t, e, flag.ID)
	wantFound(t, e, "_duplicate_of = p5", "p6")
	wantFound(t, e, "_duplicate_of = p0", "p1")
}

func TestTheLastOfItsKindIsNeverDeleted(t *testing.T) {
	o := testOptions(t.TempDir())
	var e *Engine
	o.testHook = func(_, step string) {
		if step != "journaled" {
			return
		}
		for _, err := range []error{
			second(e.Delete(ctx, "c", []string{"p0"})),
			func() error {
				_, err := e.Write(ctx, "c", robin.Upsert, rawDocs(`{"id":"p3","title":"changed"}`))
				return err
			}(),
		} {
			if err != nil {
				t.Error(err)
			}
		}
	}
	e = newCollection(t, o)
	for i := range 5 {
		mustWrite(t, e, "c", product(i))
	}
	a := apply(t, e, "delete", cluster("p0", "p1"), cluster("p2", "p3", "p4"))
	if a.Documents != 1 || raw(t, e, "p1") == "" || raw(t, e, "p3") == "" || raw(t, e, "p4") != "" {
		t.Errorf("%+v: p1 %q, p3 %q, p4 %q", a, raw(t, e, "p1"), raw(t, e, "p3"), raw(t, e, "p4"))
	}
	undoAction(t, e, a.ID)
	if raw(t, e, "p3") != `{"id":"p3","title":"changed"}` || raw(t, e, "p4") != product(4) || raw(t, e, "p0") != "" {
		t.Errorf("p3 %q, p4 %q, p0 %q", raw(t, e, "p3"), raw(t, e, "p4"), raw(t, e, "p0"))
	}
}

func second(_ int, _ []string, _ uint64, err error) error { return err }

// TestActionOutlivesACrashAtAnyMoment copies the folder between the steps of an action and of taking it back.
func TestActionOutlivesACrashAtAnyMoment(t *testing.T) {
	var embedded atomic.Int64
	o := testOptions(t.TempDir())
	var e *Engine
	var copies []string
	var armed atomic.Bool
	o.testHook = func(_, step string) {
		if armed.Load() {
			dir := filepath.Join(t.TempDir(), strings.ReplaceAll(step, " ", "-"))
			copyLive(t, e, o.Dir, dir)
			copies = append(copies, dir)
		}
	}
	e = shelf(t, o, &embedded)
	before := stateOf(t, e)
	armed.Store(true)
	a := apply(t, e, "delete", cluster("p0", "p1", "p2", "p5", "p9"))
	undoAction(t, e, a.ID)
	armed.Store(false)
	wantState(t, e, "taken back", before)
	if len(copies) < 4 {
		t.Fatalf("%d copies", len(copies))
	}
	for _, dir := range copies {
		e := mustOpen(t, testOptions(dir))
		now := maps.Clone(stateOf(t, e))
		if len(now) != len(before) && len(now) != len(before)-4 {
			t.Errorf("%s: %d documents, want all or all but four", dir, len(now))
		}
		undoAction(t, e, a.ID)
		wantState(t, e, filepath.Base(dir), before)
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestDamagedJournalIsRefusedAndHarmsNothing(t *testing.T) {
	var embedded atomic.Int64
	e := shelf(t, testOptions(t.TempDir()), &embedded)
	a := apply(t, e, "delete", cluster("p0", "p4", "p5"))
	c, _ := e.collection("c")
	whole, err := os.ReadFile(c.journalPath(a.ID))
	if err != nil {
		t.Fatal(err)
	}
	for _, damaged := range [][]byte{whole[:len(whole)/2], append([]byte("x"), whole[1:]...), {}} {
		if err := os.WriteFile(c.journalPath(a.ID), damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := e.UndoDuplicates(ctx, "c", a.ID); robin.CodeOf(err) != robin.CodeDamaged {
			t.Errorf("%d bytes: %v", len(damaged), err)
		}
	}
	os.WriteFile(c.journalPath(a.ID), whole, 0o600)
	undoAction(t, e, a.ID)
}

func TestUndoBringsBackWhatThePolicyWouldRefuse(t *testing.T) {
	e := policyCollection(t, "")
	mustWrite(t, e, "c", titled("a", mug), titled("b", mug))
	before := stateOf(t, e)
	a := apply(t, e, "delete", cluster("a", "b"))
	mustPut(t, e, "c", duplicateSettings(robin.DuplicatesReject))
	undoAction(t, e, a.ID)
	wantState(t, e, "under reject", before)
}

func TestSourceIsOneStateWhileWritesGoOn(t *testing.T) {
	e := newCollection(t, testOptions(t.TempDir()))
	for i := range 40 {
		mustWrite(t, e, "c", product(i))
	}
	mustWrite(t, e, "c", `{"id":"none"}`)
	c, _ := e.collection("c")
	read := func(s *source) (ids []string, vecs [][]float32) {
		err := s.Each(ctx, func(i int, it dedup.Item) error {
			if i != len(ids) || (it.Vector == nil) != (it.Text == "") {
				t.Errorf("item %d at %d: %+v", len(ids), i, it)
			}
			ids, vecs = append(ids, it.ID+string(it.Raw)), append(vecs, it.Vector)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return ids, vecs
	}
	for _, filter := range []string{"", "price < 20"} {
		err := c.withSource(ctx, filter, func(s *source, _ *view, m store.Meta) error {
			ids, vecs := read(s)
			if len(ids) != s.Len() || filter == "" && s.Len() != int(m.Documents) || filter != "" && s.Len() >= 40 {
				t.Errorf("%q: %d items, %d long, %d documents", filter, len(ids), s.Len(), m.Documents)
			}
			mustWrite(t, e, "c", `{"id":"p3","title":"something else now","price":3}`, product(100+len(filter)))
			if _, _, _, err := e.Delete(ctx, "c", []string{fmt.Sprint("p", 5+len(filter))}); err != nil {
				t.Error(err)
			}
			again, _ := read(s)
			if !slices.Equal(again, ids) {
				t.Error("the source changed")
			}
			for i, v := range vecs {
				if v == nil {
					continue
				}
				near, err := s.Nearest(v, 10)
				if err != nil {
					return err
				}
				for _, n := range near {
					want := 0.0
					for j := range v {
						want += float64(v[j]) * float64(vecs[n.I][j])
					}
					if d := n.Cosine - want; d > 1e-4 || d < -1e-4 {
						t.Errorf("item %d to %d: cosine %g, want %g", i, n.I, n.Cosine, want)
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
