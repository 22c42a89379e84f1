// Package robin is the vocabulary that Robin's packages share.
package robin
