package main

import (
	"encoding/json"
	"strings"
	"testing"

	"robin"
)

// The words nan and zero are rows of NaN and of zeros in tiny-lookup.
func TestQuarantineListsWhatAModelHasNoVectorFor(t *testing.T) {
	data := t.TempDir()
	must(t, "", "models", "import", tiny("tiny-lookup"), "--name", "lookup", "--data", data)
	settings := write(t, "settings.json", `{"text":[{"field":"title"}],"embedder":"lookup"}`)
	code, _, errs := robinRun(t, `{"id":"a","title":"red lamp"}`+"\n"+`{"id":"b","title":"nan lamp"}`+"\n"+`{"id":"c","title":"zero"}`,
		"import", "-", "-c", "lamps", "--settings", settings, "--data", data, "--failed", "off")
	if code != exitFailed {
		t.Fatalf("exit %d, %s", code, errs)
	}
	list := func() (out struct{ Quarantine []robin.Quarantined }) {
		t.Helper()
		if err := json.Unmarshal([]byte(must(t, "", "quarantine", "-c", "lamps", "--data", data, "--json")), &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	q := list().Quarantine
	if len(q) != 2 || q[0].ID != "b" || q[1].ID != "c" || q[0].Model.Name != "lookup" || len(q[0].Model.Fingerprint) != 64 || q[0].Stored {
		t.Fatalf("got %+v", q)
	}
	if out := must(t, "", "quarantine", "-c", "lamps", "--data", data); !strings.Contains(out, `"b"`) || !strings.Contains(out, "lookup 1 ("+q[0].Model.Fingerprint[:12]+")") {
		t.Errorf("printed %s", out)
	}
	must(t, `{"id":"b","title":"blue lamp"}`, "import", "-", "-c", "lamps", "--data", data)
	if q := list().Quarantine; len(q) != 1 || q[0].ID != "c" {
		t.Errorf("after it was written, %+v", q)
	}
	if code, _, errs := robinRun(t, "", "quarantine", "-c", "none", "--data", data); code != exitFailed || !strings.Contains(errs, "none") {
		t.Errorf("exit %d, %s", code, errs)
	}
}
