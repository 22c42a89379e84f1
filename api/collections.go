package api

import (
	"net/http"

	"robin"

	"github.com/labstack/echo/v4"
)

func (s *Server) collectionRoutes(e *echo.Echo) {
	e.GET("/collections", s.listCollections)
	e.PUT("/collections/:c", s.putCollection)
	e.GET("/collections/:c", s.getCollection)
	e.DELETE("/collections/:c", s.dropCollection)
	e.GET("/collections/:c/quarantine", s.listQuarantine)
}

type collectionList struct {
	Collections []robin.CollectionInfo `json:"collections"`
}

func (s *Server) listCollections(c echo.Context) error {
	if _, err := queryParams(c, nil); err != nil {
		return err
	}
	infos, err := s.engine.Collections(c.Request().Context())
	if err != nil {
		return err
	}
	if infos == nil {
		infos = []robin.CollectionInfo{}
	}
	return c.JSON(http.StatusOK, collectionList{infos})
}

func (s *Server) putCollection(c echo.Context) error {
	name, err := collectionName(c)
	if err != nil {
		return err
	}
	if _, err := queryParams(c, nil); err != nil {
		return err
	}
	var settings robin.Settings
	if err := s.decode(c, &settings, maxJSONBody); err != nil {
		return err
	}
	if settings = settings.Defaulted(); settings.Validate() != nil {
		return settings.Validate()
	}
	info, created, err := s.engine.PutCollection(c.Request().Context(), name, settings)
	if err != nil {
		return err
	}
	if created {
		c.Response().Header().Set("Location", "/collections/"+name)
		return c.JSON(http.StatusCreated, info)
	}
	return c.JSON(http.StatusOK, info)
}

func (s *Server) getCollection(c echo.Context) error {
	name, err := collectionName(c)
	if err != nil {
		return err
	}
	if _, err := queryParams(c, nil); err != nil {
		return err
	}
	info, err := s.engine.Collection(c.Request().Context(), name)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, info)
}

func (s *Server) dropCollection(c echo.Context) error {
	name, err := collectionName(c)
	if err != nil {
		return err
	}
	if _, err := queryParams(c, nil); err != nil {
		return err
	}
	if err := s.engine.DropCollection(c.Request().Context(), name); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

type quarantineList struct {
	Quarantine []robin.Quarantined `json:"quarantine"`
}

func (s *Server) listQuarantine(c echo.Context) error {
	name, err := collectionName(c)
	if err != nil {
		return err
	}
	if _, err := queryParams(c, nil); err != nil {
		return err
	}
	list, err := s.engine.Quarantine(c.Request().Context(), name)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, quarantineList{list})
}
