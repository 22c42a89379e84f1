package api

import (
	"fmt"
	"net/http"
	"slices"

	"robin"

	"github.com/labstack/echo/v4"
)

type applyBody struct {
	Action    string   `json:"action"` // flag, link or delete
	Threshold float64  `json:"threshold,omitempty"`
	Keep      string   `json:"keep,omitempty"`
	Clusters  []string `json:"clusters,omitempty"` // ids of kept documents; empty: all clusters
	Prefer    []string `json:"prefer,omitempty"`   // ids of members that are kept in the place of their cluster's kept document
}

type actionAnswer struct {
	Action robin.DuplicateAction `json:"action"`
}

// applyDuplicates acts on the members of clusters. A member that a label calls another document than the kept one is
// left alone.
func (s *Server) applyDuplicates(c echo.Context) error {
	name, task, err := reportPath(c)
	if err != nil {
		return err
	}
	if _, err := queryParams(c, nil); err != nil {
		return err
	}
	var body applyBody
	if err := s.decode(c, &body, maxJSONBody); err != nil {
		return err
	}
	switch body.Action {
	case "flag", "link", "delete":
	default:
		return robin.Invalid("/action", "%q is not an action; use flag, link or delete", clip(body.Action))
	}
	ctx := c.Request().Context()
	rep, err := s.opts.Duplicates.CutDuplicates(ctx, name, task, robin.DuplicateCut{Threshold: body.Threshold, Keep: body.Keep})
	if err != nil {
		return err
	}
	clusters, err := chosen(rep.Clusters, body.Clusters)
	if err != nil {
		return err
	}
	if err := prefer(clusters, body.Prefer); err != nil {
		return err
	}
	labels, _, err := s.opts.Duplicates.DuplicateLabels(ctx, name)
	if err != nil {
		return err
	}
	action, err := s.opts.Duplicates.ApplyDuplicates(ctx, name, body.Action, withoutDifferent(clusters, labels))
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, actionAnswer{action})
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
			return nil, robin.Invalid(fmt.Sprintf("/clusters/%d", i), "%q keeps no cluster at this threshold", clip(id))
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
			return robin.Invalid(fmt.Sprintf("/prefer/%d", i), "%q is no duplicate in these clusters, or another one of its cluster is preferred too", clip(id))
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
	out := make([]robin.DuplicateCluster, 0, len(clusters))
	for _, g := range clusters {
		g.Members = slices.DeleteFunc(slices.Clone(g.Members), func(m robin.DuplicateMember) bool { return different[[2]string{g.Kept, m.ID}] })
		if len(g.Members) > 0 {
			out = append(out, g)
		}
	}
	return out
}
