package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"

	"robin"

	"github.com/labstack/echo/v4"
)

// statusClientGone is what the log and the metrics show when the client left before its answer (nginx's number).
const statusClientGone = 499

// outcome is how a code looks to a client: a status, a title, and the words of the two foreign shapes.
type outcome struct {
	status int
	title  string
	openAI string // error.type under /v1/
	tei    string // error_type of the routes of text-embeddings-inference
}

// outcomes is the one table from code to status.
var outcomes = map[robin.Code]outcome{
	robin.CodeInvalid:      {400, "The request is not valid", "invalid_request_error", "Validation"},
	robin.CodeInvalidName:  {400, "The name is not valid", "invalid_request_error", "Validation"},
	robin.CodeUnauthorized: {401, "No valid key", "authentication_error", "Validation"},
	robin.CodeForbidden:    {403, "Not allowed", "permission_error", "Validation"},
	robin.CodeNoRoute:      {404, "No such route", "invalid_request_error", "Validation"},
	robin.CodeNoCollection: {404, "No such collection", "invalid_request_error", "Validation"},
	robin.CodeNoDocument:   {404, "No such document", "invalid_request_error", "Validation"},
	robin.CodeNoTask:       {404, "No such task", "invalid_request_error", "Validation"},
	robin.CodeNoModel:      {404, "No such model", "invalid_request_error", "Validation"},
	robin.CodeNoMethod:     {405, "The route has no such method", "invalid_request_error", "Validation"},
	codeSlowBody:           {408, "The body came too slowly", "invalid_request_error", "Validation"},
	robin.CodeExists:       {409, "It exists already", "invalid_request_error", "Validation"},
	robin.CodeDuplicate:    {409, "It is a duplicate", "invalid_request_error", "Validation"},
	robin.CodeConflict:     {409, "It does not fit what is stored", "invalid_request_error", "Validation"},
	robin.CodeTooLarge:     {413, "Too large", "invalid_request_error", "Validation"},
	robin.CodeUnsupported:  {415, "Not a supported type", "invalid_request_error", "Validation"},
	robin.CodeNotFinite:    {422, "The vector is not finite", "invalid_request_error", "Backend"},
	robin.CodeOverloaded:   {429, "Overloaded", "rate_limit_error", "Overloaded"},
	robin.CodeCanceled:     {statusClientGone, "The client left", "server_error", "Backend"},
	robin.CodeInternal:     {500, "Internal error", "server_error", "Backend"},
	robin.CodeDamaged:      {500, "Stored data is damaged", "server_error", "Backend"},
	robin.CodeModelFailed:  {503, "The model failed", "server_error", "Backend"},
	robin.CodeNotReady:     {503, "Not ready", "server_error", "Unhealthy"},
	robin.CodeReadOnly:     {503, "Read-only", "server_error", "Unhealthy"},
	robin.CodeTimeout:      {504, "Out of time", "server_error", "Backend"},
	robin.CodeDiskFull:     {507, "The disk is full", "server_error", "Backend"},
}

// retryAfter is how long a client should wait where the error does not say. Every code of a 429 or a 503 is here.
var retryAfter = map[robin.Code]time.Duration{
	robin.CodeOverloaded:  time.Second,
	robin.CodeNotReady:    time.Second,
	robin.CodeModelFailed: 5 * time.Second,
	robin.CodeReadOnly:    time.Minute, // until somebody looks at the disk and restarts
}

// codeSlowBody is the API's own: the client, not the server, ran out of time.
const codeSlowBody robin.Code = "body_timeout"

// problem is an RFC 9457 problem document. Import is there when an import ended early: what it had done is durable.
type problem struct {
	Type      string              `json:"type"`
	Title     string              `json:"title"`
	Status    int                 `json:"status"`
	Detail    string              `json:"detail"`
	Code      robin.Code          `json:"code"`
	RequestID string              `json:"request_id"`
	Errors    []robin.FieldError  `json:"errors,omitempty"`
	Import    *robin.ImportReport `json:"import,omitempty"`
}

// openAIError is what clients of OpenAI's API read.
type openAIError struct {
	Error struct {
		Message string     `json:"message"`
		Type    string     `json:"type"`
		Param   *string    `json:"param"`
		Code    robin.Code `json:"code"`
	} `json:"error"`

	// At /v1/rerank the message stands where clients of Cohere's API and of Jina's look for it, too.
	Message string `json:"message,omitempty"`
	Detail  string `json:"detail,omitempty"`
}

// teiError is what clients of text-embeddings-inference read.
type teiError struct {
	Error     string `json:"error"`
	ErrorType string `json:"error_type"`
}

// rerankError is what clients of Cohere's API (message) and of Jina's (detail) read.
type rerankError struct {
	ID      string     `json:"id"`
	Message string     `json:"message"`
	Detail  string     `json:"detail"`
	Code    robin.Code `json:"code"`
}

// importError is an import that ended early, with the report of what it had done.
type importError struct {
	err    error
	report robin.ImportReport
}

func (e *importError) Error() string { return e.err.Error() }
func (e *importError) Unwrap() error { return e.err }

// classify gives err a code. What has none is internal.
func classify(err error) *robin.Error {
	var e *robin.Error
	var he *echo.HTTPError
	var tooLarge *http.MaxBytesError
	var netErr net.Error
	switch {
	case errors.As(err, &tooLarge):
		return robin.Errorf(robin.CodeTooLarge, "the body is over the limit of %d bytes", tooLarge.Limit)
	case errors.As(err, &netErr) && netErr.Timeout() && !errors.Is(err, context.DeadlineExceeded):
		return robin.Errorf(codeSlowBody, "the body came too slowly")
	case errors.As(err, &e):
		return e
	case errors.Is(err, context.Canceled), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return robin.Errorf(robin.CodeCanceled, "the client left: %w", err)
	case errors.Is(err, context.DeadlineExceeded):
		return robin.Errorf(robin.CodeTimeout, "the request took too long: %w", err)
	case errors.As(err, &he) && he.Code == http.StatusNotFound:
		return robin.Errorf(robin.CodeNoRoute, "there is no such route; /openapi.json lists them")
	case errors.As(err, &he) && he.Code == http.StatusMethodNotAllowed:
		return robin.Errorf(robin.CodeNoMethod, "the route has no such method; see the Allow header")
	}
	return &robin.Error{Code: robin.CodeInternal, Message: "internal error", Err: err}
}

// answerError turns the error of a handler into its answer. It is the only place that does.
func (s *Server) answerError(err error, c echo.Context) {
	e := classify(err)
	out, known := outcomes[e.Code]
	if !known {
		out = outcomes[robin.CodeInternal]
	}
	if c.Request().Context().Err() != nil && !s.stopped.Load() && e.Code != codeSlowBody {
		out = outcomes[robin.CodeCanceled]
	}
	if out.tei == "Backend" && (out.status == 422 || out.status == 503) && teiPaths[c.Request().URL.Path] {
		out.status = http.StatusFailedDependency // what text-embeddings-inference says when its model fails
	}
	c.Set(keyStatus, out.status)
	if out.status >= 500 {
		s.log.Error("request failed", "request_id", requestID(c), "route", routeOf(c), "code", e.Code, "error", err)
	}
	if c.Response().Committed || out.status == statusClientGone {
		return
	}
	if wait := cmp.Or(e.RetryAfter, retryAfter[e.Code]); wait > 0 {
		c.Response().Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	}
	message := e.Message
	if e.Code == robin.CodeInternal {
		message = "an internal error; the server's log says more under this request_id"
	}
	if err := s.writeError(c, e, err, out, message); err != nil {
		s.log.Debug("write error answer", "request_id", requestID(c), "error", err)
	}
}

func (s *Server) writeError(c echo.Context, e *robin.Error, err error, out outcome, message string) error {
	path := c.Request().URL.Path
	switch {
	case c.Request().Method == http.MethodHead:
		return c.NoContent(out.status)
	case strings.HasPrefix(path, "/v1/"):
		var body openAIError
		body.Error.Message, body.Error.Type, body.Error.Code = withFields(message, e.Fields), out.openAI, e.Code
		if len(e.Fields) > 0 && e.Fields[0].Pointer != "" {
			param := strings.ReplaceAll(strings.TrimPrefix(e.Fields[0].Pointer, "/"), "/", ".")
			body.Error.Param = &param
		}
		if path == "/v1/rerank" {
			body.Message, body.Detail = body.Error.Message, body.Error.Message
		}
		return c.JSON(out.status, body)
	case strings.HasPrefix(path, "/v2/"):
		text := withFields(message, e.Fields)
		return c.JSON(out.status, rerankError{ID: requestID(c), Message: text, Detail: text, Code: e.Code})
	case teiPaths[path]:
		return c.JSON(out.status, teiError{Error: withFields(message, e.Fields), ErrorType: out.tei})
	}
	p := problem{Type: "about:blank", Title: out.title, Status: out.status, Detail: message, Code: e.Code,
		RequestID: requestID(c), Errors: e.Fields}
	var imp *importError
	if errors.As(err, &imp) {
		p.Import = &imp.report
	}
	b, jsonErr := json.Marshal(p)
	if jsonErr != nil {
		return jsonErr
	}
	return c.Blob(out.status, "application/problem+json", append(b, '\n'))
}

func withFields(message string, fields []robin.FieldError) string {
	for i, f := range fields {
		sep := "; "
		if i == 0 {
			sep = ": "
		}
		message += sep + strings.TrimSpace(f.Pointer+" "+f.Detail)
	}
	return message
}
