package ann

// A stored graph is its structure without the vectors, which their owner keeps. Numbers are little-endian.
//
// # Stream
//
//	magic     8 bytes  "RobinANN"
//	version   uint32   1
//	block     repeated
//	end       a block of length 0
//
// # Block
//
//	length    uint32   bytes of payload, at most 65,528; a block that is not the last is never empty
//	checksum  uint32   CRC-32C over: bytes of payload in all earlier blocks (uint64), length (uint32), payload
//	payload
//
// The first number under the checksum holds a block in its place, and in the end block the whole length. The payloads
// joined are one body; a field may lie across two blocks.
//
// # Body
//
//	dim             uint32
//	metric          uint8   0 cosine, 1 dot, 2 squared L2
//	m               uint32
//	efConstruction  uint32
//	efSearch        uint32
//	seed            uint64
//	slots           uint32  slots that follow
//	free            uint32  how many of them are free
//	entry           uint32  slot of the entry point; 0x7fffffff in a graph without nodes
//	slot            repeated, slots times
//	free slot       uint32, repeated, free times: the next slot to be used last
//
// # Slot
//
//	kind  uint8   0 to 16 a node of this level, 254 a twin, 255 free (nothing follows)
//	id    uint64
//	sum   uint32  CRC-32C of the vector as it is compared (normalised, with cosine), as float32s
//	next  uint32  a node's first twin, a twin's next one; 0x7fffffff for none
//
// and then a twin's node:
//
//	node  uint32  slot of the node with the same vector
//
// or a node's links, for each layer from 0 to its level:
//
//	count uint16  at most 2*m on layer 0, m above
//	link  uint32  repeated: the slot linked to, with bit 31 set when the link belongs to the layer's spanning tree
//
// # Version 1
//
// The first.

import "hash/crc32"

const (
	codecMagic   = "RobinANN"
	codecVersion = 1

	codecFree = 255
	codecTwin = 254

	// maxPayload makes a block with its head 64 KiB.
	maxPayload = 1<<16 - 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)
