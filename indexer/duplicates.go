package indexer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"robin"
	"robin/dedup"
	"robin/store"
)

const (
	duplicatesDir = "duplicates" // in a collection's folder: what searches for duplicates found, and the labels
	foundSuffix   = ".found"
	labelsFile    = "labels.json"
	// keptReports is how many searches for duplicates a collection remembers; the oldest go first.
	keptReports = 5
)

// reportRE is what names a report: the id of the task that made it, so that a request can never name another file.
var reportRE = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)

// reports holds the report that was made or looked at last: a threshold that is dragged cuts it many times a second.
type reports struct {
	mu    sync.Mutex
	path  string
	found *dedup.Found
}

func (r *reports) put(path string, found *dedup.Found) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.path, r.found = path, found
}

// FindDuplicates looks for documents that say the same, keeps what it found under the id of its task, and gives the
// report cut as q asks, with its first clusters. Documents that are written meanwhile are not looked at.
func (e *Engine) FindDuplicates(ctx context.Context, collection, task string, q robin.DuplicateQuery, progress func(robin.Progress)) (robin.DuplicateReport, error) {
	none := robin.DuplicateReport{}
	if err := q.Validate(); err != nil {
		return none, err
	}
	if !reportRE.MatchString(task) {
		return none, robin.Errorf(robin.CodeInternal, "%q cannot name a report", short(task))
	}
	c, err := e.collection(collection)
	if err != nil {
		return none, err
	}
	ctx, cancel := e.whileOpen(ctx)
	defer cancel()
	var found *dedup.Found
	err = c.withSource(ctx, q.Filter, func(src *source, v *view, m store.Meta) (err error) {
		s := v.schema.settings
		o := dedup.Options{
			Rule: v.schema.rule(), Floor: q.Floor, Keep: q.Keep, OneToOne: q.OneToOne, Progress: progress,
			Task: task, Collection: collection, Seq: m.LastSeq,
		}
		if q.Rule != nil {
			o.Rule = *q.Rule
		}
		if q.Threshold != 0 {
			o.Rule.Threshold = q.Threshold
		}
		if v.schema.embedder != nil {
			version := v.schema.embedder.Version()
			o.Models.Embedder = &version
		}
		if r := e.models().Rerankers[s.Reranker]; r != nil && q.Cross != robin.CrossOff {
			version := r.Version()
			o.Cross, o.CrossAll, o.Models.Reranker = r, q.Cross == robin.CrossOn, &version
		}
		found, err = dedup.Find(ctx, src, o)
		return err
	})
	if err != nil {
		return none, contextError(err, "look for duplicates")
	}
	if err := c.keepReport(task, found); err != nil {
		return none, err
	}
	return found.Cut(dedup.CutOptions{Limit: robin.DefaultDuplicateCut}), nil
}

// keepReport writes a report beside the collection's store and forgets the oldest.
func (c *collection) keepReport(task string, found *dedup.Found) error {
	failed := func(err error) error {
		return robin.Errorf(robin.CodeInternal, "keep the duplicates of collection %q: %w", c.name, err)
	}
	dir := filepath.Join(c.dir, duplicatesDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return failed(err)
	}
	path := filepath.Join(dir, task+foundSuffix)
	if err := writeWhole(path, func(f *os.File) error { return found.Save(f) }); err != nil {
		return failed(err)
	}
	c.eng.reports.put(path, found)
	names, err := c.reportNames()
	if err != nil {
		return failed(err)
	}
	for _, old := range names[min(keptReports, len(names)):] {
		if err := os.Remove(filepath.Join(dir, old+foundSuffix)); err != nil {
			c.log.Warn("an old report of duplicates cannot be removed", "report", old, "err", err)
		}
	}
	return nil
}

// reportNames lists the tasks whose reports are kept, the newest first: ids of tasks grow with time.
func (c *collection) reportNames() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(c.dir, duplicatesDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, entry := range entries {
		if name, ok := strings.CutSuffix(entry.Name(), foundSuffix); ok && reportRE.MatchString(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	slices.Reverse(names)
	return names, nil
}

// DuplicateReports lists the tasks whose reports can be cut, the newest first.
func (e *Engine) DuplicateReports(_ context.Context, collection string) ([]string, error) {
	c, err := e.collection(collection)
	if err != nil {
		return nil, err
	}
	names, err := c.reportNames()
	if err != nil {
		return nil, robin.Errorf(robin.CodeInternal, "list the duplicates of collection %q: %w", collection, err)
	}
	return names, nil
}

// CutDuplicates cuts a report at another threshold or under another keep rule, without computing anything again.
func (e *Engine) CutDuplicates(_ context.Context, collection, task string, cut robin.DuplicateCut) (robin.DuplicateReport, error) {
	c, err := e.collection(collection)
	if err != nil {
		return robin.DuplicateReport{}, err
	}
	found, err := c.report(task)
	if err != nil {
		return robin.DuplicateReport{}, err
	}
	o := c.cutOptions(cut)
	if err := found.Check(o); err != nil {
		return robin.DuplicateReport{}, err
	}
	return found.Cut(o), nil
}

// WriteDuplicates writes a cut to w: as "jsonl" or as "csv".
func (e *Engine) WriteDuplicates(_ context.Context, collection, task string, cut robin.DuplicateCut, format string, w io.Writer) error {
	c, err := e.collection(collection)
	if err != nil {
		return err
	}
	found, err := c.report(task)
	if err != nil {
		return err
	}
	o := c.cutOptions(cut)
	if err := found.Check(o); err != nil {
		return err
	}
	if format == "csv" {
		return dedup.WriteCSV(w, found.Cut(o))
	}
	return found.WriteJSONL(w, o)
}

func (c *collection) cutOptions(cut robin.DuplicateCut) dedup.CutOptions {
	o := dedup.CutOptions{Threshold: cut.Threshold, Keep: cut.Keep, Offset: cut.Offset, Limit: cut.Limit}
	if cut.Current {
		rule := c.view.Load().schema.rule()
		o.Rule = &rule
	}
	return o
}

// report reads a report, or gives the one that was made or read last.
func (c *collection) report(task string) (*dedup.Found, error) {
	missing := robin.Errorf(robin.CodeNoTask, "collection %q has no report of duplicates from task %q; it keeps the last %d", c.name, short(task), keptReports)
	if !reportRE.MatchString(task) {
		return nil, missing
	}
	path := filepath.Join(c.dir, duplicatesDir, task+foundSuffix)
	r := &c.eng.reports
	r.mu.Lock()
	defer r.mu.Unlock()
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, missing
	}
	if err != nil {
		return nil, robin.Errorf(robin.CodeInternal, "open the report of task %s: %w", task, err)
	}
	defer f.Close()
	if r.path == path {
		return r.found, nil
	}
	found, err := dedup.Load(f)
	if err != nil {
		return nil, robin.Errorf(robin.CodeDamaged, "the report of task %s cannot be read; look for duplicates again: %w", task, err)
	}
	r.path, r.found = path, found
	return found, nil
}

// labels are what people said of pairs, by the pair with the smaller id first.
func (c *collection) labels() ([]robin.Label, error) {
	b, err := os.ReadFile(filepath.Join(c.dir, duplicatesDir, labelsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var list []robin.Label
	if err == nil {
		err = json.Unmarshal(b, &list)
	}
	if err != nil {
		return nil, robin.Errorf(robin.CodeDamaged, "the labels of collection %q cannot be read: %w", c.name, err)
	}
	return list, nil
}

// DuplicateLabels gives a collection's labels.
func (e *Engine) DuplicateLabels(_ context.Context, collection string) ([]robin.Label, robin.LabelCount, error) {
	c, err := e.collection(collection)
	if err != nil {
		return nil, robin.LabelCount{}, err
	}
	c.labelling.Lock()
	defer c.labelling.Unlock()
	list, err := c.labels()
	return list, countLabels(list), err
}

// LabelDuplicates adds to a collection's labels. The last word on a pair is the one that counts.
func (e *Engine) LabelDuplicates(_ context.Context, collection string, labels []robin.Label) (robin.LabelCount, error) {
	c, err := e.collection(collection)
	if err != nil {
		return robin.LabelCount{}, err
	}
	c.labelling.Lock()
	defer c.labelling.Unlock()
	list, err := c.labels()
	if err != nil {
		return robin.LabelCount{}, err
	}
	at := make(map[[2]string]int, len(list))
	for i, l := range list {
		at[[2]string{l.A, l.B}] = i
	}
	for _, l := range labels {
		if l.A > l.B {
			l.A, l.B = l.B, l.A
		}
		if i, ok := at[[2]string{l.A, l.B}]; ok {
			list[i] = l
			continue
		}
		at[[2]string{l.A, l.B}] = len(list)
		list = append(list, l)
	}
	if len(list) > robin.MaxDuplicateLabels {
		return robin.LabelCount{}, robin.Errorf(robin.CodeTooLarge, "collection %q would have %d labels, the limit is %d", collection, len(list), robin.MaxDuplicateLabels)
	}
	b, err := json.Marshal(list)
	if err == nil {
		dir := filepath.Join(c.dir, duplicatesDir)
		if err = os.MkdirAll(dir, 0o700); err == nil {
			err = writeWhole(filepath.Join(dir, labelsFile), func(f *os.File) error { _, err := f.Write(b); return err })
		}
	}
	if err != nil {
		return robin.LabelCount{}, robin.Errorf(robin.CodeInternal, "keep the labels of collection %q: %w", collection, err)
	}
	return countLabels(list), nil
}

func countLabels(list []robin.Label) robin.LabelCount {
	n := robin.LabelCount{Labels: len(list)}
	for _, l := range list {
		if l.Same {
			n.Same++
		}
	}
	switch {
	case n.Labels < dedup.LeastLabels:
		n.Detail = fmt.Sprintf("%d more pairs are wanted", dedup.LeastLabels-n.Labels)
	case n.Same == 0:
		n.Detail = "no pair is labelled as the same"
	case n.Same == n.Labels:
		n.Detail = "no pair is labelled as different"
	default:
		n.Learnable = true
	}
	return n
}

// LearnDuplicates learns a rule from a collection's labels, and with Save makes it the collection's.
func (e *Engine) LearnDuplicates(ctx context.Context, collection string, q robin.LearnQuery) (robin.LearnAnswer, error) {
	none := robin.LearnAnswer{}
	c, err := e.collection(collection)
	if err != nil {
		return none, err
	}
	labels, _, err := e.DuplicateLabels(ctx, collection)
	if err != nil {
		return none, err
	}
	found, err := c.report(q.Task)
	if err != nil {
		return none, err
	}
	rule, rep, err := found.Learn(labels, dedup.LearnOptions{Precision: q.Precision})
	if err != nil {
		return none, err
	}
	answer := robin.LearnAnswer{Rule: rule, Report: rep}
	if !q.Save {
		return answer, nil
	}
	info, err := e.Collection(ctx, collection)
	if err != nil {
		return none, err
	}
	info.Settings.DuplicateRule = &rule
	if _, _, err := e.PutCollection(ctx, collection, info.Settings); err != nil {
		return none, err
	}
	answer.Saved = true
	return answer, nil
}
