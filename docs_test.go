package robin_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestEveryRouteAndErrorCodeIsDocumented(t *testing.T) {
	doc := read(t, "docs/api.md")
	var api struct {
		Paths map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal([]byte(read(t, "api/openapi.json")), &api); err != nil {
		t.Fatal(err)
	}
	if len(api.Paths) < 20 {
		t.Errorf("openapi.json has %d paths only", len(api.Paths))
	}
	for path := range api.Paths {
		if !strings.Contains(doc, path) && !strings.Contains(doc, strings.Replace(path, "{collection}", "{c}", 1)) {
			t.Errorf("docs/api.md does not mention %s", path)
		}
	}
	codes := regexp.MustCompile(`Code\s+= "([a-z_]+)"`).FindAllStringSubmatch(read(t, "errors.go"), -1)
	if len(codes) < 20 {
		t.Errorf("found %d error codes only", len(codes))
	}
	for _, c := range codes {
		if !strings.Contains(doc, "`"+c[1]+"`") {
			t.Errorf("docs/api.md does not mention the error code %s", c[1])
		}
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", "{{if .GoFiles}}{{.ImportPath}}\t{{.Doc}}{{end}}", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	design := read(t, "docs/design.md")
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		path, doc, _ := strings.Cut(line, "\t")
		if len(doc) < 20 {
			t.Errorf("package %s has no comment that says what it is for", path)
		}
		if top, _, _ := strings.Cut(strings.TrimPrefix(path, "robin/"), "/"); !strings.Contains(design, top) {
			t.Errorf("docs/design.md does not mention %s", top)
		}
	}
}
