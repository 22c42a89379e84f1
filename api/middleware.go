package api

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"robin"

	"github.com/labstack/echo/v4"
)

// Keys of an echo.Context.
const (
	keyRequestID = "request_id"
	keyBody      = "body"   // the *slowBody that the handler reads, when it reads one
	keyStatus    = "status" // set by answerError, for errors after the answer began
)

func requestID(c echo.Context) string {
	id, _ := c.Get(keyRequestID).(string)
	return id
}

// routeOf is the route's template: logs and metrics never hold a path, a query string or a body.
func routeOf(c echo.Context) string {
	if p := c.Path(); p != "" {
		return p
	}
	return "unmatched"
}

// observe gives each request its id, times it, and logs it.
func (s *Server) observe(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		start := time.Now()
		c.Set(keyRequestID, strings.ToLower(rand.Text()))
		c.Response().Header().Set("X-Request-Id", requestID(c))
		c.Response().Before(func() {
			boundLeftover(c)
			s.allowWrite(c)
		})
		s.metrics.inFlight.Inc()
		defer s.metrics.inFlight.Dec()
		if err := next(c); err != nil {
			c.Error(err) // here, so that the status below is the one that was sent
		}
		status := c.Response().Status
		if st, ok := c.Get(keyStatus).(int); ok {
			status = st
		}
		took := time.Since(start)
		s.metrics.request(routeOf(c), c.Request().Method, status, took)
		level := s.log.Info
		if quiet[c.Path()] {
			level = s.log.Debug
		}
		level("request", "request_id", requestID(c), "method", c.Request().Method, "route", routeOf(c), "status", status,
			"bytes", c.Response().Size, "ms", float64(took.Microseconds())/1000, "remote", c.RealIP())
		if status == statusClientGone && !c.Response().Committed {
			panic(http.ErrAbortHandler) // or net/http would answer 200 with nothing
		}
		return nil
	}
}

// quiet routes are asked every few seconds by machines.
var quiet = map[string]bool{"/healthz": true, "/livez": true, "/readyz": true, "/metrics": true}

// allowWrite gives the client WriteTimeout from now to take the next part of the answer.
func (s *Server) allowWrite(c echo.Context) {
	_ = http.NewResponseController(c.Response().Writer).SetWriteDeadline(time.Now().Add(s.opts.WriteTimeout))
}

func (s *Server) recoverPanic(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			switch p := recover(); p {
			case nil:
			case http.ErrAbortHandler:
				panic(p)
			default:
				s.log.Error("panic", "request_id", requestID(c), "route", routeOf(c), "panic", p, "stack", string(debug.Stack()))
				err = fmt.Errorf("panic: %v", p)
			}
		}()
		return next(c)
	}
}

// csp lets a page use its own files and this API only. The page sets a stricter one.
const csp = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// secure sets the headers that keep an answer inert in a browser, and refuses requests that a foreign page caused.
func (s *Server) secure(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("Content-Security-Policy", csp)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store") // the page's files set their own
		r := c.Request()
		if !s.hosts.allows(r.Host) {
			return robin.Errorf(robin.CodeForbidden, "the host %q is not one of this server's names; allow it with --allow-host", clip(r.Host))
		}
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			return next(c)
		}
		if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
			return robin.Errorf(robin.CodeForbidden, "another site's page may not change anything here")
		}
		for _, origin := range r.Header.Values("Origin") {
			if !s.sameOrigin(origin, r.Host) {
				return robin.Errorf(robin.CodeForbidden, "the origin %q may not change anything here", clip(origin))
			}
		}
		return next(c)
	}
}

func clip(s string) string {
	if len(s) > 100 {
		return s[:100] + "…"
	}
	return s
}

// sameOrigin compares hosts, not schemes: behind a proxy that ends TLS the page's scheme is https and ours is http.
func (s *Server) sameOrigin(origin, host string) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return false
	}
	return strings.EqualFold(u.Host, host) || s.hosts.named(u.Hostname())
}

// hostList says which values of Host are this server's.
type hostList struct {
	names map[string]bool

	mu     sync.RWMutex
	listen netip.Addr // the address listened on; unspecified: any address
}

func newHostList(names []string) *hostList {
	l := &hostList{names: map[string]bool{}}
	for _, n := range names {
		l.names[strings.ToLower(strings.TrimSuffix(n, "."))] = true
	}
	return l
}

func (l *hostList) listenOn(a net.Addr) {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.listen = tcp.AddrPort().Addr().Unmap()
}

// named says whether name was configured.
func (l *hostList) named(name string) bool {
	return l.names[strings.ToLower(strings.TrimSuffix(name, "."))]
}

func (l *hostList) allows(hostport string) bool {
	host := hostport
	if h, port, err := net.SplitHostPort(hostport); err == nil {
		if strings.Trim(port, "0123456789") != "" {
			return false
		}
		host = h
	} else {
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		addr = addr.Unmap()
		l.mu.RLock()
		defer l.mu.RUnlock()
		// An address cannot be rebound, so any will do where the server listens on all of them.
		return addr.IsLoopback() || addr == l.listen || l.listen.IsUnspecified() || l.named(host)
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	return name == "localhost" || strings.HasSuffix(name, ".localhost") || l.named(name)
}

// gate bounds how many requests of a kind run at once.
type gate struct {
	slots chan struct{}
	retry time.Duration // what a client is told when it is full
	full  string
}

func newGate(n int, retry time.Duration, full string) *gate {
	return &gate{slots: make(chan struct{}, n), retry: retry, full: full}
}

// enter waits a moment for a slot and gives up with 429. It comes after the body is read, but for imports, which are
// work from their first row: a client that sends slowly must not hold a slot. The caller calls leave when it has its answer.
func (g *gate) enter(ctx context.Context) (leave func(), err error) {
	leave = func() { <-g.slots }
	select {
	case g.slots <- struct{}{}:
		return leave, nil
	default:
	}
	timer := time.NewTimer(gateQueue)
	defer timer.Stop()
	select {
	case g.slots <- struct{}{}:
		return leave, nil
	case <-timer.C:
		return nil, &robin.Error{Code: robin.CodeOverloaded, Message: g.full, RetryAfter: g.retry}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
