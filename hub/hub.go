// Package hub fetches files of model repositories by the file protocol of the Hugging Face hub, from whatever base address
// it is given: the hub's own, or a mirror of it.
//
// Nothing that the other side says is believed. Names that leave a folder are refused, sizes are bounded before and while
// bytes come in, and a file has its name only when its SHA-256, or git's hash of it, is what the listing said. The token
// goes to the base address and nowhere else: redirects are followed by hand, and only the first host gets it.
package hub

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Options of a Client. Endpoint is needed.
type Options struct {
	Endpoint  string // such as https://hub.example.com, or http://127.0.0.1:8080/mirror
	Token     string // sent to Endpoint's host only; empty: none
	CAFile    string // PEM file of certificates to trust besides the system's
	UserAgent string // default: robin
	// Stall is how long a connection may bring next to nothing before it is given up. Default 30 s.
	Stall time.Duration
	// Backoff is how long to wait after each failure in a row that a repetition may mend. Default 1 s, 3 s, 10 s, 30 s.
	Backoff []time.Duration
}

// Limits on what a repository may list.
const (
	maxListing = 16 << 20 // bytes of the answer
	maxFiles   = 20000
	maxPath    = 1024
)

// Client talks to one hub. It may be used from several goroutines.
type Client struct {
	base    *url.URL
	token   string
	agent   string
	stall   time.Duration
	backoff []time.Duration
	net     *network
}

// New makes a client, or says what is wrong with the options. It opens no connection.
func New(o Options) (*Client, error) {
	base, err := url.Parse(strings.TrimRight(o.Endpoint, "/"))
	switch {
	case o.Endpoint == "":
		return nil, errors.New("no hub was named")
	case err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https":
		return nil, fmt.Errorf("the hub's address %q is not like https://hub.example.com", o.Endpoint)
	case base.User != nil || base.RawQuery != "" || base.Fragment != "":
		return nil, errors.New("the hub's address must hold no user name, query or fragment; the token has a setting of its own")
	}
	if strings.ContainsFunc(o.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("the token holds a space or another character that no token has")
	}
	trust := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("the certificates to trust: %w", err)
		}
		if trust.RootCAs, err = x509.SystemCertPool(); err != nil {
			trust.RootCAs = x509.NewCertPool()
		}
		if !trust.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate in PEM form", o.CAFile)
		}
	}
	c := &Client{base: base, token: o.Token, agent: o.UserAgent, stall: o.Stall, backoff: o.Backoff}
	if c.agent == "" {
		c.agent = "robin"
	}
	if c.stall <= 0 {
		c.stall = 30 * time.Second
	}
	if c.backoff == nil {
		c.backoff = []time.Duration{time.Second, 3 * time.Second, 10 * time.Second, 30 * time.Second}
	}
	c.net = newNetwork(trust, c.stall)
	return c, nil
}

// Close ends idle connections.
func (c *Client) Close() { c.net.close() }

// Model is a repository at one commit.
type Model struct {
	ID       string // OWNER/NAME
	Revision string // the commit
	Licence  string // as the repository states it, if it does
	Files    []File
}

// File is one file of a repository. One of its two hashes is enough to check it.
type File struct {
	Path   string
	Size   int64  // -1 when the listing does not say
	SHA256 string // of large files
	Blob   string // git's SHA-1 of small ones
}

var (
	idPattern       = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}$`)
	revisionPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$`)
	commitPattern   = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`)
	sha256Pattern   = regexp.MustCompile(`^[0-9a-f]{64}$`)
	sha1Pattern     = regexp.MustCompile(`^[0-9a-f]{40}$`)
)

// ParseID splits OWNER/NAME[@REVISION]. The revision is a branch, a tag or a commit; without one it is main.
func ParseID(s string) (id, revision string, err error) {
	id, revision, found := strings.Cut(s, "@")
	if !found {
		revision = "main"
	}
	switch {
	case !idPattern.MatchString(id) || strings.Contains(id, ".."):
		return "", "", fmt.Errorf("%q is not OWNER/NAME or OWNER/NAME@REVISION", s)
	case !revisionPattern.MatchString(revision) || strings.Contains(revision, ".."):
		return "", "", fmt.Errorf("%q is not a branch, a tag or a commit", revision)
	}
	return id, revision, nil
}

// Model asks for the commit and the files of a repository.
func (c *Client) Model(ctx context.Context, id, revision string) (*Model, error) {
	owner, name, _ := strings.Cut(id, "/")
	u := c.base.JoinPath("api", "models", owner, name, "revision", url.PathEscape(revision))
	u.RawQuery = "blobs=true" // with sizes and hashes
	what := "model " + id
	if revision != "main" {
		what += " at " + revision
	}
	var body []byte
	err := c.retry(ctx, func() (progress bool, err error) {
		a, err := c.get(ctx, u, nil)
		if err != nil {
			return false, fmt.Errorf("%s: %w", what, err)
		}
		defer a.close()
		if a.StatusCode != http.StatusOK {
			return false, c.refusal(a, what)
		}
		body, err = io.ReadAll(io.LimitReader(a.body, maxListing+1))
		if err != nil {
			return false, &temporary{err: fmt.Errorf("%s: the listing broke off: %w", what, err)}
		}
		return false, nil
	})
	if err != nil {
		return nil, err
	}
	if len(body) > maxListing {
		return nil, fmt.Errorf("%s: the listing has more than %d bytes", what, maxListing)
	}
	m, err := parseListing(body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	m.ID = id
	return m, nil
}

func parseListing(body []byte) (*Model, error) {
	var l struct {
		SHA      string `json:"sha"`
		CardData struct {
			License json.RawMessage `json:"license"` // a string, or a list of them
		} `json:"cardData"`
		Siblings []struct {
			Name   string `json:"rfilename"`
			Size   *int64 `json:"size"`
			BlobID string `json:"blobId"`
			LFS    *struct {
				SHA256 string `json:"sha256"`
				Size   int64  `json:"size"`
			} `json:"lfs"`
		} `json:"siblings"`
	}
	if err := json.Unmarshal(body, &l); err != nil {
		return nil, fmt.Errorf("the answer is no listing of a model (%w): is the address that of a hub?", err)
	}
	if !commitPattern.MatchString(l.SHA) {
		return nil, fmt.Errorf("the listing names the commit %.80q, which is none", l.SHA)
	}
	if len(l.Siblings) > maxFiles {
		return nil, fmt.Errorf("the repository has %d files, at most %d are looked through", len(l.Siblings), maxFiles)
	}
	m := &Model{Revision: l.SHA}
	// A licence in another form than a word is left out; it is only for people to read.
	_ = json.Unmarshal(l.CardData.License, &m.Licence)
	seen := map[string]string{}
	for _, s := range l.Siblings {
		if err := checkPath(s.Name); err != nil {
			return nil, err
		}
		// Where letters' case does not count two such files are one, and which of them is read would be chance.
		folded := strings.ToLower(s.Name)
		if other, twice := seen[folded]; twice {
			return nil, fmt.Errorf("the repository lists %q and %q, which are one file on some disks: it is refused", other, s.Name)
		}
		seen[folded] = s.Name
		f := File{Path: s.Name, Size: -1}
		if s.Size != nil {
			f.Size = *s.Size
		}
		if sha1Pattern.MatchString(s.BlobID) {
			f.Blob = s.BlobID
		}
		if s.LFS != nil { // then BlobID is that of the pointer
			f.Blob, f.SHA256 = "", s.LFS.SHA256
			if f.Size < 0 {
				f.Size = s.LFS.Size
			}
			if !sha256Pattern.MatchString(f.SHA256) || f.Size != s.LFS.Size {
				return nil, fmt.Errorf("the listing contradicts itself on %q: %d and %d bytes, SHA-256 %.80q", s.Name, f.Size, s.LFS.Size, f.SHA256)
			}
		}
		if s.Size != nil && f.Size < 0 {
			return nil, fmt.Errorf("the listing says that %q has %d bytes", s.Name, f.Size)
		}
		m.Files = append(m.Files, f)
	}
	slices.SortFunc(m.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return m, nil
}

// checkPath refuses a name that could leave the folder, or means another file on another system.
func checkPath(name string) error {
	odd := func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' || r == ':' }
	if len(name) > maxPath || !fs.ValidPath(name) || name == "." || strings.ContainsFunc(name, odd) {
		return fmt.Errorf("the repository lists the file %.200q, whose name is no plain path inside it: it is refused", name)
	}
	return nil
}
