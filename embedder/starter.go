package embedder

import (
	"embed"
	"io/fs"
)

//go:embed all:starter
var starter embed.FS

// Starter is the folder of the bi-encoder that travels in the binary, for model.Open. training/ makes it.
func Starter() fs.FS {
	folder, err := fs.Sub(starter, "starter")
	if err != nil {
		panic(err) // only for an invalid path
	}
	return folder
}
