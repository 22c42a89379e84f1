package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// evalFolder writes a small evaluation folder.
func evalFolder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

var judged = map[string]string{
	"corpus.jsonl": `{"_id":"1","title":"red lamp","text":"for the desk"}
{"_id":"2","title":"oak chair","text":"with arms"}
{"_id":"3","title":"garden hose","text":"20 metres"}
`,
	"queries.jsonl": `{"_id":"q1","text":"lamp"}` + "\n" + `{"_id":"q2","text":"chair"}` + "\n",
	"qrels.tsv":     "query-id\tcorpus-id\tscore\nq1\t1\t1\nq2\t2\t1\n",
	"pairs.tsv":     "text1\ttext2\tlabel\tsplit\nred lamp\tlamp, red\t1\ttest\nred lamp\tgarden hose\t0\ttest\noak chair\tchair of oak\t1\tvalid\noak chair\tred lamp\t0\tvalid\n",
}

func TestEvalAgainstItsOwnBaselinePassesAndAgainstABetterOneFails(t *testing.T) {
	dir := evalFolder(t, judged)
	report := must(t, "", "eval", dir, "--json")
	must(t, "", "eval", dir, "--baseline", write(t, "same.json", report))

	// Each figure by the name that it has in the report, lifted out of reach.
	f := func(path ...string) {
		t.Helper()
		var doc map[string]any
		if err := json.Unmarshal([]byte(report), &doc); err != nil {
			t.Fatal(err)
		}
		at := doc
		for _, key := range path[:len(path)-1] {
			at, _ = at[key].(map[string]any)
		}
		last := path[len(path)-1]
		if _, ok := at[last].(float64); !ok {
			t.Fatalf("the report has no %v:\n%s", path, report)
		}
		at[last] = 1.5
		b, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		code, _, errs := robinRun(t, "", "eval", dir, "--baseline", write(t, "better.json", string(b)))
		if want := last + " fell from 1.5000"; code != exitFailed || !strings.Contains(errs, want) || strings.Count(errs, "fell") != 1 {
			t.Errorf("%v: exit %d, %s; want 1 and %q alone", path, code, errs, want)
		}
	}
	f("stages", "keyword", "ndcg@10")
	f("stages", "hybrid", "mrr@10")
	f("stages", "reranked", "recall@100")
	f("pairs", "f1")
}

func TestEvalComparesSpearmanOfPairs(t *testing.T) {
	dir := evalFolder(t, map[string]string{
		"pairs.tsv": "text1\ttext2\tlabel\tsplit\nred lamp\tlamp, red\t4.5\ttest\nred lamp\tgarden hose\t0.5\ttest\noak chair\toak stool\t3\ttest\n",
	})
	must(t, "", "eval", dir, "--baseline", write(t, "low.json", `{"pairs":{"pairs":3,"spearman":-0.5}}`))
	code, _, errs := robinRun(t, "", "eval", dir, "--baseline", write(t, "high.json", `{"pairs":{"pairs":3,"spearman":1.5}}`))
	if code != exitFailed || !strings.Contains(errs, "pairs spearman fell from 1.5000") {
		t.Errorf("exit %d, %s", code, errs)
	}
}

func TestEvalDoesNotPassAgainstABaselineThatComparesNothing(t *testing.T) {
	both := evalFolder(t, judged)
	pairs := evalFolder(t, map[string]string{"pairs.tsv": judged["pairs.tsv"]})
	unjudged := evalFolder(t, map[string]string{"corpus.jsonl": judged["corpus.jsonl"]})
	good := `{"ndcg@10":0,"mrr@10":0,"recall@100":0}`
	stages := `{"queries":2,"stages":{"keyword":` + good + `,"semantic":` + good + `,"hybrid":` + good + `,"reranked":` + good + `}}`
	f := func(dir, baseline, want string) {
		t.Helper()
		code, _, errs := robinRun(t, "", "eval", dir, "--baseline", write(t, "baseline.json", baseline))
		if code != exitFailed || !strings.Contains(errs, want) {
			t.Errorf("%s: exit %d, %s; want 1 and %q", baseline, code, errs, want)
		}
	}
	f(both, `{}`, "no figures")
	f(both, `null`, "no figures")
	f(both, `{"stages":{"keyword":{},"semantic":{},"hybrid":{},"reranked":{}}}`, "has no ndcg@10")
	f(both, `{"queries":2,"stages":{"keyword":`+good+`}}`, "semantic is measured in this run only")
	f(both, stages, "pairs are measured in this run only")
	f(pairs, stages, "keyword is measured in the baseline only")
	f(unjudged, stages, "nothing that is judged")
}
