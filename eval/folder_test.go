package eval

import (
	"os"
	"path/filepath"
	"testing"
)

func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestQueriesThatAreOneShopsTitlesAreAskedOfTheOther(t *testing.T) {
	f, err := Load(folder(t, map[string]string{
		"corpus.jsonl": `{"_id":"a:1","title":"lamp","source":"a"}
{"_id":"a:2","title":"chair","source":"a"}
{"_id":"b:1","title":"a lamp","source":"b"}
`,
		"queries.jsonl": `{"_id":"a:1","text":"lamp"}` + "\n",
		"qrels.tsv":     "query-id\tcorpus-id\tscore\na:1\tb:1\t1\n",
	}))
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Corpus) != 1 || f.Dropped != 2 {
		t.Errorf("kept %s, dropped %d", f.Corpus, f.Dropped)
	}
}

func TestACorpusKeepsTheSourcesInWhichSomethingWasJudged(t *testing.T) {
	f, err := Load(folder(t, map[string]string{
		"corpus.jsonl": `{"_id":"1","title":"lamp","source":"a"}
{"_id":"2","title":"chair","source":"a"}
{"_id":"3","title":"stool"}
`,
		"queries.jsonl": `{"_id":"1","text":"lamp"}` + "\n",
		"qrels.tsv":     "query-id\tcorpus-id\tscore\n1\t2\t1\n",
	}))
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Corpus) != 3 || f.Dropped != 0 {
		t.Errorf("kept %s, dropped %d", f.Corpus, f.Dropped)
	}
}

func TestAFolderWithoutAnythingToMeasureIsRefused(t *testing.T) {
	if _, err := Load(t.TempDir()); err == nil {
		t.Error("an empty folder was taken for an evaluation folder")
	}
	if _, err := Load(folder(t, map[string]string{"pairs.tsv": "text1\ttext2\tlabel\tsplit\na\tb\n"})); err == nil {
		t.Error("a pair without label was read")
	}
}
