package recall

import (
	"cmp"
	"fmt"
	"html"
	"io"
	"math"
	"slices"
	"strings"
)

// The picture, in pixels.
const (
	plotWidth, plotHeight = 880, 540
	plotLeft, plotRight   = 78, 24
	plotTop, plotBottom   = 72, 60
)

// palette tells lines apart for colour-blind readers too (Okabe and Ito, 2008).
var palette = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f"}

// Plot draws, as SVG, the queries per second of each index over its recall.
func (r *Report) Plot(w io.Writer) error {
	p, ok := newPlot(r.Indexes)
	if !ok {
		return fmt.Errorf("there is nothing to plot: the search was not measured")
	}
	p.open(fmt.Sprintf("%s vectors of %d numbers", thousands(float64(r.N)), r.Dim),
		fmt.Sprintf("%s; M %d, efConstruction %d, one thread; %s", r.Vectors, r.M, r.EfConstruction, r.Machine.CPU))
	p.axes()
	for i, x := range r.Indexes {
		p.line(x, palette[i%len(palette)])
	}
	for i, x := range r.Indexes {
		p.legend(len(r.Indexes)-1-i, x.Name, palette[i%len(palette)])
	}
	p.b.WriteString("</svg>\n")
	_, err := io.WriteString(w, p.b.String())
	return err
}

// plot maps recall to x evenly and speed to y by its logarithm.
type plot struct {
	b         strings.Builder
	least     float64 // recall at the left edge; 1 is at the right
	low, high float64 // log10 of the queries per second at the edges
}

func newPlot(indexes []*Index) (*plot, bool) {
	var points []Point
	for _, x := range indexes {
		points = append(points, x.Search...)
	}
	if len(points) == 0 {
		return nil, false
	}
	least := slices.MinFunc(points, func(a, b Point) int { return cmp.Compare(a.Recall, b.Recall) }).Recall
	slow := slices.MinFunc(points, func(a, b Point) int { return cmp.Compare(a.QPS, b.QPS) }).QPS
	fast := slices.MaxFunc(points, func(a, b Point) int { return cmp.Compare(a.QPS, b.QPS) }).QPS
	return &plot{
		least: min(0.95, math.Floor(least*20)/20), // a multiple of 0.05
		low:   math.Log10(slow) - 0.1, high: math.Log10(fast) + 0.1,
	}, true
}

func (p *plot) x(recall float64) float64 {
	return plotLeft + (recall-p.least)/(1-p.least)*(plotWidth-plotLeft-plotRight)
}

func (p *plot) y(qps float64) float64 {
	return plotTop + (p.high-math.Log10(qps))/(p.high-p.low)*(plotHeight-plotTop-plotBottom)
}

func (p *plot) add(format string, args ...any) { fmt.Fprintf(&p.b, format+"\n", args...) }

func (p *plot) open(title, conditions string) {
	p.add(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="system-ui, sans-serif" font-size="13" fill="#333">`, plotWidth, plotHeight, plotWidth, plotHeight)
	p.add(`<rect width="%d" height="%d" fill="#fff"/>`, plotWidth, plotHeight)
	p.add(`<text x="%d" y="30" font-size="18" font-weight="600" fill="#111">%s</text>`, plotLeft, html.EscapeString(title))
	p.add(`<text x="%d" y="51" fill="#666">%s</text>`, plotLeft, html.EscapeString(conditions))
}

func (p *plot) axes() {
	bottom, right := plotHeight-plotBottom, plotWidth-plotRight
	step := 0.01
	for (1-p.least)/step > 10.5 {
		step = map[float64]float64{0.01: 0.02, 0.02: 0.05, 0.05: 0.1, 0.1: 0.2}[step]
	}
	for i := int(math.Ceil(p.least/step - 1e-9)); float64(i)*step < 1+1e-9; i++ {
		at := float64(i) * step
		p.add(`<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#e3e3e3"/>`, p.x(at), plotTop, p.x(at), bottom)
		p.add(`<text x="%.1f" y="%d" text-anchor="middle">%.2f</text>`, p.x(at), bottom+20, at)
	}
	for decade := math.Floor(p.low); decade <= p.high; decade++ {
		for _, digit := range []float64{1, 2, 5} {
			qps := digit * math.Pow(10, decade)
			if math.Log10(qps) < p.low || math.Log10(qps) > p.high {
				continue
			}
			p.add(`<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#e3e3e3"/>`, plotLeft, p.y(qps), right, p.y(qps))
			p.add(`<text x="%d" y="%.1f" text-anchor="end">%s</text>`, plotLeft-8, p.y(qps)+4.5, thousands(qps))
		}
	}
	p.add(`<path d="M%d %dV%dH%d" fill="none" stroke="#888"/>`, plotLeft, plotTop, bottom, right)
	p.add(`<text x="%d" y="%d" text-anchor="middle">recall@%d</text>`, (plotLeft+right)/2, plotHeight-16, K)
	middle := (plotTop + bottom) / 2
	p.add(`<text x="20" y="%d" text-anchor="middle" transform="rotate(-90 20 %d)">queries per second (logarithmic)</text>`, middle, middle)
}

func (p *plot) line(x *Index, colour string) {
	var path strings.Builder
	for i, point := range best(x.Search) {
		fmt.Fprintf(&path, "%c%.1f %.1f", "ML"[min(i, 1)], p.x(point.Recall), p.y(point.QPS))
	}
	if path.Len() == 0 {
		return
	}
	p.add(`<path d="%s" fill="none" stroke="%s" stroke-width="2.2" stroke-linejoin="round"/>`, path.String(), colour)
	for _, point := range x.Search {
		p.add(`<circle cx="%.1f" cy="%.1f" r="3" fill="%s"><title>%s: ef %d, recall %.4f, %.0f queries/s</title></circle>`,
			p.x(point.Recall), p.y(point.QPS), colour, html.EscapeString(x.Name), point.Ef, point.Recall, point.QPS)
	}
}

// best leaves out the points than which another has no less recall and no less speed, and sorts what is left by recall.
func best(points []Point) (left []Point) {
	points = slices.SortedFunc(slices.Values(points), func(a, b Point) int {
		return cmp.Or(cmp.Compare(b.Recall, a.Recall), cmp.Compare(b.QPS, a.QPS))
	})
	for _, p := range points {
		if len(left) == 0 || p.QPS > left[len(left)-1].QPS {
			left = append(left, p)
		}
	}
	slices.Reverse(left)
	return left
}

// legend names a line in the lower left corner: curves of recall and speed go from the upper left to the lower right.
func (p *plot) legend(above int, name, colour string) {
	y := plotHeight - plotBottom - 20 - 20*above
	p.add(`<rect x="%d" y="%d" width="24" height="4" fill="%s"/>`, plotLeft+14, y-6, colour)
	p.add(`<text x="%d" y="%d">%s</text>`, plotLeft+46, y, html.EscapeString(name))
}

func thousands(qps float64) string {
	s := fmt.Sprintf("%.0f", qps)
	for at := len(s) - 3; at > 0; at -= 3 {
		s = s[:at] + "," + s[at:]
	}
	return s
}
