package api

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"robin"
)

// said is what an error answer names: its text, and in the shapes that have them the pointers of its fields.
func (r reply) said(t *testing.T, path string) (text string, pointers []string) {
	t.Helper()
	switch {
	case strings.HasPrefix(path, "/v1/"):
		var e openAIError
		r.json(t, &e)
		if p := e.Error.Param; p != nil {
			pointers = append(pointers, "/"+strings.ReplaceAll(*p, ".", "/"))
		}
		return e.Error.Message, pointers
	case strings.HasPrefix(path, "/v2/"):
		var e rerankError
		r.json(t, &e)
		return e.Message, nil
	case teiPaths[path]:
		var e teiError
		r.json(t, &e)
		return e.Error, nil
	}
	var p problem
	r.json(t, &p)
	for _, f := range p.Errors {
		pointers = append(pointers, f.Pointer)
	}
	return withFields(p.Detail, p.Errors), pointers
}

// deep nests n times.
func deep(open, close string, n int) string {
	return strings.Repeat(open, n) + strings.Repeat(close, n)
}

// hostile sends what costs a careless server much, and holds the answers to what they may cost here.
type hostile struct {
	*site
	t *testing.T
}

func (h hostile) send(status int, method, path, body string) reply {
	h.t.Helper()
	var r reply
	var took time.Duration
	used := allocated(func() {
		start := processorTime(h.t)
		r = h.direct(method, path, strings.NewReader(body), int64(len(body)), "Content-Type", "application/json")
		took = processorTime(h.t) - start
	})
	if r.StatusCode != status {
		h.t.Errorf("%s %s %.60s: %d, want %d: %.300s", method, path, body, r.StatusCode, status, r.body)
	}
	limit := 100 * time.Millisecond * raceFactor
	if took > limit || used > 16*mib {
		h.t.Errorf("%s %s %.60s: %s and %.1f MiB", method, path, body, took, float64(used)/mib)
	}
	return r
}

// refused wants 400 and an answer that names the field at pointer, or one below it, and says why. An empty pointer is
// the whole body: then no field may be named.
func (h hostile) refused(method, path, body, pointer, why string) {
	h.t.Helper()
	r := h.send(400, method, path, body)
	text, pointers := r.said(h.t, path)
	named := strings.Contains(text, pointer) && strings.Contains(text, why)
	for _, p := range pointers {
		if pointer == "" {
			named = named && p == ""
		} else {
			named = named && strings.HasPrefix(p, pointer)
		}
	}
	shaped := teiPaths[path] || strings.HasPrefix(path, "/v2/") || pointer == "" || len(pointers) > 0
	if !named || !shaped {
		h.t.Errorf("%s %s %.60s: the answer does not say %q at %q: %.300s", method, path, body, why, pointer, r.body)
	}
}

func TestT36HostileJSONIsRefusedCheaplyAndByName(t *testing.T) {
	s := serve(t, withModels(openEngine(t)))
	s.want(201, "", "PUT", "/collections/c", `{"text":[{"field":"title"}],"attributes":{"price":"number"}}`)
	s.want(201, "", "PUT", "/collections/c/documents/1", `{"id":"1","title":"mug aaaa","price":1}`)
	h := hostile{s, t}
	for _, route := range jsonRoutes {
		f := func(body, pointer, why string) {
			t.Helper()
			h.refused(route.method, route.path, body, pointer, why)
		}
		f(deep("[", "]", 10_000), "", "must be an object")
		f(`[`+strings.Repeat("{},", 300_000)+`{}]`, "", "must be an object")
		f("\ufeff{}", "", "byte order mark")
		f(`{} {}`, "", "text after the end")
		f(`{}]`, "", "text after the end")
		f(`nul`, "", "not a JSON value")
		f(`"`, "", "ends inside a string")
		f(`{"q"`, "", "want a colon")
		f(``, "", "is empty")
		f("{\"x\":\"\x00\"}", "/x", "control character")
		f(`{"x":"\ud800"}`, "/x", "half of a surrogate pair")
		f(`{"x":1,"x":2}`, "/x", "is given twice")
		f(`{`+strings.Repeat(`"x":1,`, 150_000)+`"y":1}`, "/x", "is given twice")
		f(deep(`{"x":`, "}", 10_000), "/x", "")
		f(`{"x":`+deep("[", "]", 10_000)+`}`, "/x", "nested deeper than")
		f(`{"x":[`+strings.Repeat("[],", 300_000)+`[]],"x":1}`, "/x", "is given twice")
		if strings.Contains(route.path, "/documents/1") {
			continue // documents may hold any field
		}
		f(`{"unheard":1e999}`, "/unheard", "is not a field here")
		f(`{"unheard":[null]}`, "/unheard", "is not a field here")
		f(`{"`+strings.Repeat("a", 500_000)+`":1}`, "/aaa", "is not a field here")
	}
	search := func(body, pointer, why string) {
		t.Helper()
		h.refused("POST", "/collections/c/search", body, pointer, why)
	}
	search(`{"limit":1e999}`, "/limit", "must be an integer")
	search(`{"limit":`+strings.Repeat("9", 100_000)+`}`, "/limit", "must be an integer")
	search(`{"fusion":{"k":1e999}}`, "/fusion/k", "out of range")
	search(`{"facets":[{"field":"price","ranges":[{"to":"x"}]}]}`, "/facets/0/ranges/0/to", "must be a number")
	search(`{"q":[["a"]]}`, "/q", "must be a string")
}

func TestT36HostileRowsCostOneRow(t *testing.T) {
	s := serve(t, Options{Engine: openEngine(t)})
	s.want(201, "", "PUT", "/collections/c", `{"text":[{"field":"title"}],"attributes":{"price":"number"}}`)
	h := hostile{s, t}
	var wide strings.Builder // 100,000 keys, in less than a document may have
	for i := range 100_000 {
		fmt.Fprintf(&wide, `,"k%s":1`, strconv.FormatInt(int64(i), 36))
	}
	row := func(row string, code robin.Code, why string) {
		t.Helper()
		for _, action := range []string{"upsert", "update"} {
			s.want(200, "", "POST", "/collections/c/documents/import", strings.NewReader(`[{"id":"a","title":"mug"},{"id":"w","title":"mug"},{"id":"b","title":"mug"}]`))
			status, indexed := 207, 2
			if code == "" {
				status, indexed = 200, 3
			}
			var rep robin.ImportReport
			h.send(status, "POST", "/collections/c/documents/import?action="+action, `[{"id":"a","title":"mug"},`+row+`,{"id":"b","title":"mug"}]`).json(t, &rep)
			if rep.Indexed != indexed || len(rep.Errors) != 3-indexed {
				t.Errorf("%s of %.60s: %+v", action, row, rep)
			} else if code != "" && (rep.Errors[0].Line != 2 || rep.Errors[0].Code != code || !strings.Contains(rep.Errors[0].Detail, why)) {
				t.Errorf("%s of %.60s: %+v, want %s with %q", action, row, rep.Errors, code, why)
			}
			s.want(200, "", "POST", "/collections/c/documents/delete", `{"ids":["w"]}`)
		}
	}
	row(`{"id":"w","title":"mug"`+wide.String()+`}`, robin.CodeTooLarge, "more than 10000 fields")
	row(`{"id":"w","title":"mug","n":{"a":1`+wide.String()+`}}`, robin.CodeTooLarge, "more than 10000 fields")
	row(`{"id":"w","title":"mug","a":[1`+strings.Repeat(`,1`, 400_000)+`]}`, "", "")
	row(`{"id":"w","title":"mug"`+strings.Repeat(`,"a":1`, 100_000)+`}`, robin.CodeInvalid, `"a" appears twice`)
	row(`{"id":"w","title":`+deep("[", "]", 10_000)+`}`, robin.CodeTooLarge, "nested")
	row(`{"id":"w","title":"mug","price":1e999}`, robin.CodeInvalid, "/price")
	h.refused("PUT", "/collections/c/documents/w", `{"id":"w"`+wide.String()+`}`, "", "more than 10000 fields")
}

func TestT36HostileFiltersAndQueriesAreCheap(t *testing.T) {
	s := serve(t, Options{Engine: openEngine(t)})
	s.want(201, "", "PUT", "/collections/c", `{"text":[{"field":"title"}],"attributes":{"price":"number"}}`)
	s.want(201, "", "PUT", "/collections/c/documents/1", `{"id":"1","title":"mug aaaa","price":1}`)
	h := hostile{s, t}
	for _, filter := range []string{
		deep("(", ")", 21) + "price = 1", strings.Repeat("(", 21) + "price = 1" + strings.Repeat(")", 21), strings.Repeat("NOT ", 1000) + "price = 1",
		"price = 1" + strings.Repeat(" AND price = 1", 201), strings.Repeat("price = 1 OR ", 5000),
	} {
		h.refused("POST", "/collections/c/search", fmt.Sprintf(`{"q":"mug","filter":%q}`, filter), "/filter", "")
	}
	h.refused("POST", "/collections/c/search", `{"q":"`+strings.Repeat("term ", 10_000)+`"}`, "/q", "the limit is 4096")
	for _, q := range []string{"(a+)+$", "*a*b*", "mug~2", "a~9999", `/a(b|c)*/`, "title:mug", `"`, "+-&&||!(){}[]^\\", strings.Repeat("* ", 500), strings.Repeat("a b ", 1000), "mug^1e308"} {
		for _, mode := range []string{"keyword", "semantic", "hybrid"} {
			h.send(200, "POST", "/collections/c/search", fmt.Sprintf(`{"q":%q,"mode":%q}`, q, mode))
		}
	}
}

func TestT37AnyTextIsRefusedOrComesBackAsItWas(t *testing.T) {
	s := serve(t, Options{Engine: openEngine(t)})
	s.want(201, "", "PUT", "/collections/c", minimalSettings)
	put := func(status int, id, title string) {
		t.Helper()
		doc := fmt.Sprintf(`{"id":%q,"title":"%s"}`, id, title)
		r := s.do("PUT", "/collections/c/documents/"+id, doc)
		if r.StatusCode != status {
			t.Fatalf("%s: %d, want %d: %.200s", id, r.StatusCode, status, r.body)
		}
		if status != 201 {
			s.want(404, robin.CodeNoDocument, "GET", "/collections/c/documents/"+id, nil)
			return
		}
		if got := s.want(200, "", "GET", "/collections/c/documents/"+id, nil); string(got.body) != doc {
			t.Fatalf("%s: sent %.100q, got %.100q", id, doc, got.body)
		}
		s.want(200, "", "POST", "/collections/c/similar", `{"id":"`+id+`"}`)
	}
	put(400, "bad-utf8", "caf\xe9")
	put(400, "overlong", "\xc0\xaf")
	put(400, "utf8-surrogate", "\xed\xa0\x80")
	put(400, "lone-high", `\ud83d`)
	put(400, "lone-low", `\ude00 x`)
	put(400, "two-high", `\ud83d\ud83d`)
	put(400, "raw-nul", "a\x00b")
	put(400, "no-escape", `\q`)
	put(413, "ten-megabytes", strings.Repeat("a", 10*mib))
	put(413, "million-marks", "e"+strings.Repeat("\u0301", 1_000_000))
	put(201, "nul", `a\u0000b mug`)
	put(201, "bidi", "mug \u202egum\u202c")
	put(201, "pair", `mug \ud83d\ude00`)
	put(201, "zwj", "mug 👩‍👩‍👧‍👦🏳️‍🌈")
	put(201, "marks", "mug e"+strings.Repeat("\u0301", 100_000))
	put(201, "long-word", strings.Repeat("a", 900_000))
	put(201, "mixed", "кружка 马克杯 マグ كوب mug ถ้วย")
	put(201, "noncharacter", "mug \ufffe\uffff\U0010ffff")
	for _, id := range []string{"empty", "spaces"} {
		title := map[string]string{"empty": "", "spaces": " \u00a0\u2003 "}[id]
		s.want(201, "", "PUT", "/collections/c/documents/"+id, fmt.Sprintf(`{"id":%q,"title":%q}`, id, title))
	}
	for _, q := range []string{"", " ", "\u0000", "\u202e", "é", "e\u0301\u0301\u0301", "👩‍👩‍👧‍👦", "马克杯", strings.Repeat("\u0301", 2000), "\ufffe"} {
		for _, mode := range []string{"keyword", "semantic", "hybrid"} {
			s.want(200, "", "POST", "/collections/c/search", map[string]any{"q": q, "mode": mode, "highlight": true, "explain": true})
		}
	}
	s.want(400, robin.CodeInvalid, "POST", "/collections/c/search", "{\"q\":\"\xff\"}")
}

func TestT39AVectorThatIsNotFiniteIsNeverStored(t *testing.T) {
	s := serve(t, Options{Engine: openEngine(t)})
	s.want(201, "", "PUT", "/collections/c", minimalSettings)
	for i := range 20 {
		s.want(201, "", "PUT", fmt.Sprintf("/collections/c/documents/%d", i), fmt.Sprintf(`{"id":"%d","title":"mug number %d of twenty"}`, i, i))
	}
	search := func() string {
		var res robin.Result
		s.want(200, "", "POST", "/collections/c/search", `{"q":"mug number 7","mode":"semantic","limit":20}`).json(t, &res)
		var b strings.Builder
		for _, h := range res.Hits {
			fmt.Fprintf(&b, "%s %.6f\n", h.ID, h.Score)
		}
		return b.String()
	}
	before := search()
	if strings.Count(before, "\n") < 10 {
		t.Fatalf("the search finds too little to show anything: %s", before)
	}
	// 1e30, 3e38 and 1e-40 are finite, but no vector of length 1 holds them.
	for _, defect := range []string{"nan", "plus-inf", "inf", "1e30", "huge", "tiny", "zero", "short"} {
		bad := `{"id":"bad","title":"defect-` + defect + `"}`
		s.want(422, robin.CodeNotFinite, "PUT", "/collections/c/documents/bad", bad)
		s.want(404, robin.CodeNoDocument, "GET", "/collections/c/documents/bad", nil)
		s.want(422, robin.CodeNotFinite, "PATCH", "/collections/c/documents/3", `{"title":"defect-`+defect+`"}`)
		if got := s.want(200, "", "GET", "/collections/c/documents/3", nil); string(got.body) != `{"id":"3","title":"mug number 3 of twenty"}` {
			t.Fatalf("%s changed a document to %s", defect, got.body)
		}
		s.want(422, robin.CodeNotFinite, "POST", "/collections/c/search", `{"q":"defect-`+defect+`","mode":"semantic"}`)
		s.want(422, robin.CodeNotFinite, "POST", "/collections/c/similar", `{"text":"defect-`+defect+`"}`)
		var rep robin.ImportReport
		s.want(207, "", "POST", "/collections/c/documents/import", strings.NewReader(bad+"\n"+`{"id":"3","title":"mug number 3 of twenty"}`)).json(t, &rep)
		if rep.Indexed != 1 || rep.Failed != 1 || rep.Errors[0].Line != 1 || rep.Errors[0].ID != "bad" || rep.Errors[0].Code != robin.CodeNotFinite {
			t.Fatalf("%s: import %+v", defect, rep)
		}
		var list quarantineList
		s.want(200, "", "GET", "/collections/c/quarantine", nil).json(t, &list)
		if q := list.Quarantine; len(q) != 1 || q[0].ID != "bad" || q[0].Stored || q[0].Reason == "" || q[0].Model.Fingerprint == "" {
			t.Fatalf("%s: in quarantine are %+v", defect, q) // 3 was written again since
		}
	}
	s.want(404, robin.CodeNoCollection, "GET", "/collections/none/quarantine", nil)
	s.want(400, robin.CodeInvalid, "GET", "/collections/c/quarantine?limit=1", nil)
	s.want(200, "", "PUT", "/collections/c", `{"text":[{"field":"title"}],"attributes":{"n":"number"}}`)
	for _, n := range []string{"NaN", "Infinity", "-Infinity", "1e999", "-1e999"} {
		r := s.want(400, robin.CodeInvalid, "PUT", "/collections/c/documents/bad", `{"id":"bad","title":"mug","n":`+n+`}`)
		if text, _ := r.said(t, ""); !strings.Contains(text, "/n") {
			t.Fatalf("%s: %s", n, r.body)
		}
	}
	s.want(404, robin.CodeNoDocument, "GET", "/collections/c/documents/bad", nil)
	s.want(201, "", "PUT", "/collections/c/documents/far", `{"id":"far","title":"x","n":1e30}`)
	var far robin.Result
	s.want(200, "", "POST", "/collections/c/search", `{"filter":"n >= 1e30"}`).json(t, &far)
	if far.Total != 1 || far.Hits[0].ID != "far" {
		t.Fatalf("1e30 as an attribute: %+v", far)
	}
	s.want(200, "", "DELETE", "/collections/c/documents/far", nil)
	if after := search(); after != before {
		t.Fatalf("the results changed:\n%s\n%s", before, after)
	}
}

// The same for vectors that documents bring: whatever is wrong with one, its row alone fails, and says why.
func TestT39ABroughtVectorThatCannotBeComparedFailsItsRow(t *testing.T) {
	s := serve(t, Options{Engine: openEngine(t)})
	s.want(201, "", "PUT", "/collections/c", `{"text":[{"field":"title"}],"embedder":"none","reranker":"none","vector_field":"v","dimension":4}`)
	var rows strings.Builder
	for i := range 200 {
		a := float64(i) / 100
		fmt.Fprintf(&rows, `{"id":"%d","title":"mug","v":[%.6f,%.6f,%.6f,0.25]}`+"\n", i, math.Cos(a), math.Sin(a), math.Cos(3*a))
	}
	s.want(200, "", "POST", "/collections/c/documents/import", strings.NewReader(rows.String()))
	search := func() string {
		r := s.want(200, "", "POST", "/collections/c/search", `{"vector":[0.8,0.6,-0.4,0.2],"mode":"semantic","limit":50,"fields":["id"]}`)
		var res robin.Result
		r.json(t, &res)
		var b strings.Builder
		for _, h := range res.Hits {
			fmt.Fprintf(&b, "%s %.6f\n", h.ID, h.Score)
		}
		return b.String()
	}
	before := search()
	if strings.Count(before, "\n") != 50 {
		t.Fatalf("the search finds too little to show anything: %s", before)
	}
	good := `{"id":"7","title":"mug","v":[0.997551,0.069943,0.978031,0.25]}`
	other := `{"id":"8","title":"mug","v":[0.996802,0.079915,0.971338,0.25]}`
	f := func(vector string, code robin.Code) {
		t.Helper()
		bad := `{"id":"bad","title":"mug","v":` + vector + `}`
		var rep robin.ImportReport
		s.want(207, "", "POST", "/collections/c/documents/import?format=jsonl", strings.NewReader(good+"\n"+bad+"\n"+other+"\n")).json(t, &rep)
		if rep.Indexed != 2 || rep.Failed != 1 || rep.Errors[0].Line != 2 || rep.Errors[0].Code != code {
			t.Fatalf("%s: import %+v", vector, rep)
		}
		status := map[robin.Code]int{robin.CodeInvalid: 400, robin.CodeNotFinite: 422}[code]
		s.want(status, code, "PUT", "/collections/c/documents/bad", bad)
		s.want(status, code, "PATCH", "/collections/c/documents/7", `{"v":`+vector+`}`)
		s.want(404, robin.CodeNoDocument, "GET", "/collections/c/documents/bad", nil)
		s.want(400, robin.CodeInvalid, "POST", "/collections/c/search", `{"mode":"semantic","vector":`+vector+`}`)
	}
	for _, text := range []string{"[NaN,0,0,1]", "[Infinity,0,0,1]", "[-Infinity,0,0,1]", "[nan,0,0,1]", `["1",0,0,1]`, "[null,0,0,1]", "[[1],0,0,1]",
		"[]", "[1,2,3]", "[1,2,3,4,5]", `"NaN"`} {
		f(text, robin.CodeInvalid)
	}
	for _, text := range []string{"[1e400,0,0,1]", "[-1e400,0,0,1]", "[1e39,0,0,1]", "[1e30,0,0,1]", "[1e-40,0,0,0]", "[0,0,0,0]"} {
		f(text, robin.CodeNotFinite)
	}
	if after := search(); after != before {
		t.Fatalf("the results changed:\n%s\n%s", before, after)
	}
	var info robin.CollectionInfo
	s.want(200, "", "GET", "/collections/c", nil).json(t, &info)
	if info.Documents != 200 {
		t.Fatalf("%d documents", info.Documents)
	}
}
