package indexer

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"robin"
)

// passing lists the ids that a filter allows, in byte order.
func passing(t testing.TB, e *Engine, filter string) []string {
	t.Helper()
	limit := robin.MaxLimit
	res, err := e.Search(ctx, "c", robin.Query{Filter: filter, Limit: &limit})
	if err != nil {
		t.Fatal(err)
	}
	ids := []string{}
	for _, h := range res.Hits {
		ids = append(ids, h.ID)
	}
	slices.Sort(ids)
	return ids
}

func wantFound(t testing.TB, e *Engine, filter string, want ...string) {
	t.Helper()
	if got := passing(t, e, filter); !slices.Equal(got, want) {
		t.Errorf("%s: found %q, want %q", filter, got, want)
	}
}

func TestMarksFilterFacetAndSortAndOutliveARestart(t *testing.T) {
	o := testOptions(t.TempDir())
	e := newCollection(t, o)
	mustWrite(t, e, "c", product(1), product(2), product(3), product(4))
	before := e.mustSeq(t)
	n, seq, err := e.Mark(ctx, "c", []Mark{
		{ID: "p2", Twin: "p1", Action: robin.DuplicatesFlag, Cosine: 0.9},
		{ID: "p3", Twin: "p1", Action: robin.DuplicatesLink, Cosine: 1},
		{ID: "p4", Twin: "p3", Action: robin.DuplicatesLink, Cosine: 1},
		{ID: "none", Twin: "p1", Action: robin.DuplicatesLink}, {ID: "p1", Twin: "none", Action: robin.DuplicatesLink},
		{ID: "p1", Twin: "p1", Action: robin.DuplicatesLink},
	})
	if err != nil || n != 3 || seq != before+3 {
		t.Fatalf("marked %d at %d, %v", n, seq, err)
	}
	if n, again, err := e.Mark(ctx, "c", []Mark{{ID: "p2", Twin: "p1", Action: robin.DuplicatesFlag, Cosine: 0.9}}); err != nil || n != 0 || again != seq {
		t.Fatalf("the same mark again: %d at %d, %v", n, again, err)
	}
	check := func() {
		t.Helper()
		wantFound(t, e, "_duplicate = flag", "p2")
		wantFound(t, e, "_duplicate = link", "p3", "p4")
		wantFound(t, e, "NOT _duplicate EXISTS", "p1")
		wantFound(t, e, `_duplicate_of = "p1"`, "p2", "p3")
		wantFound(t, e, "_duplicate = link AND price > 3", "p4")
		res, err := e.Search(ctx, "c", robin.Query{Facets: []robin.FacetRequest{{Field: "_duplicate"}}, Sort: []string{"_duplicate:asc", "price:desc"}})
		if err != nil {
			t.Fatal(err)
		}
		if v := res.Facets["_duplicate"].Values; len(v) != 2 || v[0].Value != "link" || v[0].Count != 2 || v[1].Count != 1 {
			t.Errorf("facet %+v", v)
		}
		if res.Hits[0].ID != "p2" || res.Hits[1].ID != "p4" || res.Hits[3].ID != "p1" {
			t.Errorf("sorted: %s %s %s %s", res.Hits[0].ID, res.Hits[1].ID, res.Hits[2].ID, res.Hits[3].ID)
		}
	}
	check()
	mustWrite(t, e, "c", `{"id":"p2","title":"product number2","description":"a thing of kind2 and colour2","price":2,"new":true}`)
	check()
	if err := e.Rebuild(ctx, "c"); err != nil {
		t.Fatal(err)
	}
	check()
	mustVerify(t, e, "c")
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = mustOpen(t, o)
	check()
	if n, _, err := e.Unmark(ctx, "c", []string{"p3", "p1", "none"}); err != nil || n != 1 {
		t.Fatalf("unmarked %d, %v", n, err)
	}
	mustWrite(t, e, "c", `{"id":"p2","title":"another thing"}`)
	wantFound(t, e, "_duplicate EXISTS", "p4")
	if _, _, _, err := e.Delete(ctx, "c", []string{"p4"}); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, e, "c", product(4))
	wantFound(t, e, "_duplicate EXISTS")
	mustVerify(t, e, "c")
}

func (e *Engine) mustSeq(t testing.TB) uint64 {
	t.Helper()
	info, err := e.Collection(ctx, "c")
	if err != nil {
		t.Fatal(err)
	}
	return info.Seq
}

// TestMarksFollowARandomHistory writes, marks, deletes, restarts, and keeps a map beside it.
func TestMarksFollowARandomHistory(t *testing.T) {
	rnd := seeded(t)
	o := testOptions(t.TempDir())
	e := mustOpen(t, o)
	mustPut(t, e, "c", testSettings())
	docs, marks := map[string]string{}, map[string]Mark{} // id → title, id → mark
	ids := func() []string { return slices.Sorted(maps.Keys(docs)) }
	for step := range 120 {
		id := fmt.Sprint("m", rnd.IntN(20))
		switch rnd.IntN(10) {
		case 0:
			e.Close()
			e = mustOpen(t, o)
		case 1:
			mustCheckpoint(t, e)
		case 2:
			if _, _, _, err := e.Delete(ctx, "c", []string{id}); err != nil {
				t.Fatal(err)
			}
			delete(docs, id)
			delete(marks, id)
		case 3, 4:
			if _, _, err := e.Unmark(ctx, "c", []string{id}); err != nil {
				t.Fatal(err)
			}
			delete(marks, id)
		case 5, 6, 7:
			m := Mark{ID: id, Twin: fmt.Sprint("m", rnd.IntN(20)), Action: robin.DuplicatesFlag, Cosine: 0.5}
			if rnd.IntN(2) == 0 {
				m.Action = robin.DuplicatesLink
			}
			if _, _, err := e.Mark(ctx, "c", []Mark{m}); err != nil {
				t.Fatal(err)
			}
			if docs[m.ID] != "" && docs[m.Twin] != "" && m.ID != m.Twin {
				marks[id] = m
			}
		default:
			title := fmt.Sprint("thing ", rnd.IntN(3))
			mustWrite(t, e, "c", fmt.Sprintf(`{"id":%q,"title":%q,"price":%d}`, id, title, step))
			if docs[id] != title {
				delete(marks, id)
			}
			docs[id] = title
		}
		if step%10 != 9 {
			continue
		}
		for _, action := range []robin.DuplicatePolicy{robin.DuplicatesFlag, robin.DuplicatesLink} {
			want := []string{}
			for _, id := range ids() {
				if marks[id].Action == action {
					want = append(want, id)
				}
			}
			wantFound(t, e, "_duplicate = "+string(action), want...)
		}
		mustVerify(t, e, "c")
	}
	for id, m := range marks {
		if got := passing(t, e, fmt.Sprintf("_duplicate_of = %q", m.Twin)); !slices.Contains(got, id) {
			t.Errorf("%s is marked as one of %s, which finds %q", id, m.Twin, got)
		}
	}
}
