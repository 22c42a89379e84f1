//go:build !race

package dedup_test

// manyCopies is how many documents say the same thing.
const manyCopies = 10_000
