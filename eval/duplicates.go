package eval

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"

	"robin"
	"robin/dedup"
)

// Decision is how well pairs were told apart.
type Decision struct {
	Precision float64 `json:"precision"`
	Recall    float64 `json:"recall"`
	F1        float64 `json:"f1"`
	Deviation float64 `json:"f1_deviation,omitempty"` // of F1 over the draws, where there are several
}

// DuplicateReport compares the ways of deciding whether two texts are the same. Nothing of it has seen the test split: one
// threshold is chosen on valid, and the learnt rule is the mean of several draws of labels from train.
type DuplicateReport struct {
	Split     string           `json:"split"`   // that was measured
	Default   Decision         `json:"default"` // by the global default
	Cosine    Decision         `json:"cosine"`  // by one threshold of the cosine
	Overlap   Decision         `json:"tfidf"`   // by one threshold of the TF-IDF cosine: words alone
	Learnt    *Decision        `json:"learnt,omitempty"`
	Labels    int              `json:"labels,omitempty"` // of each draw
	Draws     int              `json:"draws,omitempty"`
	Catalogue *CatalogueReport `json:"catalogue,omitempty"`
}

// CatalogueReport is the join of two shops' offers against all true matches. Recall counts the matches that no candidate is.
type CatalogueReport struct {
	Sources    []string `json:"sources"`
	Offers     int      `json:"offers"`
	Matches    int      `json:"matches"`
	Candidates int      `json:"candidates"`
	Default    Decision `json:"default"`          // all pairs that the global default calls the same
	Joined     Decision `json:"default_joined"`   // of them, one partner for each offer
	Learnt     Decision `json:"learnt"`           // one partner for each offer, by rules learnt on the pairs' train split
	Own        Decision `json:"learnt_here"`      // the same, learnt on candidates of the catalogue, which are not counted
	Labels     int      `json:"labels,omitempty"` // of each draw
}

const (
	learnLabels = 200
	learnDraws  = 20
	// catalogueFloor is the least cosine of a candidate in a catalogue of two shops.
	catalogueFloor = 0.5
)

// pairSet are labelled pairs in numbers.
type pairSet struct {
	a, b     []int // texts of each pair, by number on their side
	same     []bool
	split    []string
	features []dedup.Features
}

// MeasureDuplicates decides the folder's pairs, and where it holds two shops' catalogue, that.
func MeasureDuplicates(ctx context.Context, embed Embed, f *Folder) (*DuplicateReport, error) {
	set, err := newPairSet(ctx, embed, f)
	if err != nil {
		return nil, err
	}
	count := map[string][]float64{}
	for _, s := range set.split {
		count[s] = append(count[s], 0)
	}
	on, choose := firstOf(count, "test", "valid", "dev", "train"), firstOf(count, "valid", "dev", "train", "test")
	rep := &DuplicateReport{Split: on, Default: set.judge(robin.DuplicateRule{}, on)}
	rep.Cosine = set.oneThreshold(choose, on, func(x dedup.Features) float64 { return x.Cosine })
	rep.Overlap = set.oneThreshold(choose, on, func(x dedup.Features) float64 { return x.Overlap })
	if len(count["train"]) < learnLabels || on == "train" {
		return rep, nil
	}
	rep.Labels, rep.Draws = learnLabels, learnDraws
	rules, _, err := set.learn("train", false)
	if err != nil {
		return nil, fmt.Errorf("learn from the pairs of %s: %w", f.Dir, err)
	}
	mean := meanDecision(learnDraws, func(i int) Decision { return set.judge(rules[i], on) })
	rep.Learnt = &mean
	if len(f.Matches) > 0 {
		if rep.Catalogue, err = measureCatalogue(ctx, embed, f, set); err != nil {
			return nil, err
		}
	}
	return rep, nil
}

func newPairSet(ctx context.Context, embed Embed, f *Folder) (*pairSet, error) {
	s := &pairSet{}
	var first, second []string
	at := [2]map[string]int{{}, {}}
	for _, p := range f.Pairs {
		for side, text := range []string{p.Text1, p.Text2} {
			if _, ok := at[side][text]; !ok {
				at[side][text] = len(at[side])
				if side == 0 {
					first = append(first, text)
				} else {
					second = append(second, text)
				}
			}
		}
		s.a, s.b = append(s.a, at[0][p.Text1]), append(s.b, at[1][p.Text2])
		s.same, s.split = append(s.same, p.Label > 0.5), append(s.split, p.Split)
	}
	w, err := between(ctx, embed, first, second, nil)
	if err != nil {
		return nil, fmt.Errorf("compare the pairs of %s: %w", f.Dir, err)
	}
	for i := range s.a {
		s.features = append(s.features, w.Compare(s.a[i], s.b[i]))
	}
	return s, nil
}

// between prepares and embeds both lists. A text of both is one.
func between(ctx context.Context, embed Embed, first, second []string, near func(i, j int, cosine float64)) (*dedup.Between, error) {
	type known struct {
		text   *dedup.Text
		vector []float32
	}
	all := map[string]known{}
	corpus := dedup.NewCorpus()
	var order []string
	for _, list := range [][]string{first, second} {
		for _, text := range list {
			if _, ok := all[text]; !ok {
				t := dedup.Prepare(text)
				corpus.Add(t)
				all[text] = known{text: t}
				order = append(order, text)
			}
		}
	}
	for i := 0; i < len(order); i += 512 {
		part := order[i:min(i+512, len(order))]
		vecs, err := embed(ctx, part)
		if err != nil {
			return nil, err
		}
		for j, text := range part {
			all[text] = known{all[text].text, vecs[j]}
		}
	}
	side := func(list []string) dedup.Side {
		var s dedup.Side
		for _, text := range list {
			s.Texts, s.Vectors = append(s.Texts, all[text].text), append(s.Vectors, all[text].vector)
		}
		return s
	}
	return corpus.Between(side(first), side(second), near), nil
}

func (s *pairSet) judge(r robin.DuplicateRule, split string) Decision {
	j := dedup.NewJudge(r)
	var c confusion
	for i, f := range s.features {
		if s.split[i] == split {
			_, same, _ := j.Judge(f)
			c.add(same, s.same[i])
		}
	}
	return c.decision()
}

func (s *pairSet) oneThreshold(choose, on string, similar func(dedup.Features) float64) Decision {
	var scores, labels []float64
	for i, f := range s.features {
		if s.split[i] == choose {
			scores = append(scores, similar(f))
			labels = append(labels, 0)
			if s.same[i] {
				labels[len(labels)-1] = 1
			}
		}
	}
	t := BestThreshold(scores, labels)
	var c confusion
	for i, f := range s.features {
		if s.split[i] == on {
			c.add(similar(f) >= t, s.same[i])
		}
	}
	return c.decision()
}

// learn draws labels from a split and learns a rule from each draw; drawn are the pairs of each draw. With oneToOne the rules are for a join in which
// an offer has one partner; its rivals are all texts of the set, of which only the drawn labels are looked at.
func (s *pairSet) learn(split string, oneToOne bool) (rules []robin.DuplicateRule, drawn []map[int]bool, err error) {
	var train []int
	var similar []float64
	for i := range s.a {
		if s.split[i] == split {
			train, similar = append(train, i), append(similar, s.features[i].Cosine)
		}
	}
	var joined []bool
	if oneToOne {
		all := s.join(func(f dedup.Features) float64 { return f.Cosine + f.Overlap })
		for _, i := range train {
			joined = append(joined, all[i])
		}
	}
	for seed := range uint64(learnDraws) {
		chosen, weights := dedup.Draw(similar, joined, learnLabels, seed)
		labelled, seen := make([]dedup.Labelled, len(chosen)), map[int]bool{}
		for x, c := range chosen {
			labelled[x] = dedup.Labelled{Features: s.features[train[c]], Same: s.same[train[c]], Weight: weights[x]}
			seen[train[c]] = true
		}
		o := dedup.LearnOptions{Seed: seed}
		if oneToOne {
			o.Joined = func(j dedup.Judge) []bool {
				all := s.join(func(f dedup.Features) float64 { score, _, _ := j.Judge(f); return score })
				out := make([]bool, len(chosen))
				for x, c := range chosen {
					out[x] = all[train[c]]
				}
				return out
			}
		}
		r, _, err := dedup.Learn(labelled, o)
		if err != nil {
			return nil, nil, err
		}
		rules, drawn = append(rules, r), append(drawn, seen)
	}
	return rules, drawn, nil
}

// join tells which pairs a one-to-one join takes.
func (s *pairSet) join(score func(dedup.Features) float64) []bool {
	scored := make([]dedup.Scored, len(s.a))
	for i := range s.a {
		scored[i] = dedup.Scored{A: s.a[i], B: -1 - s.b[i], Score: score(s.features[i])} // below 0, so that sides do not mix
	}
	return dedup.OneToOne(scored)
}

func measureCatalogue(ctx context.Context, embed Embed, f *Folder, labels *pairSet) (*CatalogueReport, error) {
	rules, _, err := labels.learn("train", true)
	if err != nil {
		return nil, fmt.Errorf("learn from the pairs of %s for its catalogue: %w", f.Dir, err)
	}
	rep := &CatalogueReport{Sources: f.Sources, Offers: len(f.Offers[0]) + len(f.Offers[1]), Matches: len(f.Matches), Labels: learnLabels}
	var texts [2][]string
	for side, offers := range f.Offers {
		for _, o := range offers {
			texts[side] = append(texts[side], o.Text)
		}
	}
	set := &pairSet{}
	w, err := between(ctx, embed, texts[0], texts[1], func(i, j int, cosine float64) {
		if cosine >= catalogueFloor {
			set.a, set.b = append(set.a, i), append(set.b, j)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("compare the offers of %s: %w", f.Dir, err)
	}
	rep.Candidates = len(set.a)
	for i := range set.a {
		set.features = append(set.features, w.Compare(set.a[i], set.b[i]))
		set.split = append(set.split, "catalogue")
		set.same = append(set.same, f.Matches[[2]string{f.Offers[0][set.a[i]].ID, f.Offers[1][set.b[i]].ID}])
	}
	own, drawn, err := set.learn("catalogue", true)
	if err != nil {
		return nil, fmt.Errorf("learn from the catalogue of %s: %w", f.Dir, err)
	}
	rep.Default = set.catalogue(robin.DuplicateRule{}, len(f.Matches), false, nil)
	rep.Joined = set.catalogue(robin.DuplicateRule{}, len(f.Matches), true, nil)
	rep.Learnt = meanDecision(learnDraws, func(i int) Decision { return set.catalogue(rules[i], len(f.Matches), true, nil) })
	rep.Own = meanDecision(learnDraws, func(i int) Decision { return set.catalogue(own[i], len(f.Matches), true, drawn[i]) })
	return rep, nil
}

// catalogue counts the pairs that a rule joins against all matches. Pairs in without are left out of the count.
func (s *pairSet) catalogue(r robin.DuplicateRule, matches int, oneToOne bool, without map[int]bool) Decision {
	j := dedup.NewJudge(r)
	taken := s.join(func(f dedup.Features) float64 {
		score, same, _ := j.Judge(f)
		if !same {
			score -= 2 // behind all that the rule calls the same
		}
		return score
	})
	var c confusion
	for i, f := range s.features {
		if without[i] {
			if s.same[i] {
				matches--
			}
			continue
		}
		_, same, _ := j.Judge(f)
		c.add(same && (taken[i] || !oneToOne), s.same[i])
	}
	c.missed = float64(matches) - c.found // also those that are no candidates
	return c.decision()
}

// confusion counts decisions.
type confusion struct{ found, wrong, missed float64 }

func (c *confusion) add(said, is bool) {
	switch {
	case said && is:
		c.found++
	case said:
		c.wrong++
	case is:
		c.missed++
	}
}

func (c confusion) decision() Decision {
	if c.found == 0 {
		return Decision{}
	}
	return Decision{Precision: c.found / (c.found + c.wrong), Recall: c.found / (c.found + c.missed), F1: 2 * c.found / (2*c.found + c.wrong + c.missed)}
}

func meanDecision(draws int, decide func(i int) Decision) Decision {
	var mean Decision
	f1s := make([]float64, draws)
	n := float64(draws)
	for i := range f1s {
		d := decide(i)
		mean.Precision, mean.Recall, mean.F1 = mean.Precision+d.Precision/n, mean.Recall+d.Recall/n, mean.F1+d.F1/n
		f1s[i] = d.F1
	}
	for _, x := range f1s {
		mean.Deviation += (x - mean.F1) * (x - mean.F1) / (n - 1)
	}
	mean.Deviation = math.Sqrt(mean.Deviation)
	return mean
}

func (r *DuplicateReport) print(w io.Writer) {
	row := func(how string, d Decision) {
		fmt.Fprintf(w, "  %-46s precision %.3f  recall %.3f  F1 %.3f", how, d.Precision, d.Recall, d.F1)
		if d.Deviation > 0 {
			fmt.Fprintf(w, " ± %.3f", d.Deviation)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "duplicates, pairs of %s:\n", r.Split)
	row("global default", r.Default)
	row("one cosine threshold", r.Cosine)
	row("one TF-IDF threshold", r.Overlap)
	if r.Learnt != nil {
		row(fmt.Sprintf("learnt from %d labels of train (%d draws)", r.Labels, r.Draws), *r.Learnt)
	}
	if c := r.Catalogue; c != nil {
		fmt.Fprintf(w, "duplicates, %d offers of %s, %d matches, %d candidates:\n", c.Offers, strings.Join(c.Sources, " and "), c.Matches, c.Candidates)
		row("global default", c.Default)
		row("global default, one partner each", c.Joined)
		row(fmt.Sprintf("learnt from %d labels of train, one partner each", c.Labels), c.Learnt)
		row(fmt.Sprintf("learnt from %d labels here, one partner each", c.Labels), c.Own)
	}
}

// Offer is a document of a catalogue of two shops, as text: its title, brand and price, as the folder's pairs have them.
type Offer struct{ ID, Text string }

// loadMatches reads a catalogue of exactly two sources with its true matches. Other folders have none.
func (f *Folder) loadMatches() error {
	docs := map[string][]Offer{}
	side := map[string]string{}
	for _, raw := range f.Corpus {
		var d struct {
			ID     string      `json:"_id"`
			Title  string      `json:"title"`
			Brand  string      `json:"brand"`
			Price  json.Number `json:"price"`
			Source string      `json:"source"`
		}
		if json.Unmarshal(raw, &d) != nil || d.Source == "" {
			return nil
		}
		if len(docs[d.Source]) == 0 {
			f.Sources = append(f.Sources, d.Source)
		}
		text := strings.Join(strings.Fields(d.Title+" "+d.Brand+" "+d.Price.String()), " ")
		docs[d.Source] = append(docs[d.Source], Offer{d.ID, text})
		side[d.ID] = d.Source
	}
	if len(f.Sources) != 2 {
		f.Sources = nil
		return nil
	}
	matches := map[[2]string]bool{}
	err := lines(f.Dir, "matches.tsv", func(n int, line string) error {
		c := strings.Split(line, "\t")
		if n == 1 || len(c) < 2 {
			return nil
		}
		if side[c[0]] == f.Sources[1] {
			c[0], c[1] = c[1], c[0]
		}
		if side[c[0]] != f.Sources[0] || side[c[1]] != f.Sources[1] {
			return fmt.Errorf("%s and %s are not an offer of %s and one of %s", c[0], c[1], f.Sources[0], f.Sources[1])
		}
		matches[[2]string{c[0], c[1]}] = true
		return nil
	})
	if err != nil {
		return err
	}
	f.Matches, f.Offers = matches, [2][]Offer{docs[f.Sources[0]], docs[f.Sources[1]]}
	return nil
}
