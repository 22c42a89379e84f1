package indexer

import (
	"context"
	"fmt"
	"slices"

	"robin"
	"robin/dedup"
	"robin/store"
)

// ApplyDuplicates flags, links or deletes the duplicates of a report. Left alone is a member that a label calls another
// document than the kept one, and one that says something else by now than what was compared, or whose kept document does.
func (e *Engine) ApplyDuplicates(ctx context.Context, collection, task string, a robin.DuplicateApply) (robin.DuplicateAction, error) {
	none := robin.DuplicateAction{}
	c, err := e.collection(collection)
	if err != nil {
		return none, err
	}
	if err := checkAction(a.Action); err != nil {
		return none, err
	}
	if a.Rule != "" && a.Rule != robin.CurrentRule {
		return none, robin.Invalid("/rule", "%q is not a rule; leave it out or use %s", short(a.Rule), robin.CurrentRule)
	}
	found, err := c.report(task)
	if err != nil {
		return none, err
	}
	o := c.cutOptions(robin.DuplicateCut{Threshold: a.Threshold, Keep: a.Keep, Current: a.Rule == robin.CurrentRule})
	if err := found.Check(o); err != nil {
		return none, err
	}
	clusters, err := chosen(found.Cut(o).Clusters, a.Clusters)
	if err != nil {
		return none, err
	}
	if err := prefer(clusters, a.Prefer); err != nil {
		return none, err
	}
	labels, _, err := e.DuplicateLabels(ctx, collection)
	if err != nil {
		return none, err
	}
	clusters, changed, err := c.unchanged(found, withoutDifferent(clusters, labels))
	if err != nil {
		return none, err
	}
	if len(clusters) == 0 && changed > 0 {
		return none, robin.Errorf(robin.CodeInvalid, "%d documents say something else by now than what was compared; look for duplicates again", changed)
	}
	return c.actOn(ctx, a.Action, clusters, changed)
}

// chosen picks the clusters that were asked for by their kept documents.
func chosen(all []robin.DuplicateCluster, kept []string) ([]robin.DuplicateCluster, error) {
	if len(kept) == 0 {
		return all, nil
	}
	at := make(map[string]int, len(all))
	for i, g := range all {
		at[g.Kept] = i
	}
	out := make([]robin.DuplicateCluster, 0, len(kept))
	for i, id := range kept {
		n, ok := at[id]
		if !ok {
			return nil, robin.Invalid(fmt.Sprintf("/clusters/%d", i), "%q keeps no cluster at this threshold", short(id))
		}
		out = append(out, all[n])
	}
	return out, nil
}

// prefer keeps other documents of clusters than their rule says. The cosine of the rest to the new one was not measured.
func prefer(clusters []robin.DuplicateCluster, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	at := map[string][2]int{} // id → its cluster and its place among the members
	for i, g := range clusters {
		for j, m := range g.Members {
			at[m.ID] = [2]int{i, j}
		}
	}
	for i, id := range ids {
		place, ok := at[id]
		if !ok {
			return robin.Invalid(fmt.Sprintf("/prefer/%d", i), "%q is no duplicate in these clusters, or another one of its cluster is preferred too", short(id))
		}
		g := &clusters[place[0]]
		members := slices.Clone(g.Members)
		for j := range members {
			delete(at, members[j].ID)
			if j != place[1] {
				members[j].Cosine = 0
			}
		}
		members[place[1]].ID = g.Kept
		*g = robin.DuplicateCluster{Kept: id, Members: members}
	}
	return nil
}

// withoutDifferent leaves out the members that a person has said are not what the kept document is.
func withoutDifferent(clusters []robin.DuplicateCluster, labels []robin.Label) []robin.DuplicateCluster {
	different := map[[2]string]bool{}
	for _, l := range labels {
		if !l.Same {
			different[[2]string{l.A, l.B}], different[[2]string{l.B, l.A}] = true, true
		}
	}
	return leaveOut(clusters, func(kept, member string) bool { return different[[2]string{kept, member}] })
}

// leaveOut gives clusters without some members, and without those that have none left.
func leaveOut(clusters []robin.DuplicateCluster, which func(kept, member string) bool) []robin.DuplicateCluster {
	out := make([]robin.DuplicateCluster, 0, len(clusters))
	for _, g := range clusters {
		g.Members = slices.DeleteFunc(slices.Clone(g.Members), func(m robin.DuplicateMember) bool { return which(g.Kept, m.ID) })
		if len(g.Members) > 0 {
			out = append(out, g)
		}
	}
	return out
}

// unchanged leaves out, and counts, the members that say something else than what was compared, or whose kept document
// does. Documents that are gone stay in: the action passes over them.
func (c *collection) unchanged(found *dedup.Found, clusters []robin.DuplicateCluster) (out []robin.DuplicateCluster, changed int, err error) {
	texts := found.Texts()
	t := c.view.Load().schema.template
	differs := map[string]bool{}
	look := func(r *store.Reader, id string) error {
		doc, err := r.ByID(id)
		if isNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		now, err := t.of(doc.Raw)
		if err != nil {
			return err
		}
		was, compared := texts[id]
		differs[id] = !compared || !dedup.SameText(was, now)
		return nil
	}
	err = c.st.View(func(r *store.Reader) error {
		for _, g := range clusters {
			if err := look(r, g.Kept); err != nil {
				return err
			}
			for _, m := range g.Members {
				if err := look(r, m.ID); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, 0, c.storeError(err, "read the duplicates")
	}
	out = leaveOut(clusters, func(kept, member string) bool {
		if differs[kept] || differs[member] {
			changed++
			return true
		}
		return false
	})
	return out, changed, nil
}
