package indexer

import (
	"context"
	"errors"
	"fmt"

	"robin"
	"robin/store"
)

// storeError turns an error of the store, or of a context, into one with a code. what says what was tried.
func (c *collection) storeError(err error, what string, args ...any) error {
	var re *robin.Error
	if errors.As(err, &re) {
		return err
	}
	what = fmt.Sprintf(what, args...)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return robin.Errorf(robin.CodeNoDocument, "%s is not in collection %q", what, c.name)
	case errors.Is(err, store.ErrClosed):
		return c.unready()
	case errors.Is(err, store.ErrDamaged):
		return robin.Errorf(robin.CodeDamaged, "%s in collection %q is damaged; run robin verify: %w", what, c.name, err)
	case errors.Is(err, store.ErrDiskFull):
		return robin.Errorf(robin.CodeDiskFull, "%s: the disk is full, nothing was written: %w", what, err)
	case errors.Is(err, store.ErrReadOnly):
		return robin.Errorf(robin.CodeReadOnly, "%s: collection %q refuses writes after a storage error; restart Robin: %w", what, c.name, err)
	}
	return contextError(err, what)
}

// contextError gives a code to an ended context, and to what has none.
func contextError(err error, what string) error {
	var re *robin.Error
	switch {
	case errors.As(err, &re):
		return err
	case errors.Is(err, context.Canceled):
		return robin.Errorf(robin.CodeCanceled, "%s: canceled: %w", what, err)
	case errors.Is(err, context.DeadlineExceeded):
		return robin.Errorf(robin.CodeTimeout, "%s: out of time: %w", what, err)
	}
	return robin.Errorf(robin.CodeInternal, "%s: %w", what, err)
}
