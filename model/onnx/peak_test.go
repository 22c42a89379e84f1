package onnx

import "testing"

// TestPeakIsAGraphThatInspectReads proves that what is measured is what the peak claims: so many products of such matrices.
func TestPeakIsAGraphThatInspectReads(t *testing.T) {
	for _, kind := range []ElementType{Float32, Int8} {
		g, err := Inspect(peakGraph(kind))
		if err != nil {
			t.Fatal(err)
		}
		if len(g.Weights) != peakProducts || g.Nodes != 3*peakProducts+2 {
			t.Fatalf("%v: %d weights, %d nodes", kind, len(g.Weights), g.Nodes)
		}
		for _, w := range g.Weights {
			if w.Type != kind || w.Dims[0] != peakInner || w.Dims[1] != peakRows {
				t.Errorf("%v: weight %+v", kind, w)
			}
		}
		p, err := OpenPeak(kind, 1)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := p.Run(); err != nil || n != 2*peakProducts*peakRows*peakRows*peakInner {
			t.Errorf("%v: %v operations, %v", kind, n, err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := OpenPeak(Int64, 1); err == nil {
		t.Error("a peak of int64 was promised")
	}
}
