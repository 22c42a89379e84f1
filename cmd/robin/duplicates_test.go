package main

import (
	"bufio"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"robin"
)

// hoses are four offers: two of one hose, a copy of the first in capitals, and a bird feeder.
const hoses = `sku,title,description,price,updated
G-1,Garden hose with brass fittings,"Flexible hose for watering beds and lawns, does not kink",39.00,2024-03-01
G-2,Flexible garden hose with brass couplings,"A hose for watering lawns and beds, never kinks",36.50,2024-05-01
G-3,GARDEN HOSE WITH BRASS FITTINGS,"Flexible hose for watering beds and lawns - does not kink!",41.00,2023-01-01
B-1,Bird feeder of larch,"Seeds and nuts for songbirds in winter",22.00,2024-01-01
`

func TestDuplicatesOfAPlainFileNeedNoCollection(t *testing.T) {
	dir := t.TempDir()
	file := write(t, "hoses.csv", hoses)
	text := must(t, "", "duplicates", file, "--threshold", "0.85", "--keep", "cheapest", "--data", dir)
	for _, want := range []string{"keep  Flexible garden hose", "(G-2: price 36.5, the lowest of 3)", "4 documents: 1 cluster with 2 duplicates at a cosine of 0.85; 2 with a copy"} {
		if !strings.Contains(text, want) {
			t.Errorf("the text lacks %q:\n%s", want, text)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("the data folder holds %v, %v; nothing should be written", left, err)
	}

	out := filepath.Join(dir, "out.csv")
	must(t, hoses, "duplicates", "-", "--threshold", "0.85", "--keep", "newest:updated", "--format", "csv", "--output", out)
	f, err := os.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 4 || rows[1][1] != "kept" || rows[1][2] != "G-2" || rows[2][3] != "G-2" || rows[3][1] != "duplicate" {
		t.Errorf("rows %q", rows)
	}

	types := map[string]int{}
	for _, line := range strings.Split(strings.TrimSpace(must(t, "", "duplicates", file, "--threshold", "0.85", "--format", "jsonl")), "\n") {
		var l struct{ Type string }
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		types[l.Type]++
	}
	if types["report"] != 1 || types["cluster"] != 1 || types["pair"] < 2 {
		t.Errorf("lines by type: %v", types)
	}
}

func TestTwoCataloguesOfOneFileAreJoinedOneToOne(t *testing.T) {
	const offers = `{"id":"a1","shop":"a","title":"Garden hose with brass fittings"}
{"id":"a2","shop":"a","title":"Garden hose, with brass fittings"}
{"id":"b1","shop":"b","title":"garden hose with brass fittings!"}
`
	rep := reportOf(t, must(t, offers, "duplicates", "-", "--one-to-one", "shop", "--json"))
	if len(rep.Clusters) != 1 || rep.Clusters[0].Kept != "a1" || len(rep.Clusters[0].Members) != 1 || rep.Clusters[0].Members[0].ID != "b1" {
		t.Errorf("clusters %+v, want a1 and b1", rep.Clusters)
	}
}

func TestDuplicatesOfARowThatCannotBeReadGoOn(t *testing.T) {
	file := write(t, "p.jsonl", `{"id":"a","title":"wooden train set for toddlers"}
not json
{"id":"a","title":"Wooden train set, for toddlers."}
`)
	code, out, errs := robinRun(t, "", "duplicates", file, "--json")
	if code != exitFailed || !strings.Contains(errs, "line 2: ") || !strings.Contains(errs, "1 rows") {
		t.Errorf("exit %d: %s", code, errs)
	}
	var rep robin.DuplicateReport
	if err := json.Unmarshal([]byte(out), &rep); err != nil {
		t.Fatal(err)
	}
	if len(rep.Clusters) != 1 || rep.Clusters[0].Kept != "1" || rep.Clusters[0].Members[0].ID != "3" || rep.Exact != 2 {
		t.Errorf("clusters %+v", rep.Clusters)
	}
}

func TestDuplicatesRefuseWhatCannotBe(t *testing.T) {
	f := func(want string, code int, args ...string) {
		t.Helper()
		got, _, errs := robinRun(t, hoses, append([]string{"duplicates"}, args...)...)
		if got != code || !strings.Contains(errs, want) {
			t.Errorf("robin duplicates %s: exit %d, %s; want %d and %q", strings.Join(args, " "), got, errs, code, want)
		}
	}
	f("must be between 0 and 1", exitUsage, "-", "--threshold", "1.5")
	f("is no keep rule", exitUsage, "-", "--keep", "best")
	f("leave it out", exitUsage, "-", "--json", "--format", "csv")
	f("no document holds a number or a date there", exitFailed, "-", "--keep", "highest:rating")
	f("no such file", exitFailed, filepath.Join(t.TempDir(), "missing.csv"))
	pairs := write(t, "pairs.tsv", "a\tb\tsame\nG-1\tG-2\tyes\nG-1\tX-9\tno\n")
	f("no document \"X-9\", which line 3 of", exitFailed, "-", "--labels", pairs)
	f("too few to learn from", exitFailed, "-", "--labels", write(t, "few.csv", "G-1,G-2,true\nG-1,B-1,0\n"))
	f("line 2 says \"perhaps\"", exitFailed, "-", "--labels", write(t, "p.tsv", "a\tb\tsame\nG-1\tG-2\tperhaps\n"))
	f("line 1 has 2 columns", exitFailed, "-", "--labels", write(t, "two.tsv", "G-1\tG-2\n"))
	f("has its own threshold", exitUsage, "-", "--labels", pairs, "--threshold", "0.9")
	f("name a file to look through, or a collection", exitUsage)
	f("not both", exitUsage, "-", "--collection", "c")
	f("only reported on", exitUsage, "-", "--action", "delete")
	f("is not a data folder", exitFailed, "--collection", "c", "--data", t.TempDir())
}

const demoFolder = "../../testdata/catalogue/"

// pairsOf reads a list of pairs with a header, each pair in order.
func pairsOf(t *testing.T, name string) map[[2]string]bool {
	t.Helper()
	f, err := os.Open(demoFolder + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	pairs := map[[2]string]bool{}
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		a, b, ok := strings.Cut(sc.Text(), "\t")
		if ok && a != "id1" {
			pairs[[2]string{min(a, b), max(a, b)}] = true
		}
	}
	if err := sc.Err(); err != nil || len(pairs) < 100 {
		t.Fatalf("%d pairs in %s, %v", len(pairs), name, err)
	}
	return pairs
}

// against compares a report's clusters with the planted duplicates: all pairs within a cluster are said to be the same.
func against(rep robin.DuplicateReport, planted map[[2]string]bool) (precision, recall float64) {
	said, right := 0, 0
	for _, c := range rep.Clusters {
		ids := []string{c.Kept}
		for _, m := range c.Members {
			ids = append(ids, m.ID)
		}
		for i := range ids {
			for j := range i {
				said++
				if planted[[2]string{min(ids[i], ids[j]), max(ids[i], ids[j])}] {
					right++
				}
			}
		}
	}
	return float64(right) / float64(max(said, 1)), float64(right) / float64(len(planted))
}

func reportOf(t *testing.T, out string) (rep robin.DuplicateReport) {
	t.Helper()
	if err := json.Unmarshal([]byte(out), &rep); err != nil {
		t.Fatal(err)
	}
	return rep
}

// shop writes a file with the products of the demo catalogue that the first n planted duplicates, and n pairs of one model in
// another size or colour, are of; same are all planted duplicates among these.
func shop(t *testing.T, n int) (file string, same map[[2]string]bool) {
	t.Helper()
	named := map[string]bool{}
	for _, list := range []string{"duplicates.tsv", "nonduplicates.tsv"} {
		for _, p := range slices.SortedFunc(maps.Keys(pairsOf(t, list)), func(x, y [2]string) int { return slices.Compare(x[:], y[:]) })[:n] {
			named[p[0]], named[p[1]] = true, true
		}
	}
	same = pairsOf(t, "duplicates.tsv")
	maps.DeleteFunc(same, func(p [2]string, _ bool) bool { return !named[p[0]] || !named[p[1]] })
	f, err := os.Open(demoFolder + "products.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var docs strings.Builder
	sc := bufio.NewScanner(z)
	for sc.Scan() {
		var d struct{ ID string }
		if err := json.Unmarshal(sc.Bytes(), &d); err != nil {
			t.Fatal(err)
		}
		if named[d.ID] {
			docs.WriteString(sc.Text() + "\n")
		}
	}
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
	return write(t, "shop.jsonl", docs.String()), same
}

// labelled does what a person does with a report: says of each of its sampled pairs whether it is the same.
func labelled(t *testing.T, rep robin.DuplicateReport, same map[[2]string]bool) (file string) {
	t.Helper()
	var b strings.Builder
	b.WriteString("a\tb\tsame\n")
	for _, band := range rep.Histogram {
		for _, p := range band.Samples {
			word := "no"
			if same[[2]string{min(p.A, p.B), max(p.A, p.B)}] {
				word = "yes"
			}
			fmt.Fprintf(&b, "%s\t%s\t%s\n", p.A, p.B, word)
		}
	}
	return write(t, "labels.tsv", b.String())
}

func TestARuleIsLearntFromLabelledPairsOfAFile(t *testing.T) {
	file, same := shop(t, 150)
	labels := labelled(t, reportOf(t, must(t, "", "duplicates", file, "--json")), same)
	code, out, errs := robinRun(t, "", "duplicates", file, "--labels", labels, "--json")
	if code != 0 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	learnt := regexp.MustCompile(`learnt from (\d+) pairs, \d+ of them the same; on pairs it had not seen: precision (0\.\d+|1\.0+)`).FindString(errs)
	if learnt == "" {
		t.Errorf("it does not say how well the rule does: %s", errs)
	}
	rep := reportOf(t, out)
	if len(rep.Rule.Weights) == 0 || rep.Rule.Labels < 50 {
		t.Errorf("the report's rule is not learnt: %+v", rep.Rule)
	}
	precision, recall := against(rep, same)
	t.Logf("%s; on the file: precision %.3f, recall %.3f", learnt, precision, recall)
	if precision < 0.9 || recall < 0.7 {
		t.Errorf("on the file that it was learnt on: precision %.3f, recall %.3f, want 0.9 and 0.7", precision, recall)
	}
}

// TestDuplicatesOfACollection does what a shop does: look, learn from labels, delete, and take it back; on a data
// folder, then on a server.
func TestDuplicatesOfACollection(t *testing.T) {
	file, same := shop(t, 150)
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	must(t, "", "import", file, "--collection", "shop", "--data", data)
	undo := regexp.MustCompile(`delete of (\d+) documents? done.*--undo (\S+) takes it back`)
	all := func(where []string) string {
		return must(t, "", append([]string{"export", "--collection", "shop"}, where...)...)
	}
	try := func(where []string) {
		t.Helper()
		run := func(args ...string) (string, string) {
			t.Helper()
			code, out, errs := robinRun(t, "", append(append([]string{"duplicates", "--collection", "shop"}, where...), args...)...)
			if code != 0 {
				t.Fatalf("robin duplicates %s: exit %d: %s", strings.Join(args, " "), code, errs)
			}
			return out, errs
		}
		before := all(where)
		out, _ := run("--json")
		out, errs := run("--labels", labelled(t, reportOf(t, out), same), "--json")
		rep := reportOf(t, out)
		precision, recall := against(rep, same)
		if !strings.Contains(errs, "learnt from ") || len(rep.Rule.Weights) == 0 || precision < 0.9 || recall < 0.7 || len(rep.Clusters) != rep.Total {
			t.Errorf("precision %.3f, recall %.3f, %d of %d clusters, rule %+v\n%s", precision, recall, len(rep.Clusters), rep.Total, rep.Rule, errs)
		}
		rows, err := csv.NewReader(strings.NewReader(must(t, "", append([]string{"duplicates", "--collection", "shop", "--format", "csv"}, where...)...))).ReadAll()
		if err != nil || len(rows) != 1+rep.Total+rep.Duplicates {
			t.Errorf("%d rows of CSV by the rule that the collection keeps, want %d; %v", len(rows), 1+rep.Total+rep.Duplicates, err)
		}
		_, errs = run("--action", "delete", "--limit", "1")
		m := undo.FindStringSubmatch(errs)
		if m == nil || m[1] != fmt.Sprint(rep.Duplicates) {
			t.Fatalf("%d duplicates were to be deleted: %s", rep.Duplicates, errs)
		}
		if got, want := strings.Count(all(where), "\n"), strings.Count(before, "\n")-rep.Duplicates; got != want {
			t.Errorf("%d documents are left, want %d", got, want)
		}
		if out, _ = run("--undo", m[2]); !strings.Contains(out, "taken back") {
			t.Errorf("undo says %s", out)
		}
		lines := func(s string) []string { return slices.Sorted(strings.SplitSeq(s, "\n")) }
		if !slices.Equal(lines(all(where)), lines(before)) {
			t.Error("the documents are not what they were before the action")
		}
		if out, _ := run("--filter", `brand = "none"`); !strings.Contains(out, "0 documents: 0 clusters") {
			t.Errorf("among no documents: %s", out)
		}
	}
	try([]string{"--data", data})
	try([]string{"--url", serveWith(t, buildRobin(t), data)})
}
