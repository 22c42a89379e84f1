package robin

import (
	"errors"
	"fmt"
	"time"
)

// Code is the stable, machine-readable kind of an error. Clients act on it; messages may change.
type Code string

// The error codes, grouped by when they can happen.
const (
	// The request itself.
	CodeInvalid      Code = "invalid"         // a field is missing, of the wrong type or out of range
	CodeInvalidName  Code = "invalid_name"    // a collection, model or version name breaks the naming rule
	CodeUnsupported  Code = "unsupported"     // a media type, encoding or format that Robin does not read
	CodeTooLarge     Code = "too_large"       // the body, a document, a list or a nesting is over its limit
	CodeUnauthorized Code = "unauthorized"    // no key or a wrong key
	CodeForbidden    Code = "forbidden"       // the origin, host or key does not allow it
	CodeNoRoute      Code = "route_not_found" // no such path
	CodeNoMethod     Code = "method_not_allowed"

	// What the request names.
	CodeNoCollection Code = "collection_not_found"
	CodeNoDocument   Code = "document_not_found"
	CodeNoTask       Code = "task_not_found"
	CodeNoModel      Code = "model_not_found"
	CodeExists       Code = "already_exists"
	CodeDuplicate    Code = "duplicate" // it says what a stored document says, and the collection rejects that
	CodeConflict     Code = "conflict"  // the settings or the model's fingerprint do not fit what is stored

	// The model.
	CodeNotFinite   Code = "vector_not_finite" // NaN, infinity or a zero vector; never stored
	CodeModelFailed Code = "model_failed"

	// The server's state.
	CodeOverloaded Code = "overloaded" // a queue is full: try again after RetryAfter
	CodeNotReady   Code = "not_ready"  // recovering
	CodeReadOnly   Code = "read_only"  // after a storage error
	CodeDiskFull   Code = "disk_full"
	CodeDamaged    Code = "damaged" // a checksum does not hold
	CodeCanceled   Code = "canceled"
	CodeTimeout    Code = "timeout"
	CodeInternal   Code = "internal"
)

// FieldError names one bad field by its JSON pointer (RFC 6901).
type FieldError struct {
	Pointer string `json:"pointer"`
	Detail  string `json:"detail"`
}

// Error is an error that a caller may act on.
type Error struct {
	Code       Code
	Message    string // a sentence for a person; says the next step where there is one
	Fields     []FieldError
	RetryAfter time.Duration // with CodeOverloaded and CodeNotReady
	Err        error         // the cause, for logs
}

// Error gives the message, the fields and the cause.
func (e *Error) Error() string {
	s := e.Message
	for i, f := range e.Fields {
		sep := "; "
		if i == 0 {
			sep = ": "
		}
		s += sep + f.Pointer + " " + f.Detail
	}
	if e.Err != nil {
		if cause := e.Err.Error(); cause != "" {
			s += ": " + cause
		}
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

func (e *Error) add(pointer, detail string) {
	e.Fields = append(e.Fields, FieldError{Pointer: pointer, Detail: detail})
}

func (e *Error) orNil() error {
	if len(e.Fields) == 0 {
		return nil
	}
	return e
}

// Errorf makes an Error. A %w verb in format sets its cause for errors.Is and errors.As.
func Errorf(code Code, format string, args ...any) *Error {
	wrapped := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: wrapped.Error(), Err: silent(errors.Unwrap(wrapped))}
}

// Invalid makes a CodeInvalid error about one field.
func Invalid(pointer, format string, args ...any) *Error {
	return &Error{
		Code:    CodeInvalid,
		Message: "the request is not valid",
		Fields:  []FieldError{{Pointer: pointer, Detail: fmt.Sprintf(format, args...)}},
	}
}

// CodeOf gives the code of err, or CodeInternal when it has none.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return CodeInternal
}

// silentCause keeps a cause reachable for errors.Is while the message already holds its text.
type silentCause struct{ error }

func (silentCause) Error() string   { return "" }
func (s silentCause) Unwrap() error { return s.error }

func silent(err error) error {
	if err == nil {
		return nil
	}
	return silentCause{err}
}
