package main

import (
	"cmp"
	"fmt"
	"net/http"
	"strings"
	"text/tabwriter"

	"robin"
	"robin/indexer"
)

// Run lists the models of a data folder or of a running server.
func (c *modelsListCmd) Run(e *env) error {
	known := true // who uses them
	var list struct {
		Models []robin.ModelInfo `json:"models"`
	}
	if c.URL != "" {
		cl, err := newClient(c.URL)
		if err != nil {
			return err
		}
		if err := cl.call(e.ctx, http.MethodGet, "/models", nil, &list); err != nil {
			return err
		}
	} else {
		m, err := openModels(e, c.Data, inference{})
		if err != nil {
			return err
		}
		defer m.Close()
		settings, release, err := indexer.LockedSettings(c.Data)
		if err != nil { // a server has it, most often; the models can be listed all the same
			fmt.Fprintf(e.stderr, "robin: which collections use the models is not known: %v\n", err)
			known = false
		} else if err := release(); err != nil {
			return err
		}
		list.Models = withUse(m.infos, settings)
	}
	if c.JSON {
		return printJSON(e.stdout, list)
	}
	w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tVERSION\tTASK\tFAMILY\tDIMENSION\tMAX TOKENS\tSIZE\tLICENCE\tFINGERPRINT\tSOURCE\tUSED BY")
	for _, i := range list.Models {
		dim := "-"
		if i.Dimension > 0 {
			dim = fmt.Sprint(i.Dimension)
		}
		by := cmp.Or(strings.Join(i.UsedBy, ", "), "-")
		if !known {
			by = "?"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%.1f MB\t%s\t%.12s\t%s\t%s\n", i.Name, i.Version, i.Task, i.Family, dim, i.MaxTokens,
			float64(i.Bytes)/1e6, cmp.Or(i.Licence, "not said"), i.Fingerprint, i.Source, by)
	}
	return w.Flush()
}

// Run checks a folder and runs the model once.
func (c *modelsVerifyCmd) Run(e *env) error {
	info, err := tryModel(e, newcomer{dir: c.Dir, inference: c.inference})
	if err != nil {
		return err
	}
	return printModel(e, info, "is sound", c.JSON)
}

func printModel(e *env, i robin.ModelInfo, outcome string, asJSON bool) error {
	if asJSON {
		return printJSON(e.stdout, i)
	}
	_, err := fmt.Fprintf(e.stdout, "model %s version %s (%s, %s, %d tokens, fingerprint %.12s) %s\n",
		i.Name, i.Version, i.Family, i.Task, i.MaxTokens, i.Fingerprint, outcome)
	return err
}
