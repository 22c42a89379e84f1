// Package eval measures relevance: it indexes the corpus of an evaluation folder, asks its queries in each mode, and
// compares the answers with the folder's judgements.
//
// A folder holds corpus.jsonl {"_id","title","text",…}, queries.jsonl {"_id","text"} and qrels.tsv (query-id, corpus-id,
// score, with a header), the layout of BEIR; and, for sentence pairs, pairs.tsv (text1, text2, label, split, with a
// header, no quoting). Where the corpus has two sources, matches.tsv (id1, id2, with a header) are the offers that are the same.
// Each file may be gzipped (NAME.gz).
package eval

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Query is one judged query.
type Query struct {
	ID   string `json:"_id"`
	Text string `json:"text"`
	Kind string `json:"kind,omitempty"`
}

// Pair is two texts with a human label: 0 or 1 for paraphrase sets, a real number for similarity sets.
type Pair struct {
	Text1, Text2 string
	Label        float64
	Split        string
}

// Folder is an evaluation folder in memory.
type Folder struct {
	Dir     string
	Corpus  []json.RawMessage
	Queries []Query
	Qrels   map[string]map[string]float64 // query id → document id → gain; 0 is judged and wrong
	Pairs   []Pair
	Dropped int                // documents of Corpus that were left out because their source is the queries'
	Sources []string           // of a catalogue of two shops with known matches
	Offers  [2][]Offer         // of each source, all of them
	Matches map[[2]string]bool // the ids of one offer of each
}

// Load reads a folder. A folder has a corpus with queries and judgements, or pairs, or both.
func Load(dir string) (*Folder, error) {
	f := &Folder{Dir: dir, Qrels: map[string]map[string]float64{}}
	err := lines(dir, "corpus.jsonl", func(_ int, line string) error {
		f.Corpus = append(f.Corpus, json.RawMessage(line))
		return nil
	})
	hasCorpus := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if hasCorpus {
		if err := f.loadMatches(); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if err := f.loadJudgements(); err != nil {
			return nil, err
		}
	}
	err = f.loadPairs()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if !hasCorpus && err != nil {
		return nil, fmt.Errorf("%s is not an evaluation folder: it has neither corpus.jsonl nor pairs.tsv (each may end in .gz)", dir)
	}
	return f, nil
}

func (f *Folder) loadJudgements() error {
	err := lines(f.Dir, "queries.jsonl", func(_ int, line string) error {
		var q Query
		if err := json.Unmarshal([]byte(line), &q); err != nil {
			return err
		}
		f.Queries = append(f.Queries, q)
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a catalogue without judgements
	}
	if err != nil {
		return err
	}
	err = lines(f.Dir, "qrels.tsv", func(n int, line string) error {
		if n == 1 {
			return nil
		}
		c := strings.Split(line, "\t")
		if len(c) < 3 {
			return errors.New("wants three columns: query-id, corpus-id, score")
		}
		score, err := strconv.ParseFloat(c[2], 64)
		if err != nil {
			return err
		}
		if f.Qrels[c[0]] == nil {
			f.Qrels[c[0]] = map[string]float64{}
		}
		f.Qrels[c[0]][c[1]] = score
		return nil
	})
	if err != nil {
		return err
	}
	return f.dropQuerySources()
}

// dropQuerySources leaves out the documents of a source that the queries come from and in which nothing was judged. In a
// corpus of two shops whose queries are the titles of one, the task is to find the other's offers, and each query's own
// document would only stand in the way.
func (f *Folder) dropQuerySources() error {
	queries, judged := map[string]bool{}, map[string]bool{}
	for _, q := range f.Queries {
		queries[q.ID] = true
	}
	for _, docs := range f.Qrels {
		for id := range docs {
			judged[id] = true
		}
	}
	sources := make([]string, len(f.Corpus))
	from, in := map[string]bool{}, map[string]bool{}
	for i, raw := range f.Corpus {
		var d struct {
			ID     string `json:"_id"`
			Source string `json:"source"`
		}
		if err := json.Unmarshal(raw, &d); err != nil {
			return fmt.Errorf("document %d of the corpus: %w", i+1, err)
		}
		sources[i] = d.Source
		if queries[d.ID] {
			from[d.Source] = true
		}
		if judged[d.ID] {
			in[d.Source] = true
		}
	}
	kept := f.Corpus[:0]
	for i, raw := range f.Corpus {
		if s := sources[i]; s != "" && from[s] && !in[s] {
			f.Dropped++
			continue
		}
		kept = append(kept, raw)
	}
	f.Corpus = kept
	return nil
}

func (f *Folder) loadPairs() error {
	return lines(f.Dir, "pairs.tsv", func(n int, line string) error {
		if n == 1 {
			return nil
		}
		c := strings.Split(line, "\t")
		if len(c) < 4 {
			return errors.New("wants four columns: text1, text2, label, split")
		}
		label, err := strconv.ParseFloat(c[2], 64)
		if err != nil {
			return err
		}
		f.Pairs = append(f.Pairs, Pair{Text1: c[0], Text2: c[1], Label: label, Split: c[3]})
		return nil
	})
}

// lines calls do for each non-empty line of dir/name or dir/name.gz, numbered from 1.
func lines(dir, name string, do func(n int, line string) error) error {
	path := filepath.Join(dir, name)
	file, err := os.Open(path)
	zipped := errors.Is(err, fs.ErrNotExist)
	if zipped {
		path += ".gz"
		file, err = os.Open(path)
	}
	if err != nil {
		return err
	}
	defer file.Close()
	var r io.Reader = file
	if zipped {
		z, err := gzip.NewReader(file)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		r = z
	}
	s := bufio.NewScanner(r)
	s.Buffer(nil, 16<<20)
	n := 0
	for s.Scan() {
		n++
		if s.Text() == "" {
			continue
		}
		if err := do(n, s.Text()); err != nil {
			return fmt.Errorf("%s line %d: %w", path, n, err)
		}
	}
	if err := s.Err(); err != nil {
		return fmt.Errorf("%s line %d: %w", path, n+1, err)
	}
	return nil
}
