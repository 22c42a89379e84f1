package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"robin"
)

// atTheEnd are things that a long description says at its end, and how somebody who has not read it asks for them.
var atTheEnd = []struct{ says, asked string }{
	{"The zip is sealed against rain by a rubber lip, and everything inside stays dry in a downpour.", "waterproof zipper"},
	{"The pan has a non-stick coating on which eggs slide off without oil.", "frying eggs without fat"},
	{"A soft inner lining of sheep's wool keeps feet warm in the snow.", "warm winter boots"},
	{"The headphones cancel the noise of aircraft engines with four microphones.", "noise cancelling headset for flights"},
	{"The tent for four persons is put up in two minutes and has two sleeping cabins.", "family camping tent"},
	{"The blade of Japanese steel cuts tomatoes and bread without pressure.", "sharp kitchen knife"},
	{"The lamp is dimmed by touch and bright enough for reading in bed.", "bedside reading light"},
	{"The kettle boils a litre of water in two minutes and whistles.", "boil water fast for tea"},
	{"The yoga mat does not slip on wooden floors and rolls up small.", "exercise mat for gymnastics"},
	{"The guitar has nylon strings that are easy on the fingers of children.", "musical instrument for kids"},
	{"The lead is retractable, so that a dog of up to thirty kilograms can run ahead.", "walking a puppy"},
	{"The printer puts photographs on glossy paper from a phone over wifi.", "print pictures wirelessly"},
	{"The drill drives screws into concrete with its hammer action and two batteries.", "cordless power tool for masonry"},
	{"The coffee machine grinds fresh beans for each espresso and froths milk.", "bean to cup cappuccino maker"},
	{"The bicycle folds to the size of a suitcase for the train.", "foldable bike for commuters"},
	{"The sun cream protects a baby's skin with factor fifty and has no perfume.", "sunscreen for infants"},
}

// padding is what long descriptions are full of.
var padding = strings.Split(`Thank you for looking at one of our products
We have been a family business for three generations
Every order is packed by hand in our own warehouse
Delivery takes two to four working days
You can send anything back within thirty days
The invoice comes by electronic mail
Our customer service answers on weekdays from nine to five
The packaging is made of recycled cardboard
The guarantee is two years from the day of purchase
Please keep the receipt, since it is needed for the guarantee
We pay the costs of sending it back
Our partners are chosen with great care
Read the manual before the first use
Spare parts can be ordered for ten years
The colours on the screen may differ from those of the article
All prices include value added tax
We deliver to all countries of the European Union
Gift wrapping can be chosen at the checkout`, "\n")

// TestWhatALongDescriptionSaysAtItsEndIsFoundWithChunking imports the same judged descriptions twice. The model reads 256
// tokens, and what is asked for comes after some 300.
func TestWhatALongDescriptionSaysAtItsEndIsFoundWithChunking(t *testing.T) {
	data := t.TempDir()
	rnd := rand.New(rand.NewPCG(3, 5))
	var docs strings.Builder
	for i, j := range atTheEnd {
		var b strings.Builder
		for range 2 {
			for _, k := range rnd.Perm(len(padding)) {
				b.WriteString(padding[k] + ". ")
			}
		}
		raw, err := json.Marshal(map[string]any{"id": fmt.Sprint(i), "title": fmt.Sprintf("Article %d", 1000+i), "description": b.String() + j.says})
		if err != nil {
			t.Fatal(err)
		}
		docs.Write(append(raw, '\n'))
	}
	for _, c := range []struct{ name, chunking string }{{"cut", ""}, {"passages", `,"chunking":{"tokens":64}`}} {
		settings := write(t, c.name+".json", `{"text":[{"field":"title"},{"field":"description"}]`+c.chunking+`}`)
		var rep robin.ImportReport
		if err := json.Unmarshal([]byte(must(t, docs.String(), "import", "-", "-c", c.name, "--settings", settings, "--data", data, "--json")), &rep); err != nil {
			t.Fatal(err)
		}
		if want := map[string]int{"cut": len(atTheEnd)}[c.name]; rep.Indexed != len(atTheEnd) || rep.Truncated != want {
			t.Errorf("%s: %d texts were not read to their end, want %d", c.name, rep.Truncated, want)
		}
	}
	if out := must(t, "", "search", atTheEnd[0].asked, "-c", "passages", "--mode", "semantic", "--rerank", "off", "--explain", "--data", data); !strings.Contains(out, "passage 1") || !strings.Contains(out, atTheEnd[0].says) {
		t.Errorf("printed\n%s", out)
	}
	d, err := openExisting(&env{ctx: t.Context(), stderr: io.Discard}, data, inference{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	first := map[string]int{}
	for _, name := range []string{"cut", "passages"} {
		for i, j := range atTheEnd {
			res, err := d.engine.Search(t.Context(), name, robin.Query{Q: j.asked, Mode: robin.ModeSemantic, Rerank: robin.Rerank{Mode: robin.RerankOff}, Explain: true})
			if err != nil {
				t.Fatal(err)
			}
			if len(res.Hits) == 0 || res.Hits[0].ID != fmt.Sprint(i) {
				continue
			}
			first[name]++
			if p := res.Hits[0].Passage; name == "passages" && (p == nil || !strings.Contains(p.Text, j.says[:20]) || !strings.Contains(res.Hits[0].Explain.Summary, "of passage")) {
				t.Errorf("%q: the passage is %+v", j.asked, p)
			}
		}
	}
	t.Logf("of %d, %d come first when texts are cut to what the model reads, %d with chunking", len(atTheEnd), first["cut"], first["passages"])
	if first["passages"] < len(atTheEnd)*3/4 || first["cut"] > len(atTheEnd)/4 {
		t.Error("chunking does not find what it should")
	}
}
