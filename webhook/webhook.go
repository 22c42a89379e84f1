// Package webhook tells other systems that a task has ended: one signed POST, repeated until it is taken.
//
// The address comes from a client, so a request must not become a way into the server's own network (SSRF). The address
// is checked when the connection is dialled, after the name was resolved, so no name can point elsewhere between the
// check and its use. Redirects are not followed, proxies of the environment are not used, and of the answer only its
// status is looked at: nothing of it gets back to who asked.
package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"sync"
	"syscall"
	"time"

	"robin"
)

// Options of a Sender. The zero value works.
type Options struct {
	// Allow names what may be called although it is not public: addresses ("10.1.2.3"), networks ("10.0.0.0/8"), or
	// hosts ("hooks.internal"), whose addresses may then be any.
	Allow []string
	// Secret signs each request; empty: none is signed.
	Secret string
	Logger *slog.Logger
	// Backoff is how long to wait before each further attempt; default 1 s, 5 s, 30 s, 2 min, 10 min.
	Backoff []time.Duration
	// Timeout of one attempt; default 10 s.
	Timeout time.Duration
	// Queue is how many deliveries may be under way; more are dropped and logged. Default 256.
	Queue int
}

const (
	maxURL    = 2048
	userAgent = "robin-webhook/1"
)

// Delivery is one message to one address.
type Delivery struct {
	URL  string
	ID   string // the same in every attempt, so that the receiver can tell a repetition
	Body []byte // JSON
}

// Sender delivers. Its methods are safe for concurrent use.
type Sender struct {
	opts   Options
	nets   []netip.Prefix
	hosts  map[string]bool
	client *http.Client
	open   *http.Client // for the hosts of Allow
	slots  chan struct{}
	stop   context.CancelFunc
	ctx    context.Context
	wg     sync.WaitGroup
}

// New makes a Sender, or says which entry of Allow cannot be read.
func New(o Options) (*Sender, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Backoff == nil {
		o.Backoff = []time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute}
	}
	if o.Timeout <= 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Queue <= 0 {
		o.Queue = 256
	}
	s := &Sender{opts: o, hosts: map[string]bool{}, slots: make(chan struct{}, o.Queue)}
	for _, a := range o.Allow {
		if p, err := netip.ParsePrefix(a); err == nil {
			s.nets = append(s.nets, p.Masked())
		} else if ip, err := netip.ParseAddr(a); err == nil {
			s.nets = append(s.nets, netip.PrefixFrom(ip.Unmap(), ip.Unmap().BitLen()))
		} else if a != "" && !bytes.ContainsAny([]byte(a), "/: \t") {
			s.hosts[a] = true
		} else {
			return nil, fmt.Errorf("%q is neither an address, a network such as 10.0.0.0/8, nor a host name", a)
		}
	}
	s.client = newClient(o.Timeout, s.control)
	s.open = newClient(o.Timeout, nil)
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s, nil
}

func newClient(timeout time.Duration, control func(network, address string, c syscall.RawConn) error) *http.Client {
	dialer := &net.Dialer{Timeout: timeout, Control: control}
	return &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			DialContext: dialer.DialContext, TLSHandshakeTimeout: timeout, ResponseHeaderTimeout: timeout,
			MaxResponseHeaderBytes: 64 << 10, DisableKeepAlives: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// errForbidden is what the dialler answers for an address that must not be called.
var errForbidden = errors.New("the address is not public")

// control runs for each address that is about to be dialled.
func (s *Sender) control(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %s", errForbidden, address)
	}
	return s.allowed(ap.Addr())
}

func (s *Sender) allowed(ip netip.Addr) error {
	ip = ip.Unmap()
	for _, n := range s.nets {
		if n.Contains(ip) {
			return nil
		}
	}
	if !public(ip) {
		return fmt.Errorf("%w: %s; an operator can allow it with --webhook-allow", errForbidden, ip)
	}
	return nil
}

// notPublic are the networks that lead back inside: those of RFC 6890 and its successors that netip has no word for,
// and the IPv6 ranges that carry IPv4 addresses in them.
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("::/96"),
	netip.MustParsePrefix("64:ff9b::/96"),
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("100::/64"),
	netip.MustParsePrefix("2001::/23"),
	netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"),
	netip.MustParsePrefix("fec0::/10"),
}

func public(ip netip.Addr) bool {
	if !ip.IsValid() || ip.Zone() != "" || !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() {
		return false
	}
	for _, n := range notPublic {
		if n.Contains(ip) {
			return false
		}
	}
	return true
}

// Check says whether address may be called, as far as that can be told without resolving its name.
func (s *Sender) Check(address string) error {
	u, err := url.Parse(address)
	switch {
	case len(address) > maxURL:
		return robin.Invalid("/webhook", "has %d bytes, the limit is %d", len(address), maxURL)
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return robin.Invalid("/webhook", "must be an address such as https://example.com/hook")
	case u.User != nil:
		return robin.Invalid("/webhook", "must not hold a user name or password; check the signature instead")
	case u.Fragment != "":
		return robin.Invalid("/webhook", "must not hold a fragment")
	}
	if s.hosts[u.Hostname()] {
		return nil
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil {
		if err := s.allowed(ip); err != nil {
			return robin.Invalid("/webhook", "cannot be called: %s", err)
		}
	}
	return nil
}

// Send delivers in the background and tells done how it went, from a goroutine of its own. It does not wait; Close ends
// what is under way.
func (s *Sender) Send(d Delivery, done func(attempts int, err error)) {
	select {
	case s.slots <- struct{}{}:
	default:
		s.opts.Logger.Error("webhook dropped: too many are under way", "id", d.ID)
		s.wg.Go(func() { done(0, errors.New("too many webhooks are under way")) })
		return
	}
	s.wg.Go(func() {
		defer func() { <-s.slots }()
		attempts, err := s.deliver(d)
		if err != nil {
			s.opts.Logger.Warn("webhook not delivered", "id", d.ID, "attempts", attempts, "error", err)
		}
		done(attempts, err)
	})
}

func (s *Sender) deliver(d Delivery) (attempts int, err error) {
	for {
		var again bool
		attempts++
		if again, err = s.attempt(d); err == nil || !again || attempts > len(s.opts.Backoff) {
			return attempts, err
		}
		select {
		case <-time.After(s.opts.Backoff[attempts-1]):
		case <-s.ctx.Done():
			return attempts, s.ctx.Err()
		}
	}
}

// attempt makes one request. again says whether another one may fare better.
func (s *Sender) attempt(d Delivery) (again bool, err error) {
	req, err := http.NewRequestWithContext(s.ctx, http.MethodPost, d.URL, bytes.NewReader(d.Body))
	if err != nil {
		return false, errors.New("the address cannot be read")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("Robin-Delivery", d.ID)
	if s.opts.Secret != "" {
		req.Header.Set("Robin-Signature", Sign(s.opts.Secret, time.Now(), d.Body))
	}
	client := s.client
	if s.hosts[req.URL.Hostname()] {
		client = s.open
	}
	res, err := client.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err // without the address: it may hold a token
		}
		return !errors.Is(err, errForbidden), err
	}
	defer res.Body.Close()
	switch {
	case res.StatusCode >= 200 && res.StatusCode < 300:
		return false, nil
	case res.StatusCode >= 500, res.StatusCode == http.StatusTooManyRequests, res.StatusCode == http.StatusRequestTimeout:
		again = true
	}
	return again, fmt.Errorf("the receiver answered %d", res.StatusCode)
}

// Sign makes the value of Robin-Signature: "t=UNIX,v1=HEX", the HMAC-SHA-256 of "UNIX.BODY" under secret. The time in it
// lets a receiver refuse a message that somebody recorded and sends again.
func Sign(secret string, at time.Time, body []byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(t + "."))
	mac.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// Close ends deliveries under way and waits for them.
func (s *Sender) Close() {
	s.stop()
	s.wg.Wait()
}
