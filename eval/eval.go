package eval

import (
	"context"
	"encoding/json"
	"fmt"

	"robin"
)

// Engine is what an evaluation needs of an index.
type Engine interface {
	PutCollection(ctx context.Context, name string, s robin.Settings) (robin.CollectionInfo, bool, error)
	Write(ctx context.Context, collection string, action robin.Action, docs []json.RawMessage) (robin.WriteResult, error)
	Search(ctx context.Context, collection string, q robin.Query) (*robin.Result, error)
}

// Embed gives one unit vector per text.
type Embed func(ctx context.Context, texts []string) ([][]float32, error)

// Stage is one row of the table.
type Stage struct {
	NDCG10    float64 `json:"ndcg@10"`
	MRR10     float64 `json:"mrr@10"`
	Recall100 float64 `json:"recall@100"`
	Success5  float64 `json:"success@5"` // share of queries with a top-graded document among the first five
	Judged10  float64 `json:"judged@10"` // share of the first ten that somebody judged
	P50       float64 `json:"p50_ms"`
	P95       float64 `json:"p95_ms"`
}

// PairReport is what the embedder makes of labelled pairs.
type PairReport struct {
	Pairs     int      `json:"pairs"`
	Spearman  *float64 `json:"spearman,omitempty"`  // real-number labels: cosine against label
	F1        *float64 `json:"f1,omitempty"`        // 0/1 labels: on the test split, or on valid when there is no test
	F1Split   string   `json:"f1_split,omitempty"`  // the split that F1 was measured on
	Threshold *float64 `json:"threshold,omitempty"` // chosen on valid, or on train
}

// Report is the outcome of an evaluation.
type Report struct {
	Folder     string                      `json:"folder"`
	Documents  int                         `json:"documents"`
	Dropped    int                         `json:"dropped,omitempty"` // documents of the source that the queries come from
	Queries    int                         `json:"queries"`
	Stages     map[string]Stage            `json:"stages,omitempty"`
	Kinds      map[string]map[string]Stage `json:"kinds,omitempty"` // stages by the queries' "kind", where they have one
	Pairs      *PairReport                 `json:"pairs,omitempty"`
	Duplicates *DuplicateReport            `json:"duplicates,omitempty"`
	Models     robin.Models                `json:"models"`
}

// StageNames are the rows in the order in which each builds on the one before.
var StageNames = []string{"keyword", "semantic", "hybrid", "reranked"}

// stageQuery is the search that stands for a stage. The reranked stage scores its whole window: relevance must not
// depend on how busy the machine was.
func stageQuery(stage, text string) robin.Query {
	q := robin.Query{Q: text, Limit: new(int), Rerank: robin.Rerank{Mode: robin.RerankOff}, Fields: []string{"_id"}}
	*q.Limit = 100
	switch stage {
	case "keyword":
		q.Mode = robin.ModeKeyword
	case "semantic":
		q.Mode = robin.ModeSemantic
	case "hybrid":
		q.Mode = robin.ModeHybrid
	case "reranked":
		q.Mode = robin.ModeHybrid
		q.Rerank.Mode = robin.RerankAlways
	}
	return q
}

// Settings are those of every evaluation: the same two fields for every set, so that sets and commits compare.
func Settings() robin.Settings {
	return robin.Settings{
		IDField: "_id",
		Text:    []robin.TextField{{Field: "title", Weight: 3}, {Field: "text"}},
		// Not every folder has this field; where it is there, people search by it.
		Identifiers: []string{"sku"},
	}.Defaulted()
}

// Index writes the folder's corpus into a new collection of e. progress, which may be nil, is told the documents done.
func Index(ctx context.Context, e Engine, f *Folder, collection string, s robin.Settings, progress func(done int)) error {
	if _, _, err := e.PutCollection(ctx, collection, s); err != nil {
		return err
	}
	const batch = 256
	for i := 0; i < len(f.Corpus); i += batch {
		end := min(i+batch, len(f.Corpus))
		res, err := e.Write(ctx, collection, robin.Upsert, f.Corpus[i:end])
		if err != nil {
			return fmt.Errorf("index documents %d to %d of %s: %w", i+1, end, f.Dir, err)
		}
		if len(res.Errors) > 0 {
			r := res.Errors[0]
			return fmt.Errorf("index %s: document %d (%s): %s", f.Dir, i+r.Line, r.ID, r.Detail)
		}
		if progress != nil {
			progress(end)
		}
	}
	return nil
}

// Measure asks every query that has a positive judgement, one at a time, in each stage. progress, which may be nil, is
// told the searches done of all.
func Measure(ctx context.Context, e Engine, f *Folder, collection string, progress func(done, total int)) (*Report, error) {
	rep := &Report{Folder: f.Dir, Documents: len(f.Corpus), Dropped: f.Dropped, Stages: map[string]Stage{}}
	var judged []Query
	for _, q := range f.Queries {
		if top(f.Qrels[q.ID]) > 0 {
			judged = append(judged, q)
		}
	}
	rep.Queries = len(judged)
	if len(judged) == 0 {
		return rep, nil
	}
	kinds := map[string]map[string]*tally{}
	done := 0
	for _, stage := range StageNames {
		all := &tally{}
		for _, q := range judged {
			res, err := e.Search(ctx, collection, stageQuery(stage, q.Text))
			if err != nil {
				return nil, fmt.Errorf("%s search for query %s: %w", stage, q.ID, err)
			}
			if len(res.Degraded) > 0 {
				return nil, fmt.Errorf("%s search for query %s was degraded: %v", stage, q.ID, res.Degraded)
			}
			ids := make([]string, len(res.Hits))
			for i, h := range res.Hits {
				ids[i] = h.ID
			}
			all.add(ids, f.Qrels[q.ID], res.TookMS)
			if q.Kind != "" {
				if kinds[q.Kind] == nil {
					kinds[q.Kind] = map[string]*tally{}
				}
				if kinds[q.Kind][stage] == nil {
					kinds[q.Kind][stage] = &tally{}
				}
				kinds[q.Kind][stage].add(ids, f.Qrels[q.ID], res.TookMS)
			}
			rep.Models = res.Models
			if done++; progress != nil {
				progress(done, len(judged)*len(StageNames))
			}
		}
		rep.Stages[stage] = all.stage()
	}
	for kind, stages := range kinds {
		if rep.Kinds == nil {
			rep.Kinds = map[string]map[string]Stage{}
		}
		rep.Kinds[kind] = map[string]Stage{}
		for stage, t := range stages {
			rep.Kinds[kind][stage] = t.stage()
		}
	}
	return rep, nil
}

// MeasurePairs embeds the folder's pairs and compares their cosines with the labels.
func MeasurePairs(ctx context.Context, embed Embed, f *Folder) (*PairReport, error) {
	texts := make([]string, 0, 2*len(f.Pairs))
	for _, p := range f.Pairs {
		texts = append(texts, p.Text1, p.Text2)
	}
	vecs := make([][]float32, 0, len(texts))
	for i := 0; i < len(texts); i += 512 {
		v, err := embed(ctx, texts[i:min(i+512, len(texts))])
		if err != nil {
			return nil, fmt.Errorf("embed the pairs of %s: %w", f.Dir, err)
		}
		vecs = append(vecs, v...)
	}
	scores, labels := map[string][]float64{}, map[string][]float64{}
	var allScores, allLabels []float64
	binary := true
	for i, p := range f.Pairs {
		s := dot(vecs[2*i], vecs[2*i+1])
		scores[p.Split], labels[p.Split] = append(scores[p.Split], s), append(labels[p.Split], p.Label)
		allScores, allLabels = append(allScores, s), append(allLabels, p.Label)
		binary = binary && (p.Label == 0 || p.Label == 1)
	}
	rep := &PairReport{Pairs: len(f.Pairs)}
	if !binary {
		s := Spearman(allScores, allLabels)
		rep.Spearman = &s
		return rep, nil
	}
	choose, on := firstOf(scores, "valid", "dev", "train", "test"), firstOf(scores, "test", "valid", "dev", "train")
	threshold := BestThreshold(scores[choose], labels[choose])
	f1 := F1(scores[on], labels[on], threshold)
	rep.Threshold, rep.F1, rep.F1Split = &threshold, &f1, on
	return rep, nil
}

type tally struct {
	sum  Stage
	n    float64
	took []float64
}

func (t *tally) add(ids []string, gains map[string]float64, tookMS float64) {
	t.n++
	t.took = append(t.took, tookMS)
	t.sum.NDCG10 += NDCG(ids, gains, 10)
	t.sum.MRR10 += MRR(ids, gains, 10)
	t.sum.Recall100 += Recall(ids, gains, 100)
	best := top(gains)
	for _, id := range ids[:min(5, len(ids))] {
		if gains[id] == best {
			t.sum.Success5++
			break
		}
	}
	first := ids[:min(10, len(ids))]
	for _, id := range first {
		if _, ok := gains[id]; ok {
			t.sum.Judged10 += 1 / float64(len(first))
		}
	}
}

func (t *tally) stage() Stage {
	return Stage{
		NDCG10: t.sum.NDCG10 / t.n, MRR10: t.sum.MRR10 / t.n, Recall100: t.sum.Recall100 / t.n,
		Success5: t.sum.Success5 / t.n, Judged10: t.sum.Judged10 / t.n,
		P50: Percentile(t.took, 0.50), P95: Percentile(t.took, 0.95),
	}
}

func top(gains map[string]float64) float64 {
	best := 0.0
	for _, g := range gains {
		best = max(best, g)
	}
	return best
}

func firstOf(have map[string][]float64, names ...string) string {
	for _, n := range names {
		if len(have[n]) > 0 {
			return n
		}
	}
	for n := range have {
		return n
	}
	return ""
}

func dot(a, b []float32) float64 {
	var s float64
	for i := range a {
		s += float64(a[i]) * float64(b[i])
	}
	return s
}
