// Package pages has what all pages of the trading application have in common, whichever
// server they are of: their headers, who may ask for those that are for this machine alone,
// and the parts that follow what happens, as server-sent events.
package pages

import (
	"net"
	"net/http"
)

// policy is the Content-Security-Policy: nothing from elsewhere, and nothing inline.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// Secured sets the headers of every page.
func Secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// ForThisMachine lets requests in that name the machine by its address, or as localhost, so
// that no page of another origin gets in by a name of its own; and none that such a page has a
// browser send.
func ForThisMachine(next http.Handler) http.Handler {
	return http.NewCrossOriginProtection().Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		if host != "localhost" && net.ParseIP(host) == nil {
			http.Error(w, "This server goes by its address.", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	}))
}
