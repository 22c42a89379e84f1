//go:build race

package dedup_test

// manyCopies are fewer under the race detector, which makes them ten times slower.
const manyCopies = 2000
