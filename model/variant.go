package model

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"robin/model/tokenizer"
)

// Precision is how exactly a graph file keeps its weights.
type Precision string

// The precisions.
const (
	FullPrecision Precision = "float32"
	HalfPrecision Precision = "float16"
	BytePrecision Precision = "int8"
)

// Device is what a graph will run on. Vector extensions are those that exporters name files after.
type Device struct {
	GPU                             bool
	ARM64, AVX2, AVX512, AVX512VNNI bool
}

// Variant is one of the graph files of a repository.
type Variant struct {
	Path      string
	Precision Precision
	// level is the optimizer's, 0 where it did not run; needs the processor that an int8 file was made for, if one is named.
	level int
	needs string
}

// variantPattern has the names that sentence-transformers (model_O3, model_qint8_avx512_vnni), optimum (model_optimized,
// model_quantized) and converters for browsers (model_fp16, model_int8) give. Other files are other parts of a model.
var variantPattern = regexp.MustCompile(`^(?:onnx/)?model(?:_(O[1-4]|optimized|fp16|float16|quantized|int8|uint8|(?:qint8|quint8)(?:_(avx512_vnni|avx512|avx2|arm64))?))?\.onnx$`)

// Variants finds the graph files among the paths of a repository. Files whose weights lie beside them are left out: they
// are not loaded.
func Variants(paths []string) (list []Variant, external []string) {
	for _, p := range paths {
		m := variantPattern.FindStringSubmatch(p)
		if m == nil {
			continue
		}
		if slices.ContainsFunc([]string{p + "_data", p + ".data"}, func(s string) bool { return slices.Contains(paths, s) }) {
			external = append(external, p)
			continue
		}
		v := Variant{Path: p, Precision: FullPrecision, needs: m[2]}
		switch kind := m[1]; {
		case kind == "O4" || kind == "fp16" || kind == "float16":
			v.Precision = HalfPrecision
		case strings.HasPrefix(kind, "O"):
			v.level = int(kind[1] - '0')
		case kind == "optimized":
			v.level = 1
		case kind != "":
			v.Precision = BytePrecision
		}
		list = append(list, v)
	}
	return list, external
}

// Choose picks the graph file for a device and says why. want is the precision that was asked for; empty, it is float32 on a
// CPU and float16 on a GPU where there is such a file, and what there is otherwise. The int8 files that exporters write
// scale a whole batch by its largest number, so that a text's vector depends a little on its neighbours: that is for the
// user to choose.
func Choose(paths []string, d Device, want Precision) (Variant, string, error) {
	all, external := Variants(paths)
	if len(all) == 0 {
		if len(external) > 0 {
			return Variant{}, "", fmt.Errorf("%s keeps its weights in a second file, which is not loaded because it could name any file of this machine: export the model as one file", external[0])
		}
		return Variant{}, "", errors.New("the repository has no ONNX file that Robin knows (model.onnx, onnx/model.onnx, onnx/model_O2.onnx …): look for a conversion of the model to ONNX, or name a file with --file")
	}
	runs := slices.DeleteFunc(slices.Clone(all), func(v Variant) bool { return !d.runs(v) || want != "" && v.Precision != want })
	if len(runs) == 0 {
		var names []string
		for _, v := range all {
			names = append(names, v.Path)
		}
		if want == "" {
			return Variant{}, "", fmt.Errorf("none of the repository's ONNX files is for this machine (%s): name one with --file to try it", strings.Join(names, ", "))
		}
		return Variant{}, "", fmt.Errorf("the repository has no %s file for this machine, it has %s", want, strings.Join(names, ", "))
	}
	best := slices.MinFunc(runs, func(a, b Variant) int {
		return cmp.Or(cmp.Compare(d.rank(a), d.rank(b)), strings.Compare(a.Path, b.Path))
	})
	return best, d.reason(best, runs), nil
}

// runs says whether a file was made for this device. An int8 file for another processor would run, but slower than float32,
// or with sums that overflow.
func (d Device) runs(v Variant) bool {
	switch v.needs {
	case "avx512_vnni":
		return d.AVX512VNNI && !d.GPU
	case "avx512":
		return d.AVX512 && !d.GPU
	case "avx2":
		return d.AVX2 && !d.GPU
	case "arm64":
		return d.ARM64 && !d.GPU
	}
	return true
}

// rank orders what runs: smaller is better. Among float32 files the plain one comes first, because ONNX Runtime makes the
// optimizer's exact fusions itself as it loads, and level 3 replaces GELU by an approximation.
func (d Device) rank(v Variant) int {
	byPrecision := []Precision{FullPrecision, BytePrecision, HalfPrecision}
	if d.GPU {
		byPrecision = []Precision{HalfPrecision, FullPrecision, BytePrecision}
	}
	within := []int{0, 2, 1, 3}[v.level]
	if v.Precision == BytePrecision {
		within = slices.Index([]string{"avx512_vnni", "avx512", "arm64", "avx2", ""}, v.needs)
	}
	return 10*slices.Index(byPrecision, v.Precision) + within
}

func (d Device) reason(v Variant, runs []Variant) string {
	on := "the CPU"
	if d.GPU {
		on = "the GPU"
	}
	why := fmt.Sprintf("the best %s file for %s", v.Precision, on)
	switch {
	case v.Precision == BytePrecision && v.needs != "":
		why = fmt.Sprintf("int8 as this processor multiplies it (%s)", v.needs)
	case len(runs) == 1:
		why = "the only file that suits " + on
	case v.Precision == HalfPrecision && d.GPU:
		why = "float16 is what a GPU is fastest with"
	case v.Precision == FullPrecision && v.level == 0:
		why = "full precision, and ONNX Runtime optimizes it for " + on + " as it loads"
	}
	if v.Precision == FullPrecision {
		ints := slices.DeleteFunc(slices.Clone(runs), func(r Variant) bool { return r.Precision != BytePrecision })
		if len(ints) > 0 {
			best := slices.MinFunc(ints, func(a, b Variant) int { return cmp.Compare(d.rank(a), d.rank(b)) })
			why += fmt.Sprintf("; --weights int8 takes %s, which is smaller and faster and less exact", best.Path)
		}
	}
	return why
}

// poolingCard is the card of one module of a sentence-transformers folder.
var poolingCard = regexp.MustCompile(`^[0-9]{1,2}_[A-Za-z]{1,32}/config\.json$`)

// CardFiles picks the small files that Open reads among the paths of a repository: the cards and the tokenizer.
func CardFiles(paths []string) []string {
	wanted := []string{"robin.json", "config.json", "modules.json", "sentence_bert_config.json", "config_sentence_transformers.json", "tokenizer_config.json"}
	if slices.Contains(paths, "tokenizer.json") {
		wanted = append(wanted, "tokenizer.json") // the others are not read beside it
	} else {
		wanted = append(wanted, tokenizer.Files...)
	}
	var out []string
	for _, p := range paths {
		if slices.Contains(wanted, p) || poolingCard.MatchString(p) {
			out = append(out, p)
		}
	}
	return out
}

// MaxFileBytes bounds a file of a model folder, by its path in the folder.
func MaxFileBytes(name string) int64 {
	switch {
	case path.Ext(name) == ".onnx":
		return maxGraphBytes
	case slices.Contains(tokenizer.Files, name) && name != "tokenizer_config.json":
		return 64 << 20 // as the tokenizer reads
	}
	return maxCardBytes
}

// CheckCards says whether Robin can run the model as far as the small files tell, before its graph is there.
func CheckCards(fsys fs.FS, o Options) (Info, error) {
	var info Info
	cards, err := readCards(fsys)
	if err != nil {
		return info, err
	}
	if err := cards.fill(&info, o); err != nil {
		return info, err
	}
	if _, err := tokenizer.Load(fsys); err != nil {
		return info, fmt.Errorf("the tokenizer cannot be used: %w", err)
	}
	return info, nil
}
