package main

import (
	"fmt"
	"net/http"
	"text/tabwriter"
	"time"

	"robin"
)

// Run lists the documents for whose text the model gave no usable vector.
func (c *quarantineCmd) Run(e *env) error {
	if err := checkCollection(c.Collection); err != nil {
		return err
	}
	var list struct {
		Quarantine []robin.Quarantined `json:"quarantine"`
	}
	if c.URL != "" {
		cl, err := newClient(c.URL)
		if err != nil {
			return err
		}
		if err := cl.call(e.ctx, http.MethodGet, "/collections/"+c.Collection+"/quarantine", nil, &list); err != nil {
			return err
		}
	} else {
		d, err := openExisting(e, c.Data, inference{})
		if err != nil {
			return err
		}
		defer d.Close()
		if list.Quarantine, err = d.engine.Quarantine(e.ctx, c.Collection); err != nil {
			return err
		}
	}
	if c.JSON {
		return printJSON(e.stdout, list)
	}
	if len(list.Quarantine) == 0 {
		_, err := fmt.Fprintf(e.stdout, "%s: every document that was sent has a vector, or needs none\n", c.Collection)
		return err
	}
	w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tWHEN\tMODEL\tREASON\tSTORED")
	for _, q := range list.Quarantine {
		stored := "no"
		if q.Stored {
			stored = "an older state"
		}
		fmt.Fprintf(w, "%q\t%s\t%s %s (%.12s)\t%s\t%s\n", q.ID, q.At.Format(time.RFC3339), q.Model.Name, q.Model.Version, q.Model.Fingerprint, q.Reason, stored)
	}
	return w.Flush()
}
