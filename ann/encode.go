package ann

import (
	"encoding/binary"
)

// EncodeAll gives put the blocks of a base, some at a time. Searches go on meanwhile, and changes too while put has its
// turn, so a base counts only together with what EncodeChanges gives after it.
func (g *Graph) EncodeAll(put func(blocks [][]byte) error) error {
	g.writer.Lock()
	slots := uint32(len(g.ids)) // those that come later are changes
	g.writer.Unlock()
	for from := uint32(0); from < slots; {
		var w blockWriter
		g.writer.Lock()
		for ; from < slots && len(w.blocks) < blocksTogether; from++ {
			w.row(g, from, true)
			g.dirty.rows.clear(from)
			g.dirty.vecs.clear(from)
		}
		g.writer.Unlock()
		if err := put(w.end()); err != nil {
			return err
		}
	}
	return nil
}

// EncodeChanges returns the head and the rows that have changed since they were last encoded. They count as encoded from
// here on: when they cannot be stored, all is to be encoded again.
func (g *Graph) EncodeChanges() [][]byte {
	g.writer.Lock()
	defer g.writer.Unlock()
	var w blockWriter
	w.blocks = append(w.blocks, g.appendHead(nil))
	for slot := range g.dirty.rows.all() {
		w.row(g, slot, g.dirty.vecs.has(slot))
	}
	clear(g.dirty.rows)
	clear(g.dirty.vecs)
	return w.end()
}

func (g *Graph) appendHead(b []byte) []byte {
	b = append(b, codecMagic...)
	b = binary.LittleEndian.AppendUint32(b, codecVersion)
	b = binary.LittleEndian.AppendUint32(b, uint32(g.opt.Dim))
	b = append(b, uint8(g.opt.Metric), uint8(g.opt.Precision))
	b = binary.LittleEndian.AppendUint32(b, uint32(g.opt.M))
	b = binary.LittleEndian.AppendUint32(b, uint32(g.opt.EfConstruction))
	b = binary.LittleEndian.AppendUint32(b, uint32(g.opt.EfSearch))
	b = binary.LittleEndian.AppendUint64(b, g.opt.Seed)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(g.ids)))
	b = binary.LittleEndian.AppendUint32(b, uint32(g.free))
	b = binary.LittleEndian.AppendUint32(b, g.firstFree)
	return binary.LittleEndian.AppendUint32(b, g.entry)
}

// blockWriter puts rows into blocks.
type blockWriter struct {
	blocks [][]byte
	buf    []byte // the block that is not full
	one    []byte // a row
}

func (w *blockWriter) row(g *Graph, slot uint32, vec bool) {
	w.one = g.appendRow(w.one[:0], slot, vec)
	if len(w.buf)+len(w.one) > BlockSize && len(w.buf) > 0 {
		w.blocks = append(w.blocks, w.buf)
		w.buf = nil
	}
	if w.buf == nil {
		w.buf = make([]byte, 0, BlockSize)
	}
	w.buf = append(w.buf, w.one...)
}

func (w *blockWriter) end() [][]byte {
	if len(w.buf) > 0 {
		w.blocks = append(w.blocks, w.buf)
	}
	return w.blocks
}

func (g *Graph) appendRow(b []byte, slot uint32, vec bool) []byte {
	b = binary.LittleEndian.AppendUint32(b, slot)
	level := g.levels[slot]
	kind := uint8(level)
	switch level {
	case freeSlot:
		return binary.LittleEndian.AppendUint32(append(b, kindFree), g.aux[slot])
	case twinSlot:
		kind = kindTwin
	}
	if vec {
		kind |= kindVec
	}
	b = append(b, kind)
	b = binary.LittleEndian.AppendUint64(b, g.ids[slot])
	b = binary.LittleEndian.AppendUint32(b, g.next[slot])
	if level == twinSlot {
		b = binary.LittleEndian.AppendUint32(b, g.aux[slot])
	}
	for layer := range int(level) + 1 {
		ls := g.links(slot, layer)
		b = binary.LittleEndian.AppendUint16(b, uint16(len(ls)))
		for _, l := range ls {
			b = binary.LittleEndian.AppendUint32(b, l)
		}
	}
	if vec {
		b = g.vecs.appendStored(b, slot)
	}
	return b
}
