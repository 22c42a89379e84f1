package api

import (
	"net/http"
	"time"

	"robin"

	"github.com/labstack/echo/v4"
)

func (s *Server) healthRoutes(e *echo.Echo) {
	both := []string{http.MethodGet, http.MethodHead}
	e.Match(both, "/healthz", s.alive)
	e.Match(both, "/livez", s.alive)
	e.Match(both, "/readyz", s.ready)
	e.GET("/version", s.version)
	e.GET("/metrics", echo.WrapHandler(s.metrics.handler()))
	e.GET("/openapi.json", s.openAPI)
}

// pageRoutes hand the page and its files to their handler.
func (s *Server) pageRoutes(e *echo.Echo) {
	if s.opts.UI == nil {
		return
	}
	page := func(c echo.Context) error {
		c.Response().Header().Del("Cache-Control") // the page knows what may be kept
		s.opts.UI.ServeHTTP(c.Response(), c.Request())
		return nil
	}
	e.Match([]string{http.MethodGet, http.MethodHead}, "/", page)
	e.Match([]string{http.MethodGet, http.MethodHead}, "/ui/*", page)
}

type healthAnswer struct {
	Status string `json:"status"`
	Detail string `json:"detail,omitempty"`
}

// alive says that the process answers, whatever it can do.
func (s *Server) alive(c echo.Context) error {
	return c.JSON(http.StatusOK, healthAnswer{Status: "ok"})
}

// ready says whether to send it work.
func (s *Server) ready(c echo.Context) error {
	ready, detail := s.engine.Ready()
	if s.stopped.Load() {
		ready, detail = false, "the server is stopping"
	}
	if !ready {
		if detail == "" {
			detail = "the collections are being recovered"
		}
		return &robin.Error{Code: robin.CodeNotReady, Message: detail, RetryAfter: time.Second}
	}
	return c.JSON(http.StatusOK, healthAnswer{Status: "ready"})
}

func (s *Server) version(c echo.Context) error {
	return c.JSON(http.StatusOK, s.opts.Version)
}
