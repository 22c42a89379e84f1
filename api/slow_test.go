package api

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestT32SlowClientsAreCutOffAndOthersNotSlowed(t *testing.T) {
	e := newFake()
	s := serve(t, Options{Engine: e, BodyTimeout: 500 * time.Millisecond, WriteTimeout: 500 * time.Millisecond})
	s.want(201, "", "PUT", "/collections/c", minimalSettings)
	page := strings.Repeat("x", 900_000)
	for i := range 40 {
		s.want(201, "", "PUT", fmt.Sprintf("/collections/c/documents/%d", i), fmt.Sprintf(`{"id":"%d","title":"%s"}`, i, page))
	}
	addr := strings.TrimPrefix(s.url, "http://")
	const clients = 20
	type cut struct {
		kind string
		took time.Duration
		last string
	}
	cuts := make(chan cut, 4*clients)
	dial := func() net.Conn {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Error(err)
			return nil
		}
		return c
	}
	drip := func(kind, head string, every time.Duration) {
		c := dial()
		if c == nil {
			return
		}
		defer c.Close()
		start := time.Now()
		fmt.Fprint(c, head)
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(every):
					if _, err := c.Write([]byte("x")); err != nil {
						return
					}
				}
			}
		})
		_ = c.SetReadDeadline(time.Now().Add(15 * time.Second))
		line, _ := bufio.NewReader(c).ReadString('\n')
		close(stop)
		wg.Wait()
		cuts <- cut{kind, time.Since(start), line}
	}
	unread := func() {
		c := dial()
		if c == nil {
			return
		}
		defer c.Close()
		_ = c.(*net.TCPConn).SetReadBuffer(4096)
		fmt.Fprint(c, "GET /collections/c/documents/export HTTP/1.1\r\nHost: localhost\r\n\r\n")
		start := time.Now()
		time.Sleep(1500 * time.Millisecond)
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, _ := io.Copy(io.Discard, c)
		last := "cut"
		if n > 35_000_000 {
			last = "all"
		}
		cuts <- cut{"unread", time.Since(start), last}
	}
	quick := func() time.Duration {
		var worst []time.Duration
		for range 50 {
			start := time.Now()
			s.want(200, "", "POST", "/collections/c/search", `{"q":"x"}`)
			worst = append(worst, time.Since(start))
		}
		slices.Sort(worst)
		return worst[45]
	}
	alone := quick()
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			drip("header", "POST /collections/c/search HTTP/1.1\r\nHost: localhost\r\nX-A: ", 100*time.Millisecond)
		})
		wg.Go(func() { // to a route that reads no body
			drip("leftover", "PATCH /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{", 50*time.Millisecond)
		})
		wg.Go(func() {
			drip("body", "POST /collections/c/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{", 50*time.Millisecond)
		})
	}
	for range 3 {
		wg.Go(unread)
	}
	time.Sleep(200 * time.Millisecond)
	beside := quick()
	wg.Wait()
	close(cuts)
	n := map[string]int{}
	for c := range cuts {
		n[c.kind]++
		switch c.kind {
		case "header":
			if c.took > headerTimeout+3*time.Second {
				t.Errorf("a slow header lived %s", c.took)
			}
		case "leftover":
			if c.took > 4*time.Second { // a client that goes on sending may lose the answer to a reset
				t.Errorf("a body for no route lived %s", c.took)
			}
		case "body":
			if c.took > 4*time.Second || !strings.Contains(c.last, "408") {
				t.Errorf("a slow body lived %s and got %q", c.took, c.last)
			}
		case "unread":
			if c.last != "cut" {
				t.Errorf("a client that does not read got all of the export after %s", c.took)
			}
		}
	}
	if n["header"] != clients || n["body"] != clients || n["leftover"] != clients || n["unread"] != 3 {
		t.Fatalf("clients that were cut off: %v", n)
	}
	t.Logf("search P90 alone %s, beside %d slow clients %s", alone, 3*clients, beside)
	if beside > 10*alone+100*time.Millisecond {
		t.Errorf("search P90 went from %s to %s", alone, beside)
	}
	s.want(200, "", "GET", "/healthz", nil)
}
