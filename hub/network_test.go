package hub

import (
	"bytes"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestTheTokenStaysWithItsHost(t *testing.T) {
	var leaked journal
	var back atomic.Pointer[string] // where the store sends on to
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" || r.Header.Get("Referer") != "" || r.Header.Get("Cookie") != "" {
			leaked.add(r.URL.String())
		}
		if to := back.Load(); to != nil {
			http.Redirect(w, r, *to, http.StatusFound)
			return
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	}))
	defer store.Close()
	f := newFake(t)
	f.answers(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Set-Cookie", "a=b")
		http.Redirect(w, r, store.URL+"/signed?x=1", http.StatusFound) // the same host name, another port
	})
	if _, err := fetch(t, f.client(t), ""); err != nil {
		t.Fatal(err)
	}
	behave := newFake(t).resolve
	f.answers(func(w http.ResponseWriter, r *http.Request) { // away and back: what comes then is the other host's word
		switch {
		case r.URL.RawQuery == "":
			http.Redirect(w, r, store.URL+"/back", http.StatusTemporaryRedirect)
		case r.Header.Get("Authorization") != "":
			leaked.add("after the way back")
		default:
			behave(w, r)
		}
	})
	to := f.URL + "/owner/name/resolve/" + commit + "/onnx/model.onnx?again"
	back.Store(&to)
	if _, err := fetch(t, f.client(t), ""); err != nil {
		t.Fatal(err)
	}
	if len(leaked.all()) > 0 {
		t.Errorf("the token went to %v", leaked.all())
	}
}

func TestRedirectsThatMustNotBeFollowedAreNot(t *testing.T) {
	f := newFake(t)
	try := func(want, location string) {
		t.Helper()
		f.answers(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", location)
			w.WriteHeader(http.StatusFound)
		})
		_, err := fetch(t, f.client(t), "")
		wantError(t, err, want)
	}
	try("not a public address", "http://169.254.169.254/latest/meta-data")
	try("not a public address", "http://[fe80::1]/")
	try("not a public address", "http://0.0.0.0:80/")
	try("not a public address", "http://[::ffff:169.254.169.254]/")
	try("no web address", "file:///etc/passwd")
	try("no web address", "")
	try("no web address", "gopher://x/")
	try("more than 8 redirects", f.URL+"/owner/name/resolve/"+commit+"/onnx/model.onnx")

	// A hub that is public sends nobody inside; where it is inside itself its store may be too.
	c := f.client(t)
	try2 := func(inside bool, address string, ok bool) {
		t.Helper()
		c.net.inside.Store(inside)
		req, _ := http.NewRequest(http.MethodGet, address, nil)
		a, err := c.net.send(req, false)
		if err == nil {
			a.Body.Close()
		}
		if ok != (err == nil) {
			t.Errorf("inside %v, %s: %v", inside, address, err)
		}
	}
	try2(false, f.URL, false)
	try2(false, strings.Replace(f.URL, "127.0.0.1", "localhost", 1), false) // by a name: seen when it is dialled
	try2(true, f.URL, true)
}

func TestHTTPSIsTrustedByTheGivenCertificateAndNotLeft(t *testing.T) {
	plain := newFake(t)
	f := newFake(t)
	secure := httptest.NewUnstartedServer(http.HandlerFunc(f.serve))
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // of the handshakes that fail as they should
	secure.StartTLS()
	defer secure.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := fetch(t, open(t, Options{Endpoint: secure.URL, CAFile: ca}), ""); err != nil {
		t.Error(err)
	}
	_, err := fetch(t, open(t, Options{Endpoint: secure.URL}), "")
	wantError(t, err, "certificate")
	f.answers(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, plain.URL+r.URL.Path, http.StatusFound)
	})
	_, err = fetch(t, open(t, Options{Endpoint: secure.URL, CAFile: ca}), "")
	wantError(t, err, "from https to http")
}
