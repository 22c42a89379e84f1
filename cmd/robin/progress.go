package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"robin"
)

// meter shows the progress of long work: one bar on a terminal, a plain line every few seconds elsewhere. Both say the
// rate, the time left and what failed.
type meter struct {
	w    io.Writer
	what string
	bar  *progressbar.ProgressBar
	next time.Time
}

// plainEvery spaces the lines where there is no terminal, so that a log stays readable.
const plainEvery = 5 * time.Second

// importMeter is the meter of an import. device is where the model runs, "" when that is not known. With plain it draws no
// bar: who asked for JSON reads by program.
func importMeter(w io.Writer, what, device string, plain bool) *meter {
	if plain {
		w = struct{ io.Writer }{w} // no longer a terminal
	}
	if device != "" {
		what += " (" + device + ")"
	}
	return newMeter(w, what)
}

func newMeter(w io.Writer, what string) *meter {
	m := &meter{w: w, what: what, next: time.Now().Add(plainEvery)}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		m.bar = progressbar.NewOptions(-1,
			progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(what), progressbar.OptionShowCount(),
			progressbar.OptionShowIts(), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionFullWidth(),
			progressbar.OptionSetPredictTime(true), progressbar.OptionClearOnFinish())
	}
	return m
}

// show reports p. A Total of 0 is unknown.
func (m *meter) show(p robin.Progress) {
	if m.bar != nil {
		if p.Total > 0 && m.bar.GetMax() != p.Total {
			m.bar.ChangeMax(p.Total)
		}
		if p.Failed > 0 {
			m.bar.Describe(fmt.Sprintf("%s, %d failed", m.what, p.Failed))
		}
		_ = m.bar.Set(p.Done) // a bar that cannot be drawn is no reason to stop the work
		return
	}
	if time.Now().Before(m.next) {
		return
	}
	m.next = time.Now().Add(plainEvery)
	fmt.Fprintln(m.w, m.line(p))
}

// line is p in words.
func (m *meter) line(p robin.Progress) string {
	line := fmt.Sprintf("%s: %d", m.what, p.Done)
	if p.Total > 0 {
		line += fmt.Sprintf(" of %d", p.Total)
	}
	if p.PerS > 0 {
		line += fmt.Sprintf(", %.0f/s", p.PerS)
	}
	if p.EtaS > 0 {
		line += fmt.Sprintf(", %s left", (time.Duration(p.EtaS) * time.Second).Round(time.Second))
	}
	if p.Failed > 0 {
		line += fmt.Sprintf(", %d failed", p.Failed)
	}
	return line
}

// done takes the bar away.
func (m *meter) done() {
	if m.bar != nil {
		_ = m.bar.Finish()
	}
}
