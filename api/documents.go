package api

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"

	"robin"
	"robin/importer"

	"github.com/labstack/echo/v4"
)

func (s *Server) documentRoutes(e *echo.Echo) {
	e.GET("/collections/:c/documents/:id", s.getDocument)
	e.PUT("/collections/:c/documents/:id", s.putDocument)
	e.PATCH("/collections/:c/documents/:id", s.patchDocument)
	e.DELETE("/collections/:c/documents/:id", s.deleteDocument)
	e.POST("/collections/:c/documents/delete", s.deleteDocuments)
	e.GET("/collections/:c/documents/export", s.exportDocuments)
}

// maxDeleteIDs bounds one delete by ids.
const maxDeleteIDs = 10_000

// documentPath reads a collection's name and a document's id from the path. An id may hold any character, encoded; the
// ids import, delete and export are reached with their first letter encoded, since the plain words are routes.
func documentPath(c echo.Context) (collection, id string, err error) {
	if collection, err = collectionName(c); err != nil {
		return "", "", err
	}
	if _, err = queryParams(c, nil); err != nil {
		return "", "", err
	}
	id, err = param(c, "id")
	if err == nil && (id == "" || len(id) > robin.MaxIDBytes) {
		err = robin.Errorf(robin.CodeInvalid, "a document's id has 1 to %d bytes", robin.MaxIDBytes)
	}
	return collection, id, err
}

func (s *Server) getDocument(c echo.Context) error {
	name, id, err := documentPath(c)
	if err != nil {
		return err
	}
	doc, err := s.engine.Document(c.Request().Context(), name, id)
	if err != nil {
		return err
	}
	return c.Blob(http.StatusOK, echo.MIMEApplicationJSON, doc.Raw) // byte for byte as it was sent
}

type writeAnswer struct {
	ID        string      `json:"id"`
	Seq       uint64      `json:"seq"`
	Unchanged bool        `json:"unchanged"`      // the stored document was already the same
	Truncated bool        `json:"truncated"`      // the embedded text was longer than the model's limit
	Twin      *robin.Twin `json:"twin,omitempty"` // the document that it is a duplicate of, where the collection looks for it
}

func twinOf(res robin.WriteResult) *robin.Twin {
	if len(res.Twins) == 0 {
		return nil
	}
	t := res.Twins[0]
	t.Line = 0
	return &t
}

func (s *Server) putDocument(c echo.Context) error {
	name, id, err := documentPath(c)
	if err != nil {
		return err
	}
	raw, err := s.document(c, name, id, false)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if _, err := s.engine.Document(c.Request().Context(), name, id); robin.CodeOf(err) == robin.CodeNoDocument {
		status = http.StatusCreated
		c.Response().Header().Set("Location", "/collections/"+name+"/documents/"+url.PathEscape(id))
	}
	return s.writeOne(c, name, id, robin.Upsert, raw, status)
}

func (s *Server) patchDocument(c echo.Context) error {
	name, id, err := documentPath(c)
	if err != nil {
		return err
	}
	raw, err := s.document(c, name, id, true)
	if err != nil {
		return err
	}
	return s.writeOne(c, name, id, robin.Update, raw, http.StatusOK)
}

// document reads the body of a write to one document. Its id must be that of the path; a patch may leave it out.
func (s *Server) document(c echo.Context, collection, id string, patch bool) (json.RawMessage, error) {
	if err := wantsJSON(c.Request()); err != nil {
		return nil, err
	}
	info, err := s.engine.Collection(c.Request().Context(), collection)
	if err != nil {
		return nil, err
	}
	raw, err := s.readBody(c, robin.MaxDocumentBytes)
	if err != nil {
		return nil, err
	}
	raw = bytes.TrimSpace(raw)
	if err := checkJSON(raw, reflect.TypeFor[map[string]any](), robin.MaxDocumentDepth); err != nil {
		return nil, err
	}
	field := info.Settings.IDField
	switch got, ok := importer.ID(raw, field); {
	case !ok && patch:
		return s.withStoredID(c, collection, raw, field, id)
	case !ok:
		return nil, robin.Invalid("/"+field, "is missing: it holds the document's id, %q", id)
	case got != id:
		return nil, robin.Invalid("/"+field, "is %q, the path says %q", clip(got), clip(id))
	}
	return raw, nil
}

// withStoredID puts the id in front of a patch's fields, with the bytes that the stored document has for it: an id that
// is a number stays one.
func (s *Server) withStoredID(c echo.Context, collection string, raw json.RawMessage, field, id string) (json.RawMessage, error) {
	stored, err := s.engine.Document(c.Request().Context(), collection, id)
	if err != nil {
		return nil, err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(stored.Raw, &fields); err != nil || fields[field] == nil {
		return nil, robin.Errorf(robin.CodeDamaged, "the stored document %q cannot be read", clip(id))
	}
	name, _ := json.Marshal(field)
	out := append(append([]byte{'{'}, name...), ':')
	out = append(out, fields[field]...)
	if rest := bytes.TrimSpace(raw[1:]); rest[0] != '}' {
		out = append(out, ',')
	}
	return append(out, raw[1:]...), nil
}

func (s *Server) writeOne(c echo.Context, collection, id string, action robin.Action, raw json.RawMessage, status int) error {
	res, err := s.engine.Write(c.Request().Context(), collection, action, []json.RawMessage{raw})
	if err != nil {
		return err
	}
	if len(res.Errors) > 0 {
		return robin.Errorf(res.Errors[0].Code, "%s", res.Errors[0].Detail)
	}
	return c.JSON(status, writeAnswer{ID: id, Seq: res.Seq, Unchanged: res.Unchanged > 0, Truncated: res.Truncated > 0, Twin: twinOf(res)})
}

type deleteAnswer struct {
	Deleted int      `json:"deleted"`
	Missing []string `json:"missing"`
	Seq     uint64   `json:"seq"`
}

func (s *Server) deleteDocument(c echo.Context) error {
	name, id, err := documentPath(c)
	if err != nil {
		return err
	}
	deleted, _, seq, err := s.engine.Delete(c.Request().Context(), name, []string{id})
	if err != nil {
		return err
	}
	if deleted == 0 {
		return robin.Errorf(robin.CodeNoDocument, "there is no document %q in %s", clip(id), name)
	}
	return c.JSON(http.StatusOK, deleteAnswer{Deleted: deleted, Missing: []string{}, Seq: seq})
}

type deleteRequest struct {
	IDs    *[]string `json:"ids"`
	Filter *string   `json:"filter"`
}

func (s *Server) deleteDocuments(c echo.Context) error {
	name, err := collectionName(c)
	if err != nil {
		return err
	}
	if _, err := queryParams(c, nil); err != nil {
		return err
	}
	var req deleteRequest
	if err := s.decode(c, &req, maxJSONBody); err != nil {
		return err
	}
	ctx := c.Request().Context()
	switch {
	case (req.IDs == nil) == (req.Filter == nil):
		return robin.Invalid("", "give either ids or filter")
	case req.Filter != nil:
		if *req.Filter == "" {
			return robin.Invalid("/filter", "is empty, which would delete everything; drop the collection instead")
		}
		deleted, seq, err := s.engine.DeleteByFilter(ctx, name, *req.Filter)
		if err != nil {
			return err
		}
		return c.JSON(http.StatusOK, deleteAnswer{Deleted: deleted, Missing: []string{}, Seq: seq})
	case len(*req.IDs) > maxDeleteIDs:
		return robin.Invalid("/ids", "has %d entries, the limit is %d", len(*req.IDs), maxDeleteIDs)
	}
	deleted, missing, seq, err := s.engine.Delete(ctx, name, *req.IDs)
	if err != nil {
		return err
	}
	if missing == nil {
		missing = []string{}
	}
	return c.JSON(http.StatusOK, deleteAnswer{Deleted: deleted, Missing: missing, Seq: seq})
}

// exportDocuments streams every document as one line. When it cannot go on it breaks the connection off, so that a part
// is never taken for the whole.
func (s *Server) exportDocuments(c echo.Context) error {
	name, err := collectionName(c)
	if err != nil {
		return err
	}
	if _, err := queryParams(c, nil); err != nil {
		return err
	}
	if _, err := s.engine.Collection(c.Request().Context(), name); err != nil {
		return err
	}
	c.Response().Header().Set(echo.HeaderContentType, "application/x-ndjson")
	c.Response().Header().Set(echo.HeaderContentDisposition, `attachment; filename="`+name+`.jsonl"`)
	w := bufio.NewWriterSize(writerFunc(func(p []byte) (int, error) {
		s.allowWrite(c)
		return c.Response().Write(p)
	}), 64<<10)
	err = s.engine.Export(c.Request().Context(), name, func(d robin.Document) error {
		return importer.WriteLine(w, d.Raw)
	})
	if err == nil {
		err = w.Flush()
	}
	switch {
	case err == nil && !c.Response().Committed:
		c.Response().WriteHeader(http.StatusOK) // an empty collection
		return nil
	case err == nil, !c.Response().Committed:
		return err
	}
	s.log.Error("export broke off", "request_id", requestID(c), "collection", name, "error", err)
	panic(http.ErrAbortHandler)
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
