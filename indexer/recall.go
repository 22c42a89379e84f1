package indexer

import (
	"math"
	"sync/atomic"
	"time"

	"robin/ann"
)

// recallMonitor compares some searches of a graph with exact ones, and has ef chosen by what they show.
type recallMonitor struct {
	tuner *ann.Tuner
	last  atomic.Int64 // when a search was last compared, in Unix nanoseconds
}

const (
	// recallAt is how many neighbours are compared: those that people see.
	recallAt = 10
	// recallEvery is the least time between two comparisons, each of which reads all vectors of the graph: a tenth of a second
	// on one processor for a million.
	recallEvery = 10 * time.Second
)

func newRecallMonitor(target float64) *recallMonitor {
	m := &recallMonitor{tuner: ann.NewTuner(target, maxNeighbours)}
	m.last.Store(time.Now().UnixNano()) // not the first search: its time is short
	return m
}

// sampleRecall compares a search with an exact one in the background, if none was of late. The view stays as long as that
// takes.
func (c *collection) sampleRecall(v *view, vec []float32, opt ann.SearchOptions) {
	now := time.Now().UnixNano()
	last := v.recall.last.Load()
	if every := c.eng.opt.RecallEvery; every < 0 || now-last < int64(every) || !v.recall.last.CompareAndSwap(last, now) {
		return
	}
	v.hold()
	go func() {
		defer v.release()
		band := v.band(opt.Allow)
		recall, err := v.graphRecall(vec, recallAt, opt)
		if err != nil {
			c.log.Warn("the recall of a search could not be measured", "err", err)
			return
		}
		if math.IsNaN(recall) {
			return
		}
		v.recall.tuner.Observe(band, recall)
		for _, b := range v.recall.tuner.Bands() {
			if b.Name == ann.Bands[band] {
				c.eng.opt.Metrics.Recall(c.name, b.Name, b.Recall, b.Ef)
			}
		}
	}()
}

// band is that of a filter.
func (v *view) band(allow ann.Set) int {
	n := v.graph.Len()
	if allow == nil {
		return ann.BandOf(n, n)
	}
	return ann.BandOf(allow.Len(), n)
}
