package ann

import "testing"

// TestRowsKeepWhatTheyHoldWhereItIs grows past the first slabs, with a gap, and looks at each row again.
func TestRowsKeepWhatTheyHoldWhereItIs(t *testing.T) {
	const width = 1024
	const chunks = slabBytes / (4 * chunkSize * width) // of a slab
	r := rows[uint32]{width: width}
	first := map[uint32]*uint32{}
	for slot := uint32(0); slot < 3*chunks*chunkSize; slot += 37 {
		if slot/chunkSize == 2 { // a chunk whose slots are all free
			continue
		}
		r.reach(slot)
		row := r.at(slot)
		if len(row) != width || cap(row) != width {
			t.Fatalf("slot %d: a row of %d numbers with room for %d", slot, len(row), cap(row))
		}
		row[0], row[width-1] = slot, slot
		first[slot] = &row[0]
	}
	if r.chunks[2] != nil {
		t.Error("memory was taken for a chunk that nothing is in")
	}
	for slot, at := range first {
		if row := r.at(slot); row[0] != slot || row[width-1] != slot || &row[0] != at {
			t.Fatalf("slot %d holds %d and %d, moved %t", slot, row[0], row[width-1], &row[0] != at)
		}
	}
}
