package eval

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
)

// letters embeds a text as its counts of letters: near for texts of the same words in any order.
func letters(_ context.Context, texts []string) ([][]float32, error) {
	out := make([][]float32, len(texts))
	for i, s := range texts {
		v := make([]float32, 26)
		var sum float64
		for _, r := range strings.ToLower(s) {
			if r >= 'a' && r <= 'z' {
				v[r-'a']++
			}
		}
		for _, x := range v {
			sum += float64(x) * float64(x)
		}
		for j := range v {
			v[j] /= float32(max(math.Sqrt(sum), 1e-9))
		}
		out[i] = v
	}
	return out, nil
}

// shops is a folder of two shops with 60 offers each, of which 40 are the same in another order of words, and of pairs that are
// the same when they are of one product.
func shops(t *testing.T) string {
	t.Helper()
	names := strings.Fields("kettle toaster blender grinder freezer")
	traits := strings.Fields("quiet sturdy compact bright modern classic")
	makers := strings.Fields("halvern brasslark")
	title := func(i int) []string {
		return []string{traits[i%6], names[i/6%5], makers[i/30], fmt.Sprintf("x%dq", 100+7*i)}
	}
	var corpus, matches, pairs strings.Builder
	matches.WriteString("id1\tid2\n")
	pairs.WriteString("text1\ttext2\tlabel\tsplit\n")
	a := func(i int) string { w := title(i); return strings.Join(w, " ") }
	b := func(i int) string { w := title(i); return w[3] + " " + w[2] + " " + w[1] + " " + w[0] }
	for i := range 60 {
		fmt.Fprintf(&corpus, `{"_id":"a:%d","title":%q,"price":%d.5,"source":"a"}`+"\n", i, a(i), 10+i)
		j := i
		if i >= 40 {
			j = 0
		}
		if j == i {
			fmt.Fprintf(&corpus, `{"_id":"b:%d","title":%q,"price":%d.5,"source":"b"}`+"\n", i, b(i), 10+i)
			fmt.Fprintf(&matches, "b:%d\ta:%d\n", i, i) // either order
		} else {
			fmt.Fprintf(&corpus, `{"_id":"b:%d","title":"garden gnome number %c","source":"b"}`+"\n", i, 'a'+i-40)
		}
		for k := range 6 {
			other, same := (i+k*7)%60, 0
			if k == 0 {
				same = 1
			}
			split := []string{"train", "train", "train", "train", "train", "valid", "test"}[(i+k)%7]
			fmt.Fprintf(&pairs, "%s\t%s\t%d\t%s\n", a(i), b(other), same, split)
		}
	}
	return folder(t, map[string]string{"corpus.jsonl": corpus.String(), "matches.tsv": matches.String(), "pairs.tsv": pairs.String()})
}

func TestTwoShopsAreJoinedByARuleLearntFromTheirPairs(t *testing.T) {
	f, err := Load(shops(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Matches) != 40 || len(f.Offers[0]) != 60 || len(f.Offers[1]) != 60 || f.Offers[0][3].Text != "bright kettle halvern x121q 13.5" {
		t.Fatalf("%d matches of %d and %d offers: %+v", len(f.Matches), len(f.Offers[0]), len(f.Offers[1]), f.Offers[0][3])
	}
	rep, err := MeasureDuplicates(context.Background(), letters, f)
	if err != nil {
		t.Fatal(err)
	}
	if rep.Split != "test" || rep.Learnt == nil || rep.Catalogue == nil || rep.Labels != learnLabels {
		t.Fatalf("%+v", rep)
	}
	if rep.Learnt.F1 < 0.95 || rep.Catalogue.Learnt.F1 < 0.95 { // the model code tells
		t.Errorf("pairs %+v, catalogue %+v", *rep.Learnt, *rep.Catalogue)
	}
	if rep.Catalogue.Own.F1 != 0 { // all 40 matches are among its own 200 labels, and those do not count
		t.Errorf("labelled pairs were counted: %+v", rep.Catalogue.Own)
	}
	if rep.Catalogue.Matches != 40 || rep.Catalogue.Offers != 120 {
		t.Errorf("%+v", rep.Catalogue)
	}
	var out strings.Builder
	if err := (&Report{Folder: f.Dir, Duplicates: rep}).Print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"global default", "learnt from 200 labels of train", "120 offers of a and b, 40 matches"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, out.String())
		}
	}
}

func TestMatchesThatNameUnknownOffersAreRefused(t *testing.T) {
	_, err := Load(folder(t, map[string]string{
		"corpus.jsonl": `{"_id":"1","title":"a","source":"x"}` + "\n" + `{"_id":"2","title":"b","source":"y"}` + "\n",
		"matches.tsv":  "id1\tid2\n1\t3\n",
	}))
	if err == nil || !strings.Contains(err.Error(), "1 and 3 are not an offer of x and one of y") {
		t.Errorf("error %v", err)
	}
}
