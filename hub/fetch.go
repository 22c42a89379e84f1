package hub

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Fetch brings one file to the path dst, whose folder it makes. Until it is whole and its hash is right it is called
// dst.part; a later call goes on where an earlier one ended. A file that is there and right is not fetched again. tell, if
// there is one, is called with the bytes that are there as they come in.
func (c *Client) Fetch(ctx context.Context, m *Model, f File, dst string, limit int64, tell func(have, size int64)) error {
	if tell == nil {
		tell = func(int64, int64) {}
	}
	if f.Size > limit {
		return fmt.Errorf("%s has %d bytes, at most %d are read", f.Path, f.Size, limit)
	}
	if f.known() && f.check(dst) == nil {
		tell(f.Size, f.Size)
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(dst), 0o755); err != nil {
		return err
	}
	d := &download{c: c, m: m, f: f, part: dst + ".part", limit: limit, tell: tell}
	for {
		resumed := d.offset() > 0
		if err := c.retry(ctx, func() (bool, error) { return d.attempt(ctx) }); err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
		err := d.f.check(d.part)
		if err == nil {
			break
		}
		d.reset()
		if !resumed {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
		// The part of an earlier call was damaged, or the other side joined two files. Once more from the beginning.
	}
	if err := os.Rename(d.part, dst); err != nil {
		return err
	}
	d.reset()
	return nil
}

func (f *File) known() bool { return f.Size >= 0 && (f.SHA256 != "" || f.Blob != "") }

// check compares a file with its size and hash.
func (f *File) check(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Size() != f.Size {
		return fmt.Errorf("it has %d bytes, the hub says %d", info.Size(), f.Size)
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	var h hash.Hash
	want, kind := f.SHA256, "SHA-256"
	if want != "" {
		h = sha256.New()
	} else {
		h, want, kind = sha1.New(), f.Blob, "git hash"
		fmt.Fprintf(h, "blob %d\x00", f.Size)
	}
	if _, err := io.Copy(h, file); err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		return fmt.Errorf("what came has the %s %s, the hub says %s: it was damaged or exchanged on the way, and nothing of it is kept", kind, got, want)
	}
	return nil
}

// download is one file that is under way. Beside the part lies its ETag, so that a part is only gone on with when the file
// at the other side is still the same.
type download struct {
	c     *Client
	m     *Model
	f     File
	part  string
	limit int64
	tell  func(have, size int64)
}

func (d *download) tag() string { return d.part + ".etag" }

func (d *download) reset() {
	_ = os.Remove(d.part) // what stays is truncated before it is written to
	_ = os.Remove(d.tag())
}

// offset is where to go on. A part that is no plain file, or that nothing says belongs to this file, is begun anew.
func (d *download) offset() int64 {
	info, err := os.Lstat(d.part)
	if err != nil {
		return 0
	}
	_, err = os.Stat(d.tag())
	if !info.Mode().IsRegular() || err != nil || d.f.Size >= 0 && info.Size() > d.f.Size {
		d.reset()
		return 0
	}
	return info.Size()
}

func (d *download) attempt(ctx context.Context) (progress bool, err error) {
	from := d.offset()
	if from > 0 && from == d.f.Size {
		return false, nil // whole; its hash is looked at next
	}
	u := d.c.base.JoinPath(append(strings.Split(d.m.ID, "/"), "resolve", d.m.Revision)...)
	for _, segment := range strings.Split(d.f.Path, "/") {
		u = u.JoinPath(url.PathEscape(segment))
	}
	header := http.Header{}
	if from > 0 {
		header.Set("Range", fmt.Sprintf("bytes=%d-", from))
		if tag, err := os.ReadFile(d.tag()); err == nil && len(tag) > 0 {
			header.Set("If-Range", string(tag))
		}
	}
	a, err := d.c.get(ctx, u, header)
	if err != nil {
		return false, err
	}
	defer a.close()
	switch a.StatusCode {
	case http.StatusOK:
		from = 0
	case http.StatusPartialContent:
		if err := d.checkRange(a.Header.Get("Content-Range"), from); err != nil {
			d.reset()
			return false, &temporary{err: err}
		}
	case http.StatusRequestedRangeNotSatisfiable:
		d.reset()
		return false, &temporary{err: errors.New("the hub has no bytes after those of the part")}
	default:
		return false, d.c.refusal(a, d.f.Path)
	}
	if err := d.learn(a, from); err != nil {
		return false, err
	}
	return d.write(a, from)
}

func (d *download) checkRange(header string, from int64) error {
	var first, last, size int64
	if n, err := fmt.Sscanf(header, "bytes %d-%d/%d", &first, &last, &size); n != 3 || err != nil ||
		first != from || last != size-1 || d.f.Size >= 0 && size != d.f.Size {
		return fmt.Errorf("asked for the bytes from %d, the hub sends %.80q", from, header)
	}
	return nil
}

// learn takes size and hash from the headers where the listing did not have them, and compares where it did.
func (d *download) learn(a *answer, from int64) error {
	size := int64(-1)
	if s := a.linked.Get("X-Linked-Size"); s != "" {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n < 0 {
			return fmt.Errorf("the hub says that it has %.40q bytes", s)
		}
		size = n
	} else if a.ContentLength >= 0 {
		size = from + a.ContentLength
	}
	if d.f.Size < 0 {
		d.f.Size = size
	}
	if d.f.Size < 0 {
		return errors.New("the hub does not say how long it is")
	}
	if size >= 0 && size != d.f.Size || a.ContentLength >= 0 && from+a.ContentLength != d.f.Size {
		return fmt.Errorf("the listing says %d bytes, and the hub would send %d", d.f.Size, max(size, from+a.ContentLength))
	}
	if d.f.Size > d.limit {
		return fmt.Errorf("it has %d bytes, at most %d are read", d.f.Size, d.limit)
	}
	if d.f.known() {
		return nil
	}
	tag := a.linked.Get("X-Linked-Etag")
	if tag == "" {
		tag = a.Header.Get("ETag")
	}
	switch tag = strings.Trim(strings.TrimPrefix(tag, "W/"), `"`); {
	case sha256Pattern.MatchString(tag):
		d.f.SHA256 = tag
	case sha1Pattern.MatchString(tag):
		d.f.Blob = tag
	default:
		return errors.New("the hub gives no hash of it, so nothing tells whether it arrives as it is; try another mirror")
	}
	return nil
}

// write appends the body to the part, from the offset on.
func (d *download) write(a *answer, from int64) (progress bool, err error) {
	if err := d.keepTag(a.Header.Get("ETag")); err != nil {
		return false, err
	}
	if info, err := os.Lstat(d.part); err == nil && !info.Mode().IsRegular() {
		return false, fmt.Errorf("%s is not a regular file", d.part)
	}
	out, err := os.OpenFile(d.part, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if err := out.Truncate(from); err != nil {
		return false, err
	}
	if _, err := out.Seek(from, io.SeekStart); err != nil {
		return false, err
	}
	have, buf := from, make([]byte, 256<<10)
	for {
		n, readErr := a.body.Read(buf)
		if have+int64(n) > d.f.Size {
			d.reset()
			return false, fmt.Errorf("more than the %d bytes that it has were sent", d.f.Size)
		}
		if _, err := out.Write(buf[:n]); err != nil {
			return false, err
		}
		have += int64(n)
		d.tell(have, d.f.Size)
		switch {
		case readErr == io.EOF && have == d.f.Size:
			return true, out.Sync()
		case readErr != nil:
			if readErr == io.EOF {
				readErr = io.ErrUnexpectedEOF
			}
			// What drips in is no progress, or a server could keep a download alive for ever.
			return have-from >= stallBytes, &temporary{err: fmt.Errorf("the connection ended after %d of %d bytes: %w", have, d.f.Size, readErr)}
		}
	}
}

// keepTag remembers a strong ETag, or that there is none: then the hash alone says whether two halves belong together.
func (d *download) keepTag(tag string) error {
	if strings.HasPrefix(tag, "W/") || len(tag) > 256 {
		tag = ""
	}
	if err := os.Remove(d.tag()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.WriteFile(d.tag(), []byte(tag), 0o644)
}

// refusal makes a sentence of an answer that is no success.
func (c *Client) refusal(a *answer, what string) error {
	host := a.Request.URL.Host
	said := ""
	if s := a.Header.Get("X-Error-Message"); s != "" {
		said = fmt.Sprintf(" (it says %.200q)", s)
	}
	switch a.StatusCode {
	case http.StatusUnauthorized:
		if c.token != "" {
			return fmt.Errorf("%s: %s does not accept the token in HF_TOKEN, or has no such model: check both%s", what, host, said)
		}
		return fmt.Errorf("%s: %s has no such model, or wants a token for it: check the name, or set HF_TOKEN%s", what, host, said)
	case http.StatusForbidden:
		return fmt.Errorf("%s: %s does not allow it: accept the model's terms on its page, and use a token of the account that did%s", what, host, said)
	case http.StatusNotFound:
		return fmt.Errorf("%s: %s does not have it: check the name and the revision%s", what, host, said)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		after := time.Duration(0)
		if s, err := strconv.Atoi(a.Header.Get("Retry-After")); err == nil && s > 0 {
			after = time.Duration(min(s, 3600)) * time.Second
		}
		return &temporary{err: fmt.Errorf("%s: %s asks to come back later (status %d)%s", what, host, a.StatusCode, said), after: after}
	}
	err := fmt.Errorf("%s: %s answers with the status %d%s", what, host, a.StatusCode, said)
	if a.StatusCode >= 500 || a.StatusCode == http.StatusRequestTimeout {
		return &temporary{err: err}
	}
	return err
}
