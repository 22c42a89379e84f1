package api

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"robin"
)

// shelf is a collection with three copies of a kettle, two of a lamp, and forty things that are alone.
func shelf(t *testing.T) *site {
	t.Helper()
	e := openEngine(t)
	s := serve(t, Options{Engine: e, Duplicates: e})
	s.want(201, "", "PUT", "/collections/c", `{"text":[{"field":"title"}],"attributes":{"rating":"number"}}`)
	var b strings.Builder
	line := func(id, title string, rating float64) {
		fmt.Fprintf(&b, `{"id":%q,"title":%q,"rating":%g}`+"\n", id, title, rating)
	}
	line("k1", "Enamel kettle in cream with a wooden handle", 3)
	line("k2", "Enamel kettle in cream with a wooden handle.", 5)
	line("k3", "enamel kettle in cream, with a wooden handle", 4)
	line("l1", "Brass reading lamp with a green glass shade for the desk", 2)
	line("l2", "Brass reading lamp with a green glass shade for a desk", 4)
	for i := range 40 {
		var words []string
		for _, w := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "j", "k"} {
			words = append(words, fmt.Sprint(w, "word", i))
		}
		line(fmt.Sprint("x", i), strings.Join(words, " "), 1)
	}
	s.want(200, "", "POST", "/collections/c/documents/import", strings.NewReader(b.String()))
	return s
}

// ended waits for a task and gives it.
func (s *site) outcome(answer reply) (task robin.Task) {
	s.t.Helper()
	var a taskAnswer
	answer.json(s.t, &a)
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		s.want(200, "", "GET", "/tasks/"+a.Task.ID, nil).json(s.t, &task)
		if task.Status.Final() {
			return task
		}
	}
	s.t.Fatalf("task %s did not end: %+v", a.Task.ID, task)
	return task
}

// find looks for duplicates and gives the report.
func (s *site) find(query string) (rep robin.DuplicateReport) {
	s.t.Helper()
	task := s.outcome(s.want(202, "", "POST", "/collections/c/duplicates", query))
	if task.Status != robin.TaskSucceeded {
		s.t.Fatalf("task %+v", task)
	}
	if err := json.Unmarshal(task.Result, &rep); err != nil {
		s.t.Fatal(err)
	}
	return rep
}

// kept gives each cluster as its kept document and its members.
func kept(rep robin.DuplicateReport) string {
	var out []string
	for _, g := range rep.Clusters {
		ids := []string{g.Kept + ":"}
		for _, m := range g.Members {
			ids = append(ids, m.ID)
		}
		out = append(out, strings.Join(ids, " "))
	}
	return strings.Join(out, ", ")
}

func TestDuplicatesAreFoundCutAnewAndWrittenAsFiles(t *testing.T) {
	s := shelf(t)
	rep := s.find(`{"threshold":0.9,"keep":"highest_rated"}`)
	if got, want := kept(rep), "k2: k1 k3, l2: l1"; got != want {
		t.Fatalf("clusters %s, want %s", got, want)
	}
	if rep.Documents != 45 || rep.Duplicates != 3 || rep.Exact != 3 || rep.Task == "" || rep.Seq == 0 || !strings.Contains(rep.Clusters[0].Why, "5") {
		t.Errorf("report %+v", rep)
	}
	var cut robin.DuplicateReport
	at := "/collections/c/duplicates/" + rep.Task
	s.want(200, "", "GET", at+"?keep=first&limit=1", nil).json(t, &cut)
	if got := kept(cut); got != "k1: k2 k3" || cut.Total != 2 {
		t.Errorf("kept first, one cluster: %s of %d", got, cut.Total)
	}
	s.want(200, "", "GET", at+"?threshold=1", nil).json(t, &cut)
	if got := kept(cut); got != "k2: k1 k3" {
		t.Errorf("at 1 only copies are left, got %s", got)
	}
	rows, err := csv.NewReader(strings.NewReader(string(s.want(200, "", "GET", at+"?format=csv", nil).body))).ReadAll()
	if err != nil || len(rows) != 1+5 {
		t.Errorf("the CSV has %d rows, want a header and 5: %v", len(rows), err)
	}
	lines := strings.Split(strings.TrimSpace(string(s.want(200, "", "GET", at+"?format=jsonl", nil).body)), "\n")
	if len(lines) < 1+2+3 {
		t.Errorf("the JSONL has %d lines: %q", len(lines), lines)
	}
	var list duplicateList
	s.want(200, "", "GET", "/collections/c/duplicates", nil).json(t, &list)
	if len(list.Reports) != 1 || list.Reports[0].Task != rep.Task || list.Reports[0].Duplicates != 3 {
		t.Errorf("listed %+v", list)
	}
	s.want(404, robin.CodeNoTask, "GET", "/collections/c/duplicates/000000009999", nil)
	s.want(404, robin.CodeNoTask, "GET", "/collections/c/duplicates/..%2f..%2fstore", nil)
	s.want(404, robin.CodeNoCollection, "POST", "/collections/none/duplicates", `{}`)
	for _, bad := range []string{`{"threshold":1.5}`, `{"cross":"maybe"}`, `{"floor":-1}`, `{"rule":{"threshold":2}}`, `{"thresold":0.9}`} {
		s.want(400, robin.CodeInvalid, "POST", "/collections/c/duplicates", bad)
	}
	for _, bad := range []string{"?threshold=0.1", "?threshold=x", "?keep=best", "?limit=0", "?format=xml", "?keep=highest:nothing"} {
		s.want(400, robin.CodeInvalid, "GET", at+bad, nil)
	}
	if task := s.outcome(s.want(202, "", "POST", "/collections/c/duplicates", `{"filter":"nothing = 1"}`)); task.Status != robin.TaskFailed || !strings.Contains(task.Error, "nothing") {
		t.Errorf("a bad filter: %+v", task)
	}
}

func TestDuplicatesAreFlaggedLinkedDeletedAndTakenBack(t *testing.T) {
	s := shelf(t)
	rep := s.find(`{"keep":"first"}`)
	at := "/collections/c/duplicates/" + rep.Task
	found := func(filter string) int {
		t.Helper()
		var res robin.Result
		s.want(200, "", "POST", "/collections/c/search", fmt.Sprintf(`{"filter":%q}`, filter)).json(t, &res)
		return res.Total
	}
	apply := func(body string) robin.DuplicateAction {
		t.Helper()
		var a actionAnswer
		s.want(200, "", "POST", at+"/apply", body).json(t, &a)
		return a.Action
	}
	undo := func(id string) {
		t.Helper()
		s.want(200, "", "POST", "/collections/c/duplicates/actions/"+id+"/undo", nil)
	}
	flagged := apply(`{"action":"flag"}`)
	if flagged.Documents != 3 || found("_duplicate = flag") != 3 || found("_duplicate_of = k1") != 2 {
		t.Errorf("flagged %+v; %d have the mark, %d name k1", flagged, found("_duplicate = flag"), found("_duplicate_of = k1"))
	}
	undo(flagged.ID)
	if n := found("_duplicate = flag"); n != 0 {
		t.Errorf("%d still flagged after it was taken back", n)
	}
	linked := apply(`{"action":"link","clusters":["l1"]}`)
	if linked.Documents != 1 || found("_duplicate = link") != 1 {
		t.Errorf("linked %+v", linked)
	}
	const k3 = `{"id":"k3","title":"enamel kettle in cream, with a wooden handle","rating":4}`
	deleted := apply(`{"action":"delete"}`)
	if deleted.Documents != 3 || found("") != 42 {
		t.Errorf("deleted %+v, %d are left", deleted, found(""))
	}
	s.want(404, robin.CodeNoDocument, "GET", "/collections/c/documents/k3", nil)
	// One of them is written anew meanwhile: taking back must not overwrite it.
	s.want(201, "", "PUT", "/collections/c/documents/k2", `{"id":"k2","title":"A new kettle"}`)
	undo(deleted.ID)
	if got := string(s.want(200, "", "GET", "/collections/c/documents/k3", nil).body); got != k3 {
		t.Errorf("taken back: %s, want %s", got, k3)
	}
	if got := string(s.want(200, "", "GET", "/collections/c/documents/k2", nil).body); !strings.Contains(got, "A new kettle") {
		t.Errorf("taking back overwrote what was written since: %s", got)
	}
	if n := found(""); n != 45 {
		t.Errorf("%d documents after all was taken back, want 45", n)
	}
	var list actionList
	s.want(200, "", "GET", "/collections/c/duplicates/actions", nil).json(t, &list)
	if len(list.Actions) != 3 || list.Actions[0].ID != deleted.ID || !list.Actions[0].Undone || list.Actions[1].Undone {
		t.Errorf("actions %+v", list.Actions)
	}
	s.want(400, robin.CodeInvalid, "POST", at+"/apply", `{"action":"burn"}`)
	s.want(400, robin.CodeInvalid, "POST", at+"/apply", `{"action":"flag","clusters":["x1"]}`)
	if r := s.direct("POST", "/collections/c/duplicates/actions/nothing/undo", nil, 0); r.StatusCode != 404 {
		t.Errorf("taking back nothing: %d", r.StatusCode)
	}
}

func TestAPersonsWordStandsAboveTheClusters(t *testing.T) {
	s := shelf(t)
	rep := s.find(`{"keep":"first"}`)
	at := "/collections/c/duplicates/" + rep.Task
	if got, want := kept(rep), "k1: k2 k3, l1: l2"; got != want {
		t.Fatalf("clusters %s, want %s", got, want)
	}
	left := func(want string) {
		t.Helper()
		var ids []string
		for _, id := range []string{"k1", "k2", "k3", "l1", "l2"} {
			if r := s.direct("GET", "/collections/c/documents/"+id, nil, 0); r.StatusCode == 200 {
				ids = append(ids, id)
			}
		}
		if got := strings.Join(ids, " "); got != want {
			t.Errorf("left are %s, want %s", got, want)
		}
	}
	apply := func(body, want string) {
		t.Helper()
		var a actionAnswer
		s.want(200, "", "POST", at+"/apply", body).json(t, &a)
		left(want)
		s.want(200, "", "POST", "/collections/c/duplicates/actions/"+a.Action.ID+"/undo", nil)
		left("k1 k2 k3 l1 l2")
	}
	apply(`{"action":"delete","prefer":["k3"]}`, "k3 l1")
	apply(`{"action":"delete","clusters":["k1"],"prefer":["k2"]}`, "k2 l1 l2")
	s.want(200, "", "POST", "/collections/c/duplicates/labels", `{"labels":[{"a":"k2","b":"k1","same":false}]}`)
	apply(`{"action":"delete"}`, "k1 k2 l1")
	apply(`{"action":"delete","prefer":["k2"]}`, "k1 k2 l1") // k1 is not what k2 is, whichever of them is kept
	for _, bad := range []string{`["x1"]`, `["k1"]`, `["k2","k3"]`, `["l2","l2"]`} {
		s.want(400, robin.CodeInvalid, "POST", at+"/apply", `{"action":"delete","prefer":`+bad+`}`)
	}
	s.want(400, robin.CodeInvalid, "POST", at+"/apply", `{"action":"delete","clusters":["l1"],"prefer":["k2"]}`)
	left("k1 k2 k3 l1 l2")
}

func TestWhatSaysSomethingElseByNowIsLeftAlone(t *testing.T) {
	s := shelf(t)
	at := "/collections/c/duplicates/" + s.find(`{"keep":"first"}`).Task
	change := func(id, title string) {
		s.want(200, "", "PUT", "/collections/c/documents/"+id, fmt.Sprintf(`{"id":%q,"title":%q,"rating":1}`, id, title))
	}
	change("k2", "Steel kettle in black that whistles")
	change("k3", "Enamel kettle in cream with a wooden handle!") // a copy still
	var a actionAnswer
	s.want(200, "", "POST", at+"/apply", `{"action":"delete","clusters":["k1"]}`).json(t, &a)
	if a.Action.Documents != 1 || a.Action.Changed != 1 {
		t.Errorf("action %+v, want 1 document deleted and 1 left because it changed", a.Action)
	}
	s.want(200, "", "GET", "/collections/c/documents/k2", nil)
	s.want(404, robin.CodeNoDocument, "GET", "/collections/c/documents/k3", nil)

	change("l1", "Floor lamp with a paper shade") // what would be kept
	s.want(400, robin.CodeInvalid, "POST", at+"/apply", `{"action":"delete","clusters":["l1"]}`)
	s.want(200, "", "GET", "/collections/c/documents/l2", nil)
}

func TestACutCanGoByTheRuleOfNow(t *testing.T) {
	s := shelf(t)
	rep := s.find(`{"keep":"first"}`)
	at := "/collections/c/duplicates/" + rep.Task
	s.want(200, "", "PUT", "/collections/c", `{"text":[{"field":"title"}],"attributes":{"rating":"number"},"duplicate_rule":{"threshold":1}}`)
	for query, want := range map[string]string{"": "k1: k2 k3, l1: l2", "?rule=current": "k1: k2 k3"} {
		var cut robin.DuplicateReport
		s.want(200, "", "GET", at+query, nil).json(t, &cut)
		if got := kept(cut); got != want {
			t.Errorf("cut %q is %s, want %s", query, got, want)
		}
	}
	s.want(400, robin.CodeInvalid, "GET", at+"?rule=best", nil)
	s.want(400, robin.CodeInvalid, "POST", at+"/apply", `{"action":"flag","rule":"best"}`)
	var a actionAnswer
	s.want(200, "", "POST", at+"/apply", `{"action":"flag","rule":"current"}`).json(t, &a)
	if a.Action.Documents != 2 {
		t.Errorf("%d documents flagged by the rule of now, want 2", a.Action.Documents)
	}
}

func TestLabelsAreKeptAndTooFewOfThemTeachNothing(t *testing.T) {
	s := shelf(t)
	rep := s.find(`{}`)
	var n robin.LabelCount
	s.want(200, "", "POST", "/collections/c/duplicates/labels", `{"labels":[{"a":"l2","b":"l1","same":true},{"a":"k1","b":"l1","same":false}]}`).json(t, &n)
	s.want(200, "", "POST", "/collections/c/duplicates/labels", `{"labels":[{"a":"l1","b":"l2","same":false}]}`).json(t, &n)
	if n.Labels != 2 || n.Same != 0 || n.Learnable || !strings.Contains(n.Detail, "48") {
		t.Errorf("labels %+v; the last word on a pair counts, whichever way round", n)
	}
	var list labelList
	s.want(200, "", "GET", "/collections/c/duplicates/labels", nil).json(t, &list)
	if len(list.Pairs) != 2 || list.Pairs[0] != (robin.Label{A: "l1", B: "l2"}) {
		t.Errorf("labels %+v", list)
	}
	s.want(400, robin.CodeInvalid, "POST", "/collections/c/duplicates/learn", fmt.Sprintf(`{"task":%q}`, rep.Task))
	for _, bad := range []string{`{"labels":[]}`, `{"labels":[{"a":"x","b":"x","same":true}]}`, `{"labels":[{"a":"","b":"x","same":true}]}`} {
		s.want(400, robin.CodeInvalid, "POST", "/collections/c/duplicates/labels", bad)
	}
}

func TestTwoCataloguesAreJoinedOneToOne(t *testing.T) {
	s := shelf(t)
	var b strings.Builder
	for i, id := range []string{"k1", "k2", "k3", "l1", "l2"} {
		fmt.Fprintf(&b, `{"id":%q,"shop":%q}`+"\n", id, []string{"north", "south"}[i%2])
	}
	s.want(200, "", "POST", "/collections/c/documents/import?action=update", strings.NewReader(b.String()))
	rep := s.find(`{"one_to_one":"shop"}`)
	if got := kept(rep); got != "k1: k2, l1: l2" || rep.OneToOne != "shop" {
		t.Errorf("joined %q by %q", got, rep.OneToOne)
	}
	var again robin.DuplicateReport
	s.want(200, "", "GET", "/collections/c/duplicates/"+rep.Task+"?keep=highest:rating", nil).json(t, &again)
	if got := kept(again); got != "k2: k1, l2: l1" {
		t.Errorf("cut anew: %q", got)
	}
	task := s.outcome(s.want(202, "", "POST", "/collections/c/duplicates", `{"one_to_one":"store"}`))
	if task.Status != robin.TaskFailed || !strings.Contains(task.Error, "no document has that field") {
		t.Errorf("a field that nobody has: %+v", task)
	}
}
