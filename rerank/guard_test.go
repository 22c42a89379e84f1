package rerank_test

import (
	"context"
	"math"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"robin"
	"robin/model"
	"robin/rerank"
)

// tiny-halfcross has no float16 number for the word "far", which then spoils the whole batch.
func TestAPairThatFloat16HasNoNumberForIsScoredInFloat32(t *testing.T) {
	passages := []string{"mug", "far lamp", "coffee"}
	c := openCross(t, os.DirFS(tiny+"tiny-halfcross"), rerank.CrossEncoderOptions{})
	dir := fstest.MapFS{}
	for _, name := range []string{"config.json", "tokenizer.json", "model.onnx", model.FullGraph} {
		b, err := os.ReadFile(tiny + "tiny-halfcross/" + name)
		if err != nil {
			t.Fatal(err)
		}
		dir[name] = &fstest.MapFile{Data: b, Mode: 0o644}
	}
	full := fstest.MapFS{"config.json": dir["config.json"], "tokenizer.json": dir["tokenizer.json"], "model.onnx": dir[model.FullGraph]}
	want, err := openCross(t, full, rerank.CrossEncoderOptions{}).Score(context.Background(), "red mug", passages)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Score(context.Background(), "red mug", passages)
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		if math.Abs(float64(got[i]-want[i])) > 0.001 {
			t.Errorf("%q has %g, in float32 %g", passages[i], got[i], want[i])
		}
	}
	if s := c.Stats(); s.Retried != 3 || s.Recovered != 3 || s.NotFinite != 0 {
		t.Errorf("%d run again, %d recovered, %d not finite", s.Retried, s.Recovered, s.NotFinite)
	}
	delete(dir, model.FullGraph)
	c = openCross(t, dir, rerank.CrossEncoderOptions{})
	if _, err := c.Score(context.Background(), "red mug", passages); robin.CodeOf(err) != robin.CodeModelFailed || !strings.Contains(err.Error(), "for passage 1") {
		t.Errorf("without the float32 graph: %v", err)
	}
	if s := c.Stats(); s.Recovered > 2 || s.NotFinite != 1 {
		t.Errorf("without the float32 graph %d recovered, %d not finite", s.Recovered, s.NotFinite)
	}
}
