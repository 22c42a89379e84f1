package robin_test

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

// picture is the house: which of our packages each package may import. A package that is not listed here fails the
// test, so that a new room is drawn before it is built. Tests may import more.
var picture = map[string][]string{
	"robin":                    {},
	"robin/ann":                {},
	"robin/filter":             {"robin"},
	"robin/attr":               {"robin", "robin/filter"},
	"robin/boltfile":           {},
	"robin/store":              {"robin", "robin/boltfile"},
	"robin/model":              {"robin", "robin/model/onnx", "robin/model/tokenizer"},
	"robin/model/onnx":         {"robin"},
	"robin/model/tokenizer":    {"robin"},
	"robin/embedder":           {"robin", "robin/model", "robin/model/onnx", "robin/model/tokenizer"},
	"robin/rerank":             {"robin", "robin/model", "robin/model/onnx", "robin/model/tokenizer"},
	"robin/indexer":            {"robin", "robin/ann", "robin/attr", "robin/boltfile", "robin/dedup", "robin/filter", "robin/rerank", "robin/store"},
	"robin/importer":           {"robin"},
	"robin/dedup":              {"robin", "robin/ann"},
	"robin/tasks":              {"robin", "robin/boltfile"},
	"robin/webhook":            {"robin"},
	"robin/hub":                {},
	"robin/drift":              {"robin", "robin/embedder", "robin/model", "robin/rerank"},
	"robin/eval":               {"robin", "robin/dedup"},
	"robin/throughput":         {"robin", "robin/embedder", "robin/machine", "robin/model", "robin/model/onnx", "robin/model/tokenizer", "robin/rerank"},
	"robin/machine":            {},
	"robin/matrix":             {},
	"robin/recall":             {"robin/ann", "robin/machine", "robin/matrix"},
	"robin/api":                {"robin", "robin/importer", "robin/tasks"},
	"robin/crashtest":          {}, // tests only: they speak to the real program
	"robin/web":                {},
	"robin/testdata/catalogue": {},
	"robin/testdata/vectors":   {"robin/matrix"},
	"robin/cmd/robin":          nil, // the only place that sees everything
}

// libraries that one package owns: nothing else may import them.
var owners = map[string]string{
	"github.com/yalue/onnxruntime_go":  "robin/model/onnx",
	"github.com/blevesearch/bleve/v2":  "robin/indexer",
	"github.com/labstack/echo/v4":      "robin/api",
	"github.com/alecthomas/kong":       "robin/cmd/robin",
	"github.com/parquet-go/parquet-go": "robin/importer",
}

func TestImportsFollowThePicture(t *testing.T) {
	type pkg struct {
		ImportPath string
		Imports    []string
		Standard   bool
	}
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "./...", "./testdata/catalogue", "./testdata/vectors").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	seen := 0
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p pkg
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		allowed, listed := picture[p.ImportPath]
		if !listed {
			t.Errorf("%s is not in the picture: add it here and to docs/design.md", p.ImportPath)
			continue
		}
		seen++
		may := map[string]bool{}
		for _, a := range allowed {
			may[a] = true
		}
		for _, imp := range p.Imports {
			if (imp == "robin" || strings.HasPrefix(imp, "robin/")) && allowed != nil && !may[imp] {
				t.Errorf("%s imports %s, which the picture does not allow", p.ImportPath, imp)
			}
			for lib, owner := range owners {
				if (imp == lib || strings.HasPrefix(imp, lib+"/")) && p.ImportPath != owner {
					t.Errorf("%s imports %s, which only %s may", p.ImportPath, imp, owner)
				}
			}
			if p.ImportPath == "robin" && strings.Contains(strings.Split(imp, "/")[0], ".") {
				t.Errorf("the vocabulary imports %s; it may import the standard library only", imp)
			}
		}
	}
	if seen < len(picture) {
		t.Errorf("the picture lists %d packages, %d exist: remove what is gone", len(picture), seen)
	}
}
