package api

import (
	"strings"
	"testing"

	"robin"
)

func TestDuplicatesAreNamedWhereverDocumentsComeIn(t *testing.T) {
	s := serve(t, Options{Engine: openEngine(t)})
	settings := func(policy string) string {
		return `{"text":[{"field":"title"}],"reranker":"none","duplicates":"` + policy + `"}`
	}
	s.want(201, "", "PUT", "/collections/c", settings("reject"))
	s.want(400, robin.CodeInvalid, "PUT", "/collections/c", settings("merge"))
	s.want(201, "", "PUT", "/collections/c/documents/a", `{"id":"a","title":"red enamel mug with a lid"}`)
	var p problem
	s.want(409, robin.CodeDuplicate, "PUT", "/collections/c/documents/b", `{"id":"b","title":"Red enamel mug, with a lid!"}`).json(t, &p)
	if !strings.Contains(p.Detail, `"a"`) || !strings.Contains(p.Detail, "same text") {
		t.Errorf("problem %+v", p)
	}
	body := "\n" + `{"id":"c","title":"red enamel mug with a lid"}` + "\n\n" + `{"id":"d","title":"a steel kettle"}` + "\n"
	var rep robin.ImportReport
	s.want(207, "", "POST", "/collections/c/documents/import", strings.NewReader(body), "Content-Type", "application/x-ndjson").json(t, &rep)
	if rep.Indexed != 1 || rep.Failed != 1 || rep.Errors[0].Line != 2 || rep.Errors[0].Code != robin.CodeDuplicate ||
		rep.Duplicates != 1 || len(rep.Twins) != 1 || rep.Twins[0].Line != 2 || rep.Twins[0].Twin != "a" || rep.Twins[0].Action != robin.DuplicatesReject {
		t.Errorf("report %+v", rep)
	}
	s.want(200, "", "PUT", "/collections/c", settings("link"))
	var w writeAnswer
	s.want(201, "", "PUT", "/collections/c/documents/b", `{"id":"b","title":"red enamel mug with a lid"}`).json(t, &w)
	if w.Twin == nil || w.Twin.ID != "b" || w.Twin.Twin != "a" || w.Twin.Action != robin.DuplicatesLink || w.Twin.Score != 1 {
		t.Errorf("answer %+v", w)
	}
	for _, search := range []string{"/collections/c/search?q=mug&collapse_duplicates=true", "/collections/c/search?filter=_duplicate_of+%3D+a&collapse_duplicates=true"} {
		var res robin.Result
		s.want(200, "", "GET", search, nil).json(t, &res)
		for _, h := range res.Hits {
			if h.ID == "b" && strings.Contains(search, "q=mug") || h.ID == "a" && (h.Duplicates != 1 || h.DuplicateIDs[0] != "b") {
				t.Errorf("%s: hit %+v", search, h)
			}
		}
		if len(res.Hits) == 0 || res.Total != len(res.Hits) {
			t.Errorf("%s: %d of %d", search, len(res.Hits), res.Total)
		}
	}
}
