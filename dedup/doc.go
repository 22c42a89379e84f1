// Package dedup finds documents that say the same thing in other words.
//
// One half judges a pair. Prepare reads a text once: its words, its character n-grams and its product facts (model codes,
// sizes with units, quantities, colours, years, editions). A Corpus knows how rare each word is. Compare puts two texts
// and their cosine into numbers, and says in words which facts differ. A Judge decides by a rule: by default a high cosine
// and no fact against it, or a logistic regression that Learn made from as few as 50 labelled pairs.
//
// The other half finds the pairs and cuts clusters from them: exact copies first, then a self-join over the nearest
// neighbours, then the cross-encoder where the rule is unsure. What Find found can be cut at another threshold without
// computing anything again.
//
// Similarities are cosines of unit vectors: larger is nearer. The package knows nothing of collections, files on disk
// or HTTP.
package dedup
