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

// TestSettlingMovesNothingThatIsRead lets huge pages take the place of small ones, and looks at each row.
func TestSettlingMovesNothingThatIsRead(t *testing.T) {
	const width = 1024
	r := rows[uint32]{width: width, plain: true}
	slots := uint32(3*r.together()*chunkSize - 100) // two slabs, the last not full
	r.expect(int(slots))
	for slot := range slots {
		r.reach(slot)
		r.at(slot)[slot%width] = slot
	}
	slabs := r.slabs()
	if len(slabs) != 2 || len(slabs[0]) != r.together()*chunkSize*width || len(slabs[1]) != len(slabs[0]) {
		t.Fatalf("%d slabs", len(slabs))
	}
	if !settle(slabs, make(chan struct{})) {
		t.Error("it ended early")
	}
	for slot := range slots {
		if r.at(slot)[slot%width] != slot {
			t.Fatalf("slot %d holds %d", slot, r.at(slot)[slot%width])
		}
	}
	stop := make(chan struct{})
	close(stop)
	if settle(slabs, stop) {
		t.Error("it was not stopped")
	}
}
