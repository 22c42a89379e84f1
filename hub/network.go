package hub

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	maxRedirects = 8
	// stallBytes is what a connection must bring in the time of a stall: a server that drips is as good as one that hangs.
	stallBytes = 16 << 10
)

// network holds the ways out. The base address is the user's word and may be anywhere, in this machine too, and so is a
// proxy. Where a redirect leads is the hub's word: to the public network, or inside only when the hub itself is inside.
type network struct {
	home, away, proxied *http.Transport

	inside atomic.Bool // the hub's address is not public
}

func newNetwork(trust *tls.Config, stall time.Duration) *network {
	n := new(network)
	n.home = transport(trust, stall, func(_, address string, _ syscall.RawConn) error {
		if ap, err := netip.ParseAddrPort(address); err == nil && !public(ap.Addr()) {
			n.inside.Store(true)
		}
		return nil
	})
	// The address is looked at when it is dialled, after its name was resolved, so no name can point elsewhere in between.
	n.away = transport(trust, stall, func(_, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("the address %s cannot be read", address)
		}
		return n.allowed(ap.Addr())
	})
	n.proxied = transport(trust, stall, nil)
	n.proxied.Proxy = http.ProxyFromEnvironment
	return n
}

func transport(trust *tls.Config, stall time.Duration, control func(network, address string, c syscall.RawConn) error) *http.Transport {
	dialer := &net.Dialer{Timeout: stall, Control: control}
	return &http.Transport{
		DialContext: dialer.DialContext, TLSClientConfig: trust, TLSHandshakeTimeout: stall,
		ResponseHeaderTimeout: stall, MaxResponseHeaderBytes: 64 << 10, IdleConnTimeout: stall, ForceAttemptHTTP2: true,
		DisableCompression: true, // sizes and ranges are those of the file, not of a packed form of it
	}
}

func (n *network) close() {
	n.home.CloseIdleConnections()
	n.away.CloseIdleConnections()
	n.proxied.CloseIdleConnections()
}

// errAddress marks a redirect to where none may lead.
var errAddress = errors.New("a redirect may not lead there")

func (n *network) allowed(ip netip.Addr) error {
	ip = ip.Unmap()
	if !public(ip) && (!n.inside.Load() || !ip.IsPrivate() && !ip.IsLoopback()) {
		return fmt.Errorf("%w: %s is not a public address", errAddress, ip)
	}
	return nil
}

// carriers are the networks that are no one's: shared, for documents and tests, and the IPv6 ranges that carry IPv4 in them.
var carriers = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("240.0.0.0/4"), netip.MustParsePrefix("::/96"),
	netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("2002::/16"),
}

func public(ip netip.Addr) bool {
	ip = ip.Unmap()
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.Zone() != "" {
		return false
	}
	for _, p := range carriers {
		if p.Contains(ip) {
			return false
		}
	}
	return true
}

// send makes one request. A proxy resolves names itself, and of addresses only those that stand in the URL can be looked at.
func (n *network) send(req *http.Request, home bool) (*http.Response, error) {
	if ip, err := netip.ParseAddr(req.URL.Hostname()); err == nil && !home {
		if err := n.allowed(ip); err != nil {
			return nil, err
		}
	}
	proxy, err := n.proxied.Proxy(req)
	switch {
	case err != nil:
		return nil, fmt.Errorf("the proxy that the environment names: %w", err)
	case proxy != nil:
		return n.proxied.RoundTrip(req)
	case home:
		return n.home.RoundTrip(req)
	}
	return n.away.RoundTrip(req)
}

// answer is a response that is watched: reading its body fails when it stalls.
type answer struct {
	*http.Response
	linked http.Header // of the hub's own answer, before any redirect
	body   io.Reader
	cancel context.CancelCauseFunc
	watch  *time.Timer
}

func (a *answer) close() {
	a.watch.Stop()
	a.cancel(nil)
	a.Body.Close() // it was read to where it mattered
}

var errStalled = errors.New("the connection brought next to nothing for too long")

// sameHost says whether u is where the token may go.
func (c *Client) sameHost(u *url.URL) bool {
	return u.Scheme == c.base.Scheme && strings.EqualFold(u.Host, c.base.Host)
}

// get follows redirects by hand. The caller closes the answer.
func (c *Client) get(ctx context.Context, u *url.URL, header http.Header) (*answer, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	a := &answer{cancel: cancel, linked: http.Header{}}
	a.watch = time.AfterFunc(2*c.stall, func() { cancel(errStalled) }) // to connect, and for the header
	fail := func(err error) (*answer, error) {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		a.watch.Stop()
		cancel(nil)
		return nil, err
	}
	home := true // until the first redirect to another host: what comes after is that host's word
	for range maxRedirects + 1 {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
		if err != nil {
			return fail(err)
		}
		for k, v := range header {
			req.Header[k] = v
		}
		req.Header.Set("User-Agent", c.agent)
		req.Header.Set("Accept-Encoding", "identity")
		home = home && c.sameHost(u)
		if home && c.token != "" {
			req.Header.Set("Authorization", "Bearer "+c.token)
		}
		a.watch.Reset(2 * c.stall)
		if a.Response, err = c.net.send(req, home); err != nil {
			if errors.Is(err, errAddress) || ctx.Err() != nil && !errors.Is(context.Cause(ctx), errStalled) {
				return fail(err)
			}
			_, err = fail(fmt.Errorf("%s cannot be reached: %w", u.Host, err))
			var untrusted *tls.CertificateVerificationError
			if errors.As(err, &untrusted) {
				return nil, fmt.Errorf("%w: a mirror with a certificate of its own needs --ca-file", err)
			}
			return nil, &temporary{err: err}
		}
		if home {
			for _, k := range []string{"X-Linked-Etag", "X-Linked-Size", "X-Repo-Commit"} {
				if v := a.Header.Get(k); v != "" {
					a.linked.Set(k, v)
				}
			}
		}
		switch a.StatusCode {
		case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		default:
			if e := a.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
				a.Body.Close()
				return fail(fmt.Errorf("%s sends the file packed (%.40q) although it was asked not to: the bytes cannot be resumed or bounded", u.Host, e))
			}
			a.watch.Reset(c.stall)
			a.body = &watched{r: a.Body, ctx: ctx, watch: a.watch, stall: c.stall}
			return a, nil
		}
		a.Body.Close()
		if u, err = follow(u, a.Header.Get("Location")); err != nil {
			return fail(err)
		}
	}
	return fail(fmt.Errorf("more than %d redirects", maxRedirects))
}

func follow(from *url.URL, location string) (*url.URL, error) {
	to, err := from.Parse(location)
	switch {
	case err != nil || location == "" || to.Host == "" || to.Scheme != "http" && to.Scheme != "https":
		return nil, fmt.Errorf("%s redirects to %.200q, which is no web address", from.Host, location)
	case from.Scheme == "https" && to.Scheme == "http":
		return nil, fmt.Errorf("%s redirects from https to http (%s), where anybody on the way can read and change what is sent", from.Host, to.Host)
	}
	to.User, to.Fragment = nil, ""
	return to, nil
}

// watched pushes the end of the watch back with every stallBytes that come in.
type watched struct {
	r     io.Reader
	ctx   context.Context
	watch *time.Timer
	stall time.Duration
	got   int
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if w.got += n; w.got >= stallBytes {
		w.got = 0
		w.watch.Reset(w.stall)
	}
	if err != nil && err != io.EOF {
		if cause := context.Cause(w.ctx); cause != nil {
			err = cause
		}
	}
	return n, err
}

// temporary is a failure that a repetition may mend, after a while if the other side says so.
type temporary struct {
	err   error
	after time.Duration
}

func (t *temporary) Error() string { return t.err.Error() }
func (t *temporary) Unwrap() error { return t.err }

// maxAfter bounds how long a hub may ask to be left alone, maxTries what one file may cost.
const (
	maxAfter = 2 * time.Minute
	maxTries = 100
)

// retry repeats f while its failures are temporary. One that made progress begins the backoff anew.
func (c *Client) retry(ctx context.Context, f func() (progress bool, err error)) error {
	failed := 0
	for range maxTries {
		progress, err := f()
		var again *temporary
		if err == nil || !errors.As(err, &again) {
			return err
		}
		if progress {
			failed = 0
		}
		if failed == len(c.backoff) {
			return fmt.Errorf("%w (after %d tries)", err, failed+1)
		}
		wait := max(c.backoff[failed], min(again.after, maxAfter))
		failed++
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
	return fmt.Errorf("given up after %d tries", maxTries)
}
