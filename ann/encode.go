package ann

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"
)

// Encode writes the graph's structure; Decode makes the same graph of it. Searches go on meanwhile, changes wait, so
// a slow w is better given a buffer.
func (g *Graph) Encode(w io.Writer) error {
	g.writer.Lock()
	defer g.writer.Unlock()
	e := &blockWriter{w: w, buf: make([]byte, 8, 8+maxPayload)}
	e.raw(binary.LittleEndian.AppendUint32([]byte(codecMagic), codecVersion))

	e.u32(uint32(g.opt.Dim))
	e.u8(uint8(g.opt.Metric))
	e.u32(uint32(g.opt.M))
	e.u32(uint32(g.opt.EfConstruction))
	e.u32(uint32(g.opt.EfSearch))
	e.u64(g.opt.Seed)
	e.u32(uint32(len(g.ids)))
	e.u32(uint32(len(g.free)))
	e.u32(g.entry)
	var bytes []byte
	for slot, level := range g.levels {
		s := uint32(slot)
		switch level {
		case freeSlot:
			e.u8(codecFree)
			continue
		case twinSlot:
			e.u8(codecTwin)
		default:
			e.u8(uint8(level))
		}
		e.u64(g.ids[s])
		bytes = appendVector(bytes[:0], g.vecs.at(s))
		e.u32(crc32.Checksum(bytes, castagnoli))
		e.u32(g.next[s])
		if level == twinSlot {
			e.u32(g.aux[s])
			continue
		}
		for layer := range int(level) + 1 {
			ls := g.links(s, layer)
			e.u16(uint16(len(ls)))
			for _, l := range ls {
				e.u32(l)
			}
		}
		if e.err != nil {
			break
		}
	}
	for _, slot := range g.free {
		e.u32(slot)
	}
	if err := e.close(); err != nil {
		return fmt.Errorf("write graph of %d vectors: %w", len(g.slotOf), err)
	}
	return nil
}

func appendVector(dst []byte, v []float32) []byte {
	for _, x := range v {
		dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(x))
	}
	return dst
}

// blockWriter cuts what it is given into blocks, and remembers the first error.
type blockWriter struct {
	w    io.Writer
	buf  []byte // the block's head, then its payload so far
	done uint64 // bytes of payload written
	err  error
}

func (e *blockWriter) u8(x uint8)   { e.buf = append(e.room(1), x) }
func (e *blockWriter) u16(x uint16) { e.buf = binary.LittleEndian.AppendUint16(e.room(2), x) }
func (e *blockWriter) u32(x uint32) { e.buf = binary.LittleEndian.AppendUint32(e.room(4), x) }
func (e *blockWriter) u64(x uint64) { e.buf = binary.LittleEndian.AppendUint64(e.room(8), x) }

// room returns the block to append n bytes to.
func (e *blockWriter) room(n int) []byte {
	if len(e.buf)+n > 8+maxPayload {
		e.flush()
	}
	return e.buf
}

func (e *blockWriter) flush() {
	length := len(e.buf) - 8
	binary.LittleEndian.PutUint32(e.buf, uint32(length))
	binary.LittleEndian.PutUint32(e.buf[4:], blockSum(e.done, e.buf[8:]))
	e.raw(e.buf)
	e.done += uint64(length)
	e.buf = e.buf[:8]
}

func (e *blockWriter) raw(b []byte) {
	if e.err == nil {
		_, e.err = e.w.Write(b)
	}
}

func (e *blockWriter) close() error {
	if len(e.buf) > 8 {
		e.flush()
	}
	e.flush() // the end
	return e.err
}

// blockSum is the checksum of a block that follows so many bytes of payload.
func blockSum(before uint64, payload []byte) uint32 {
	var head [12]byte
	binary.LittleEndian.PutUint64(head[:], before)
	binary.LittleEndian.PutUint32(head[8:], uint32(len(payload)))
	return crc32.Update(crc32.Checksum(head[:], castagnoli), castagnoli, payload)
}
