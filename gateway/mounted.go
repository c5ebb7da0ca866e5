package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
)

// mountedAt returns the prefix under which the gateway is mounted, as the client sees it:
// what of the path of the request was stripped before the gateway got it.
func mountedAt(r *http.Request) string {
	asked, err := url.ParseRequestURI(r.RequestURI)
	if err != nil {
		return ""
	}
	prefix, ok := strings.CutSuffix(asked.EscapedPath(), r.URL.EscapedPath())
	if !ok {
		return ""
	}
	return strings.TrimSuffix(prefix, "/")
}

// Description returns the OpenAPI document that /openapi.json has. It must not be changed.
func (g *Gateway) Description() []byte { return g.description }

// describedAt returns the OpenAPI document and its entity tag for a gateway under a prefix.
// Without it, programs would call the paths of the document at the root of the server.
func (g *Gateway) describedAt(prefix string) (document []byte, tag string) {
	if prefix == "" {
		return g.description, g.descriptionTag
	}
	servers, err := json.Marshal([]object{{"url": prefix}})
	if err != nil {
		return g.description, g.descriptionTag
	}
	document = append([]byte("{\n \"servers\": "), servers...)
	document = append(append(document, ','), g.description[1:]...)
	sum := sha256.Sum256(document)
	return document, `"` + hex.EncodeToString(sum[:8]) + `"`
}

// innermost returns the server's own writer, below those of middleware.
func innermost(w http.ResponseWriter) http.ResponseWriter {
	for {
		outer, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return w
		}
		w = outer.Unwrap()
	}
}

// flushes reports whether a writer, or one below it, sends what was written when it is
// asked to.
func flushes(w http.ResponseWriter) bool {
	for {
		switch v := w.(type) {
		case interface{ FlushError() error }, http.Flusher:
			return true
		case interface{ Unwrap() http.ResponseWriter }:
			w = v.Unwrap()
		default:
			return false
		}
	}
}
