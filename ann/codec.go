package ann

// A stored graph is a base and the changes since, each a list of blocks. Whoever keeps the blocks keeps them in their
// order and proves that they are as they were written; what they say is checked as far as a wrong number could make a
// search or a change read beyond an array, or walk without end. Numbers are little-endian.
//
// # Base
//
// Blocks of rows, in which each slot comes once. It is written while changes go on, so it is not the graph of any one
// moment, and counts only together with the changes that follow it.
//
// # Changes
//
// A head, then blocks of rows: those of the slots that have changed since they were written before, each once. With all
// changes up to here, the newest row of each slot is the graph of one moment.
//
// # Head
//
//	magic           8 bytes "RobinANN"
//	version         uint32  2
//	dim             uint32
//	metric          uint8   0 cosine, 1 dot, 2 squared L2
//	precision       uint8   0 float32, 1 int8
//	m               uint32
//	efConstruction  uint32
//	efSearch        uint32
//	seed            uint64
//	slots           uint32  slots, free ones among them
//	free            uint32  how many of them are free
//	next free       uint32  the slot that is used next; 0x7fffffff for none
//	entry           uint32  slot of the entry point; 0x7fffffff in a graph without nodes
//
// # Row
//
//	slot  uint32
//	kind  uint8   0 to 16 a node of this level, 30 a twin, 31 free; and 32 when the row tells of its vector
//
// and then, when the slot is free,
//
//	next  uint32  the free slot that is used after it; 0x7fffffff for none
//
// else
//
//	id    uint64
//	next  uint32  a node's first twin, a twin's next one; 0x7fffffff for none
//
// and a twin's node:
//
//	node  uint32  slot of the node with the same vector
//
// or a node's links, for each layer from 0 to its level:
//
//	count uint16  at most 2*m on layer 0, m above
//	link  uint32  repeated: the slot linked to, with bit 31 set when the link belongs to the layer's spanning tree
//
// and at last, when the kind says so:
//
//	with float32   sum   uint32  CRC-32C of the vector as it is compared (normalised, with cosine), as float32s
//	with int8      code  bytes   the row of its code (codes.go)
//
// A row lies within one block. Where the newest row of a slot does not tell of its vector, the newest one that does holds.
// Float32s are not stored: who keeps the vectors has them.
//
// # Version 2
//
// Rows of single slots, so that what has changed can be stored alone. Version 1 was one stream of the whole graph; it is
// not read.

import "hash/crc32"

const (
	codecMagic   = "RobinANN"
	codecVersion = 2
	headSize     = len(codecMagic) + 4 + 4 + 1 + 1 + 4 + 4 + 4 + 8 + 4 + 4 + 4 + 4

	kindTwin = 30
	kindFree = 31
	kindMask = 31
	kindVec  = 32

	// minRow is the length of the shortest row, a free slot's.
	minRow = 4 + 1 + 4

	// BlockSize is what a block of rows holds at most, unless one row alone is longer. With what a keeper adds to it, it
	// should fill pages.
	BlockSize = 64<<10 - 64
)

// blocksTogether is how many blocks of a base are made at a time, while changes wait. Tests take fewer.
var blocksTogether = 128

var castagnoli = crc32.MakeTable(crc32.Castagnoli)
