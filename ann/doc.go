// Package ann finds the vectors nearest to a query vector.
//
// Flat compares the query with every vector and is exact. Graph is HNSW (Malkov and Yashunin, "Efficient and
// robust approximate nearest neighbor search using Hierarchical Navigable Small World graphs", 2016): approximate,
// and faster on large sets. Both have the same methods, so either can stand in for the other, and Flat is the
// oracle that Graph is tested against.
//
// Vectors are copied in and ids are the caller's. The package knows nothing of documents or files: a Graph gives out its
// rows in blocks, all or those that have changed, without its vectors (codec.go has the byte layout), and asks its caller
// for the vectors when it is read.
//
// # Where a reader finds what
//
//	graph.go      the arrays, and the invariants that Check proves
//	search.go     Algorithms 2 and 5: layer search, descent
//	rescore.go    the best candidates of a graph of codes, compared by float32s
//	filter.go     searches under a filter: three plans and the choice among them
//	allowed.go    the walk through allowed nodes only
//	insert.go     Algorithm 1: plan by searching, then link
//	neighbors.go  Algorithm 4: neighbour selection; links, shrinking
//	tree.go       the spanning tree in each layer, by which every node stays reachable
//	delete.go     removal with repair
//	entry.go      levels and the entry point
//	twins.go      exact duplicates
//	visited.go    visited marks and other memory that searches reuse
//	slots.go      which slot an id is in
//	settle.go     huge pages for a graph that was read
//	codec.go      the bytes of a stored graph (encode.go, decode.go; stored.go proves what was read)
//	dirty.go      which rows have changed since they were stored
//	flat.go       exact search
//	distance.go   metrics, and kernels for pairs
//	dots.go       kernels for a query and many rows: AVX2, AVX-512 and VNNI on amd64, NEON on arm64
//	vectors.go    where vectors lie in memory
//	codes.go      vectors of one byte a number, for Options.Precision
//
// # How this graph differs from the paper
//
// Links are symmetric: when a full list drops a link, both ends drop it. The selection rule of Algorithm 4 is
// symmetric in itself (a link is dropped when a third node is nearer to both ends), and it means that a node knows
// all who link to it, so a delete is local and leaves nothing behind. In each layer the links that joined the nodes
// in the first place form a spanning tree and are never dropped, so every node can be reached by construction, after
// any history. Vectors that are bit for bit equal, or have equal codes, share one node. A search goes on from a few
// nodes at a time, so that their neighbours are fetched together.
package ann
