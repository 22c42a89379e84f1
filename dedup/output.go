package dedup

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"io"
	"strconv"
	"strings"

	"robin"
)

// Pairs yields every pair at or above the floor as a cut judges it, and each exact copy with the first document of its
// text. Of texts that several documents have, the first stands for all.
func (f *Found) Pairs(o CutOptions, yield func(robin.DuplicatePair) error) error {
	c := f.cut(o)
	next := 0
	for n, docs := range c.members {
		for _, d := range docs[1:] {
			p := robin.DuplicatePair{A: c.docs[docs[0]].id, B: c.docs[d].id, Cosine: 1, Score: 1, Same: true, Reason: sameText}
			c.oneToOne(&p, docs[:1], []uint32{d})
			if err := yield(p); err != nil {
				return err
			}
		}
		for ; next < len(c.edges) && c.edges[next].a == uint32(n); next++ {
			if err := yield(c.pair(c.edges[next])); err != nil {
				return err
			}
		}
	}
	return nil
}

// WriteJSONL writes one object a line: {"type":"report",…} without its clusters, then {"type":"cluster",…} for each
// cluster and {"type":"pair",…} for each pair.
func (f *Found) WriteJSONL(w io.Writer, o CutOptions) error {
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	rep := f.Cut(o)
	clusters := rep.Clusters
	rep.Clusters = nil
	if err := enc.Encode(struct {
		Type string `json:"type"`
		robin.DuplicateReport
	}{"report", rep}); err != nil {
		return err
	}
	for _, c := range clusters {
		if err := enc.Encode(struct {
			Type string `json:"type"`
			robin.DuplicateCluster
		}{"cluster", c}); err != nil {
			return err
		}
	}
	err := f.Pairs(o, func(p robin.DuplicatePair) error {
		return enc.Encode(struct {
			Type string `json:"type"`
			robin.DuplicatePair
		}{"pair", p})
	})
	if err != nil {
		return err
	}
	return out.Flush()
}

// csvHeader are the columns of WriteCSV.
var csvHeader = []string{"cluster", "role", "id", "kept_id", "cosine", "cross", "score", "reason", "title"}

// WriteCSV writes a row for each document of each cluster, the kept one first. See csvText for cells that a spreadsheet
// would run.
func WriteCSV(w io.Writer, rep robin.DuplicateReport) error {
	out := csv.NewWriter(w)
	if err := out.Write(csvHeader); err != nil {
		return err
	}
	for i, c := range rep.Clusters {
		number := strconv.Itoa(i + 1)
		kept := csvText(c.Kept)
		if err := out.Write([]string{number, "kept", kept, kept, "", "", "", csvText(c.Why), csvText(c.Title)}); err != nil {
			return err
		}
		for _, m := range c.Members {
			cross := ""
			if m.Cross != nil {
				cross = csvNumber(*m.Cross)
			}
			row := []string{number, "duplicate", csvText(m.ID), kept, csvNumber(m.Cosine), cross, csvNumber(m.Score), csvText(m.Reason), csvText(m.Title)}
			if err := out.Write(row); err != nil {
				return err
			}
		}
	}
	out.Flush()
	return out.Error()
}

func csvNumber(x float64) string { return strconv.FormatFloat(x, 'f', 4, 64) }

// csvText puts an apostrophe before a text that begins with = + - @, a tab or a carriage return, after any spaces: a
// spreadsheet would take it for a formula and run it. An id of that kind reads '-12 in the file.
func csvText(s string) string {
	if t := strings.TrimLeft(s, " "); t != "" && strings.ContainsRune("=+-@\t\r\n", rune(t[0])) {
		return "'" + s
	}
	return s
}
