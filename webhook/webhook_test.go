package webhook

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func newSender(t *testing.T, o Options) *Sender {
	t.Helper()
	if o.Backoff == nil {
		o.Backoff = []time.Duration{time.Millisecond, time.Millisecond}
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// send delivers and waits for the outcome.
func send(t *testing.T, s *Sender, url string) (attempts int, err error) {
	t.Helper()
	type outcome struct {
		attempts int
		err      error
	}
	done := make(chan outcome, 1)
	s.Send(Delivery{URL: url, ID: "7", Body: []byte(`{"id":"7"}`)}, func(n int, err error) { done <- outcome{n, err} })
	select {
	case o := <-done:
		return o.attempts, o.err
	case <-time.After(10 * time.Second):
		t.Fatal("no outcome")
		return 0, nil
	}
}

func TestNothingInsideTheNetworkIsCalled(t *testing.T) {
	s := newSender(t, Options{})
	for _, ip := range []string{
		"127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "0.0.0.0", "0.1.2.3",
		"100.64.0.1", "192.0.0.8", "198.18.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1",
		"::", "::1", "fe80::1", "fc00::1", "fd12::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "::7f00:1",
	} {
		if err := s.control("tcp", netip.AddrPortFrom(netip.MustParseAddr(ip), 80).String(), nil); !errors.Is(err, errForbidden) {
			t.Errorf("%s: %v, want it forbidden", ip, err)
		}
	}
	for _, ip := range []string{"8.8.8.8", "1.1.1.1", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8"} {
		if err := s.control("tcp", netip.AddrPortFrom(netip.MustParseAddr(ip), 80).String(), nil); err != nil {
			t.Errorf("%s: %v, want it allowed", ip, err)
		}
	}
}

func TestANameThatResolvesInsideIsRefusedWhenItIsDialled(t *testing.T) {
	var hits atomic.Int64
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	defer inside.Close()
	_, port, err := net.SplitHostPort(inside.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s := newSender(t, Options{})
	url := "http://localhost:" + port + "/?token=very-secret"
	if err := s.Check(url); err != nil {
		t.Fatalf("the check does not resolve names, and said %v", err)
	}
	attempts, err := send(t, s, url)
	if !errors.Is(err, errForbidden) || attempts != 1 || hits.Load() != 0 {
		t.Errorf("%d attempts, %v, %d hits; want one attempt that is forbidden and no hit", attempts, err, hits.Load())
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("the error %q gives away the address", err)
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	var second atomic.Int64
	target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { second.Add(1) }))
	defer target.Close()
	first := httptest.NewServer(http.RedirectHandler(target.URL, http.StatusTemporaryRedirect))
	defer first.Close()
	s := newSender(t, Options{Allow: []string{"127.0.0.0/8"}})
	attempts, err := send(t, s, first.URL)
	if err == nil || attempts != 1 || second.Load() != 0 {
		t.Errorf("%d attempts, %v, %d hits behind the redirect; want 1, an error, 0", attempts, err, second.Load())
	}
}

func TestADeliveryIsSignedAndRepeatedUntilItIsTaken(t *testing.T) {
	var calls atomic.Int64
	var body, signature, id string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) < 3 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		b, _ := io.ReadAll(r.Body)
		body, signature, id = string(b), r.Header.Get("Robin-Signature"), r.Header.Get("Robin-Delivery")
	}))
	defer server.Close()
	s := newSender(t, Options{Allow: []string{"127.0.0.1"}, Secret: "shared"})
	attempts, err := send(t, s, server.URL)
	if err != nil || attempts != 3 {
		t.Fatalf("%d attempts, %v; want 3 and success", attempts, err)
	}
	if body != `{"id":"7"}` || id != "7" {
		t.Errorf("got body %s, id %s", body, id)
	}
	stamp, _, _ := strings.Cut(strings.TrimPrefix(signature, "t="), ",")
	at, err := time.ParseDuration(stamp + "s")
	if err != nil {
		t.Fatalf("signature %q", signature)
	}
	if want := Sign("shared", time.Unix(int64(at.Seconds()), 0), []byte(body)); signature != want {
		t.Errorf("signature %q, want %q", signature, want)
	}
}

func TestARefusalIsFinal(t *testing.T) {
	var calls atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		w.WriteHeader(http.StatusGone)
	}))
	defer server.Close()
	if attempts, err := send(t, newSender(t, Options{Allow: []string{"127.0.0.1"}}), server.URL); err == nil || attempts != 1 || calls.Load() != 1 {
		t.Errorf("%d attempts, %d calls, %v; want one of each and an error", attempts, calls.Load(), err)
	}
}

func TestWhatCannotBeAnAddressIsRefusedBeforeTheTaskStarts(t *testing.T) {
	s := newSender(t, Options{Allow: []string{"10.1.0.0/16", "hooks.internal"}})
	for _, bad := range []string{"", "hook", "ftp://example.com/x", "file:///etc/passwd", "http://", "http://user:pass@example.com/",
		"http://127.0.0.1/", "http://[::1]:8080/", "http://169.254.169.254/latest/meta-data", "http://10.2.0.1/", "https://example.com/#f",
		"http://example.com/" + strings.Repeat("x", maxURL)} {
		if s.Check(bad) == nil {
			t.Errorf("%.60q passed", bad)
		}
	}
	for _, good := range []string{"https://example.com/hook?x=1", "http://10.1.2.3/", "http://hooks.internal:9000/robin", "http://8.8.8.8/"} {
		if err := s.Check(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	if _, err := New(Options{Allow: []string{"10.0.0.0/99"}}); err == nil {
		t.Error("a network that is none was taken")
	}
}

func TestCloseEndsWhatWaits(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	defer server.Close()
	s, err := New(Options{Allow: []string{"127.0.0.1"}, Backoff: []time.Duration{time.Hour}})
	if err != nil {
		t.Fatal(err)
	}
	outcome := make(chan error, 1)
	s.Send(Delivery{URL: server.URL, ID: "1", Body: []byte("{}")}, func(_ int, err error) { outcome <- err })
	start := time.Now()
	s.Close()
	if err := <-outcome; err == nil {
		t.Errorf("got %v, want an error", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("Close took %v", took)
	}
}
