package importer

import "robin"

// twins reports the documents of a batch that have a twin in the collection.
func (u *run) twins(b *batch, twins []robin.Twin) {
	r := &u.report
	r.Duplicates += len(twins)
	for _, t := range twins[:min(len(twins), robin.MaxRowErrors-len(r.Twins))] {
		if at := t.Line - 1; at >= 0 && at < len(b.lines) {
			t.Line = b.lines[at]
		}
		r.Twins = append(r.Twins, t)
	}
}
