package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"robin"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/labstack/echo/v4"
)

// Limits of bodies that are read whole.
const (
	maxJSONBody  = 1 << 20 // settings, searches, deletes
	maxModelBody = 2 << 20 // texts for the models
	maxBodyDepth = 20
	zstdWindow   = 4 << 20 // what zstd uses up to level 12; the decoder allocates it
	leftoverWait = time.Second
	slowestBytes = 1 << 10 // per second: a body that comes more slowly than this for BodyTimeout is cut off
)

// plainJSON writes answers without HTML escapes and reads nothing: bodies are read by decode.
type plainJSON struct{}

func (plainJSON) Serialize(c echo.Context, v any, indent string) error {
	enc := json.NewEncoder(c.Response())
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	return enc.Encode(v)
}

func (plainJSON) Deserialize(echo.Context, any) error {
	return errors.New("bodies are read by decode")
}

// slowBody reads a request's body and bounds how long the client may keep the server waiting for it: BodyTimeout in
// all, and a second more for each KiB. The time in which the server does not read does not count.
type slowBody struct {
	r      io.Reader
	rc     *http.ResponseController
	budget time.Duration
	ended  bool // read to its end, or to an error
}

func (b *slowBody) Read(p []byte) (int, error) {
	start := time.Now()
	_ = b.rc.SetReadDeadline(start.Add(max(b.budget, 0)))
	n, err := b.r.Read(p)
	b.budget += time.Duration(n)*time.Second/slowestBytes - time.Since(start)
	if err == nil || errors.Is(err, io.EOF) {
		_ = b.rc.SetReadDeadline(time.Time{}) // from here on a deadline would look like a client that left
	}
	if err != nil {
		b.ended = true // after an error the deadline stays, so that nobody waits for the rest
	}
	return n, err
}

// boundLeftover gives a body that the handler did not read a moment to come. net/http reads the rest before it answers,
// and would wait for it as long as the client likes.
func boundLeftover(c echo.Context) {
	if b, ok := c.Get(keyBody).(*slowBody); c.Request().ContentLength == 0 || ok && b.ended {
		return
	}
	_ = http.NewResponseController(c.Response().Writer).SetReadDeadline(time.Now().Add(leftoverWait))
}

// rawBody is the body as it was sent, at most limit bytes.
func (s *Server) rawBody(c echo.Context, limit int64) (io.Reader, error) {
	r := c.Request()
	if r.ContentLength > limit {
		return nil, robin.Errorf(robin.CodeTooLarge, "the body has %d bytes, the limit is %d", r.ContentLength, limit)
	}
	body := http.MaxBytesReader(c.Response().Writer, r.Body, limit)
	b := &slowBody{r: body, rc: http.NewResponseController(c.Response().Writer), budget: s.opts.BodyTimeout}
	c.Set(keyBody, b)
	return b, nil
}

// readBody reads a whole body. The limit holds for the bytes that come and for the bytes that they decompress to; the
// decompressor stops at the limit.
func (s *Server) readBody(c echo.Context, limit int64) ([]byte, error) {
	raw, err := s.rawBody(c, limit)
	if err != nil {
		return nil, err
	}
	plain := raw
	switch enc := strings.ToLower(strings.TrimSpace(c.Request().Header.Get("Content-Encoding"))); enc {
	case "", "identity":
	case "gzip", "x-gzip":
		zr, err := gzip.NewReader(raw)
		if err != nil {
			return nil, notDecoded("gzip", err)
		}
		defer zr.Close()
		plain = zr
	case "zstd":
		zr, err := zstd.NewReader(raw, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(zstdWindow))
		if err != nil {
			return nil, notDecoded("zstd", err)
		}
		defer zr.Close()
		plain = zr
	default:
		return nil, robin.Errorf(robin.CodeUnsupported, "the content encoding %q is not read here; use gzip, zstd or none", clip(enc))
	}
	var buf bytes.Buffer
	if n := c.Request().ContentLength; n > 0 {
		buf.Grow(int(n) + bytes.MinRead)
	}
	n, err := buf.ReadFrom(io.LimitReader(plain, limit+1))
	if plain != raw && err != nil {
		err = notDecoded(c.Request().Header.Get("Content-Encoding"), err)
	}
	if err != nil {
		return nil, err
	}
	if n > limit {
		return nil, robin.Errorf(robin.CodeTooLarge, "the body is over the limit of %d bytes", limit)
	}
	return buf.Bytes(), nil
}

// notDecoded tells a damaged stream from a limit, a slow client or a lost one.
func notDecoded(enc string, err error) error {
	if e := classify(err); e.Code == robin.CodeTooLarge || e.Code == codeSlowBody {
		return err
	}
	if errors.Is(err, zstd.ErrWindowSizeExceeded) {
		return robin.Errorf(robin.CodeTooLarge, "the body's zstd window is larger than %d MiB; compress with a lower level", zstdWindow>>20)
	}
	return robin.Errorf(robin.CodeInvalid, "the body is not sound %s: %s", enc, err)
}

// decode reads a JSON body into v: every field known, named once, and of its type; nothing after it.
func (s *Server) decode(c echo.Context, v any, limit int64) error {
	if err := wantsJSON(c.Request()); err != nil {
		return err
	}
	body, err := s.readBody(c, limit)
	if err != nil {
		return err
	}
	return decodeJSON(body, v)
}

// wantsJSON checks the content type. A browser must say JSON, which a foreign page cannot without asking first; other
// clients may leave it out or, as curl -d does, send the type of a form.
func wantsJSON(r *http.Request) error {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if r.Header.Get("Content-Type") == "" {
		kind, err = "", nil
	}
	browser := r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != ""
	switch {
	case err != nil:
	case kind == "application/json", strings.HasSuffix(kind, "+json"):
		return nil
	case (kind == "" || kind == "application/x-www-form-urlencoded") && !browser:
		return nil
	}
	return robin.Errorf(robin.CodeUnsupported, "the content type %q is not read here; send application/json", clip(r.Header.Get("Content-Type")))
}

// param gives a path parameter, decoded once. See Server.ServeHTTP.
func param(c echo.Context, name string) (string, error) {
	v, err := url.PathUnescape(c.Param(name))
	if err != nil || !utf8.ValidString(v) {
		return "", robin.Errorf(robin.CodeInvalid, "the path is not valid: %q", clip(c.Param(name)))
	}
	return v, nil
}

// collectionName gives the collection that the path names.
func collectionName(c echo.Context) (string, error) {
	name, err := param(c, "c")
	if err != nil {
		return "", err
	}
	if !robin.ValidName(name) {
		return "", robin.Errorf(robin.CodeInvalidName, "%q is not a collection name: use 1 to 64 of a-z, 0-9, _ and -, beginning with a letter or a digit", clip(name))
	}
	return name, nil
}
