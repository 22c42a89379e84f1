package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"robin"
	"robin/importer"
	"robin/testdata/catalogue"
)

const (
	demoCollection = "demo" // what --demo makes
	// demoMark lies in the data folder from before the first import of the demo until it is whole. Without it a collection
	// demo that exists is left as it is: what was changed or deleted in it since stays so. (A change that is made in a first
	// import that is then cut off may be undone by the second.)
	demoMark = "demo.unfinished"
)

// indexDemo imports the demo catalogue when it is not there, or only a part of it, and gives the number of documents in the
// collection.
func indexDemo(ctx context.Context, dir string, t importer.Target) (documents int, err error) {
	mark := filepath.Join(dir, demoMark)
	info, err := t.Collection(ctx, demoCollection)
	if robin.CodeOf(err) == robin.CodeNoCollection {
		err = errors.Join(os.WriteFile(mark, nil, 0o600), syncDir(dir))
	} else if _, missing := os.Lstat(mark); err == nil && errors.Is(missing, fs.ErrNotExist) {
		if info.Status == robin.Damaged {
			return 0, fmt.Errorf("the collection %s is damaged: %s", demoCollection, info.Detail)
		}
		return info.Documents, nil
	}
	if err != nil {
		return 0, err
	}
	rep, err := importer.Into(ctx, importer.Source{
		Reader: bytes.NewReader(catalogue.Products()), Name: "products.jsonl.gz",
	}, t, importer.Options{Collection: demoCollection})
	if err != nil {
		return 0, err
	}
	if rep.Failed > 0 {
		b, _ := json.Marshal(rep.Errors[0])
		return 0, fmt.Errorf("%d of %d products failed, the first: %s", rep.Failed, rep.Total, b)
	}
	return rep.Indexed, errors.Join(os.Remove(mark), syncDir(dir))
}
