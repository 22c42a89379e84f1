package dedup_test

import (
	"math"
	"strings"
	"testing"

	"robin"
	"robin/dedup"
)

// against are the facts that speak against a pair, in a corpus of those two texts.
func against(a, b string) string {
	c := dedup.NewCorpus()
	x, y := dedup.Prepare(a), dedup.Prepare(b)
	c.Add(x)
	c.Add(y)
	return strings.Join(c.Compare(x, y, 0.95, dedup.Rivals{}).Against, "; ")
}

func TestFactsThatDifferSpeakAgainstAPair(t *testing.T) {
	f := func(a, b, want string) {
		t.Helper()
		if got := against(a, b); got != want {
			t.Errorf("%q and %q: against them speaks %q, want %q", a, b, got, want)
		}
		if got := against(b, a); (got == "") != (want == "") {
			t.Errorf("%q and %q the other way round: %q", b, a, got)
		}
	}
	f("thermos mug 500 ml", "thermos mug 590 ml", "volume 500 ml / 590 ml")
	f("thermos mug 0.5 l", "thermos mug, 500ml", "")
	f("coffee 8 oz", "coffee 227 g", "")                            // 226.8 g
	f("coffee 1 lb bag", "coffee 500 g bag", "weight 1 lb / 500 g") // 454 g
	f("lamp 180 cm", "lamp 1800 mm", "")
	f(`screen 15.6"`, "screen 15.6 inch", "")
	f("rug 140 × 140 cm", "rug 140 × 220 cm", "dimensions 140 × 140 cm / 140 × 220 cm") // 140 is in both, so no single length differs
	f("rug 140x200 cm", "rug 1400 × 2000 mm", "")
	f("disk 2 TB", "disk 2000 GB", "")
	f("disk 256GB", "disk 512GB", "storage 256GB / 512GB")
	f("battery 10,000 mAh", "battery 10000mAh", "")
	f("hooks, pack of 8", "hooks 8-pack", "")
	f("hooks, pack of 8", "hooks, 12 pieces", "quantity pack of 8 / 12 pieces")
	f("cleaning heads, twin pack", "cleaning heads pack of 2", "")
	f("suite 2006", "suite 2007", "year 2006 / 2007")
	f("suite '06", "suite 2006", "")
	f("acrobat 7.0", "acrobat v7", "")
	f("acrobat 7.0 reader", "acrobat v8 reader", "number 7.0 / v8")
	f("shirt black", "camisa negra", "")
	f("shirt black", "shirt in white", "colour black / white")
	f("ring rose gold", "ring gold", "colour rose gold / gold")
	f("shirt black", "shirt", "") // what only one mentions is no contradiction
	f("shirt, L", "shirt, XL", "fitting size L / XL")
	f("bottle 1 L", "bottle 1 l", "")
	f("office mac", "office for windows", "platform mac / windows")
	f("office pro", "office professional", "")
	f("Nikon D750", "Nikon D 750 body", "") // letters, a gap, digits: no code
	f("Canon DSC-W800 camera", "Canon DSCW800 camera", "")
	f("Canon DSC-W800 camera", "Canon DSC-W810 camera", "model DSC-W800 / DSC-W810")
	f("Canon EOS70D kit", "Canon 70D kit", "")
	f("drill 20% off", "drill 20 % off", "")
	f("acrobat 7.0", "acrobat 8.0", "number 7.0 / 8.0") // at the end of a text too, where a price may be
	f("acrobat for windows 49.0", "acrobat for windows 59.9", "")
	f("acrobat 49.95", "acrobat $59", "")
	f("acrobat 12,50 €", "acrobat 13,75 €", "")
	f("milk 3.55%", "milk 1.55%", "percentage 3.55 / 1.55")
	f(`screen 15.65"`, `screen 17.35"`, "size 15.65 / 17.35")
	f("Nikon D80 body", "Nikon D800 body", "model D80 / D800") // the one is no part of the other
	f("Sony W80x", "Sony W80xq", "")
}

func TestADocumentsOwnFieldsAreFacts(t *testing.T) {
	c := dedup.NewCorpus()
	f := func(a, b map[string]string, want string) {
		t.Helper()
		got := c.Compare(dedup.Prepare("a mug").With(a), dedup.Prepare("a mug").With(b), 0.95, dedup.Rivals{}).Against
		if strings.Join(got, "; ") != want {
			t.Errorf("%v and %v: %q, want %q", a, b, got, want)
		}
	}
	brand := func(s string) map[string]string { return map[string]string{"brand": s} }
	f(brand("Kettlewyn"), brand("KETTLEWYN Co."), "")
	f(brand("Kettlewyn"), brand("Quillmere"), "brand kettlewyn / quillmere")
	f(brand("Kettlewyn"), nil, "")
	f(map[string]string{"Colour": "grey"}, map[string]string{"color": "Gray"}, "")
	f(map[string]string{"size": "500 ml"}, map[string]string{"size": "0.5 l"}, "")
	f(map[string]string{"size": "500 ml"}, map[string]string{"size": "600 ml"}, "volume 500 ml / 600 ml; volume field 500 ml / 600 ml")
	f(map[string]string{"size": "L"}, map[string]string{"size": "XL"}, "fitting size l / xl; fitting size field l / xl")
	f(map[string]string{"sku": "1"}, map[string]string{"sku": "2"}, "") // every shop has its own
	f(map[string]string{"ean": "4006381333931"}, map[string]string{"ean": "4006381333932"}, "barcode 4006381333931 / 4006381333932")
	if got := dedup.Attributes([]byte(`{"Brand":"Kettlewyn","price":9.5,"tags":["a"],"colour":{"x":1},"title":"mug"}`)); len(got) != 2 ||
		got["Brand"] != "Kettlewyn" || got["price"] != "9.5" {
		t.Errorf("attributes are %v", got)
	}
}

// prose is a corpus that writes few words with a capital.
func prose(texts ...string) (*dedup.Corpus, []*dedup.Text) {
	c := dedup.NewCorpus()
	var out []*dedup.Text
	for range 40 {
		c.Add(dedup.Prepare("the quick brown fox jumps over the lazy dog and then sleeps for a while"))
	}
	for _, s := range texts {
		t := dedup.Prepare(s)
		c.Add(t)
		out = append(out, t)
	}
	return c, out
}

func TestNamesAreReadWhereACapitalMeansSomething(t *testing.T) {
	c, x := prose("soft mug by Kettlewyn Hazel, warm for hours", "soft mug by Kettlewyn Iris, warm for hours", "warm soft mug from Kettlewyn, the Hazel")
	if got := c.Compare(x[0], x[1], 0.95, dedup.Rivals{}).Against; len(got) != 1 || got[0] != "name hazel / iris" {
		t.Errorf("two products of one brand: %v", got)
	}
	if got := c.Compare(x[0], x[2], 0.95, dedup.Rivals{}).Against; len(got) != 0 {
		t.Errorf("one product in other words: %v", got)
	}
	if got := against("Soft Mug By Kettlewyn Hazel", "Soft Cup By Kettlewyn Hazel"); got != "" {
		t.Errorf("where all words have a capital: %v", got)
	}
}

func TestFeaturesOfTheSameTextAreWholeAndOfStrangersNone(t *testing.T) {
	c, x := prose("steel kettle 1.7 l", "steel kettle 1.7 l", "oak shelf")
	same, other := c.Compare(x[0], x[1], 1, dedup.Rivals{}), c.Compare(x[0], x[2], 0.1, dedup.Rivals{})
	if math.Abs(same.Overlap-1) > 1e-9 || other.Overlap != 0 || !math.IsNaN(same.Cross) {
		t.Errorf("overlaps %v and %v, cross %v", same.Overlap, other.Overlap, same.Cross)
	}
}

func TestOverlapIsTheTfIdfCosine(t *testing.T) {
	c := dedup.NewCorpus()
	a, b := dedup.Prepare("red kettle"), dedup.Prepare("red pan")
	c.Add(a)
	c.Add(b)
	// 2 texts: idf of red 1 + ln(3/3) = 1, of the others 1 + ln(3/2); both texts are as long.
	rare := 1 + math.Log(1.5)
	if got, want := c.Compare(a, b, 0, dedup.Rivals{}).Overlap, 1/(1+rare*rare); math.Abs(got-want) > 1e-9 {
		t.Errorf("overlap %v, want %v", got, want)
	}
}

func TestTheDefaultRuleWantsACosineAndNoFactAgainst(t *testing.T) {
	f := func(a, b string, cosine float64, want bool, reason string) {
		t.Helper()
		c, x := prose(a, b)
		_, same, why := dedup.NewJudge(robin.DuplicateRule{}).Judge(c.Compare(x[0], x[1], cosine, dedup.Rivals{}))
		if same != want || !strings.Contains(why, reason) {
			t.Errorf("%q and %q at %v: %v because of %q", a, b, cosine, same, why)
		}
	}
	f("steel mug", "iron cup", 0.91, true, "cosine 0.91")
	f("steel mug", "iron cup", 0.89, false, "cosine 0.89")
	f("steel mug 330 ml", "steel mug 500 ml", 0.99, false, "volume 330 ml / 500 ml differs")
	f("large mug of enamelled steel, 330 ml", "mug of large enamelled steel 330ml", 0.8, true, "the same names and words")
	f("large mug of enamelled steel, 330 ml", "mug of large enamelled steel 330ml", 0.7, false, "0.70")
	f("steel mug on a stand, the stand is wood", "steel mug on a hook, the hook is wood", 0.95, false, "each repeats a word")
}

func TestARuleKnowsWhereItCanSayYes(t *testing.T) {
	f := func(r robin.DuplicateRule, threshold, plain float64) {
		t.Helper()
		if dedup.Threshold(r) != threshold || math.Abs(dedup.PlainThreshold(r)-plain) > 1e-9 {
			t.Errorf("%+v: %v and %v", r, dedup.Threshold(r), dedup.PlainThreshold(r))
		}
	}
	f(robin.DuplicateRule{}, 0.9, 0.75)
	f(robin.DuplicateRule{Threshold: 0.1}, 0.1, 0)
	f(robin.DuplicateRule{Threshold: 0.96}, 0.96, 0.9)
	f(robin.DuplicateRule{Threshold: 1}, 1, 1)
	f(robin.DuplicateRule{Weights: map[string]float64{"cosine": 1}, Floor: 0.6}, 0.5, 0.6)
}

func TestALearntRuleIsItsFormulaWhateverFeaturesAreAdded(t *testing.T) {
	r := robin.DuplicateRule{Threshold: 0.6, Bias: -1, Weights: map[string]float64{"cosine": 2, "cross": 3, "of_a_later_version": 9},
		Mean: map[string]float64{"cosine": 0.8, "cross": 0.5}, Scale: map[string]float64{"cosine": 0.1, "cross": 0.25}}
	j := dedup.NewJudge(r)
	score, same, _ := j.Judge(dedup.Features{Cosine: 0.9, Cross: 0.75})
	if want := 1 / (1 + math.Exp(-4)); math.Abs(score-want) > 1e-12 || !same { // -1 + 2·1 + 3·1
		t.Errorf("score %v, want %v", score, want)
	}
	score, same, _ = j.Judge(dedup.Features{Cosine: 0.8, Cross: math.NaN()}) // not scored: neither for nor against
	if want := 1 / (1 + math.Exp(1)); math.Abs(score-want) > 1e-12 || same {
		t.Errorf("without the cross-encoder %v, want %v", score, want)
	}
}

func TestRivalsThatNobodyLookedForSpeakNeitherWay(t *testing.T) {
	rule := robin.DuplicateRule{Bias: 1, Weights: map[string]float64{"lead_most": 1, "lead_least": 1, "lead_overlap_most": 1, "lead_overlap_least": 1},
		Mean: map[string]float64{"lead_most": 0.3, "lead_least": 0.2, "lead_overlap_most": 0.3, "lead_overlap_least": 0.2}, Scale: map[string]float64{"lead_most": 0.1}}
	c, x := prose("red enamel mug", "red mug of enamel")
	score, _, _ := dedup.NewJudge(rule).Judge(c.Compare(x[0], x[1], 0.9, dedup.Rivals{}))
	if want := 1 / (1 + math.Exp(-1)); math.Abs(score-want) > 1e-12 {
		t.Errorf("score %v, want %v by the bias alone", score, want)
	}
	led, _, _ := dedup.NewJudge(rule).Judge(c.Compare(x[0], x[1], 0.9, dedup.Rivals{A: 0.89, B: 0.89, OverlapA: 0.5, OverlapB: 0.5}))
	if led >= score {
		t.Errorf("a rival that is nearly as near does not count: %v, %v", led, score)
	}
}

func FuzzPrepare(f *testing.F) {
	for _, s := range []string{"", "150 × 200 cm", "pack of", "v", "0.0.0", "1,2,3", "DSC-W800/B", "\x00\xff 5\"", "'06", "9" + strings.Repeat("9", 400), "size", "fl", "12 fl", "ÄÖ ß İ ı"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		c := dedup.NewCorpus()
		x, y := dedup.Prepare(a), dedup.Prepare(b)
		c.Add(x)
		c.Add(y)
		ft := c.Compare(x, y, 0.9, dedup.Rivals{A: 0.5, B: 0.5})
		if back := c.Compare(y, x, 0.9, dedup.Rivals{A: 0.5, B: 0.5}); math.Abs(ft.Overlap-back.Overlap) > 1e-9 || len(ft.Against) != len(back.Against) {
			t.Errorf("%q and %q: overlap %v, %q; the other way round %v, %q", a, b, ft.Overlap, ft.Against, back.Overlap, back.Against)
		}
		if self := c.Compare(x, dedup.Prepare(a), 1, dedup.Rivals{}); len(self.Against) > 0 {
			t.Errorf("%q against itself: %q", a, self.Against)
		}
		for _, r := range ft.Against {
			if len(r) > 400 {
				t.Errorf("a reason of %d bytes", len(r))
			}
		}
		if score, _, _ := dedup.NewJudge(robin.DuplicateRule{Weights: map[string]float64{"trigrams": 1, "cover_least": 1, "missing_most": -1, "price_near": 1, "length": 1}}).Judge(ft); math.IsNaN(score) {
			t.Errorf("%q and %q have no score", a, b)
		}
	})
}

func TestAHostileTextCostsNoMoreThanALongOne(t *testing.T) {
	for _, s := range []string{strings.Repeat("a", 10<<20), strings.Repeat("1-", 5<<20), strings.Repeat("1 ml ", 2<<20), strings.Repeat("\x00", 10<<20), strings.Repeat("é", 5<<20)} {
		x := dedup.Prepare(s)
		c := dedup.NewCorpus()
		c.Add(x)
		if got := c.Compare(x, dedup.Prepare(s), 1, dedup.Rivals{}); len(got.Against) > 0 || len(strings.Join(got.Against, "")) > 400 {
			t.Errorf("%.10q… against itself: %.100q", s, got.Against)
		}
	}
}
