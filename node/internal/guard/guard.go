package guard

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net"
	"net/http"
	"strings"
)

// Codes of refusals.
const (
	CodeUnknownHost  = "unknown_host"
	CodeCrossOrigin  = "cross_origin"
	CodeUnauthorized = "unauthorized"
)

// Refusal says why a request was not let in.
type Refusal struct {
	Status int
	Code   string
	Detail string
}

// Guard lets requests in, or refuses them. Requests over a unix socket need neither
// host nor token: who may open the file may come in.
type Guard struct {
	Hosts Hosts
	// Token is asked for as a bearer token. Empty: none is.
	Token string
	// Reads has cross-site reads refused, too, which are harmless where they cost
	// nothing: a page cannot see their answers.
	Reads bool
	// Public reports whether a request needs neither host nor token nor origin. Nil:
	// none does.
	Public func(r *http.Request) bool
	// Pages reports whether a request is for a page that finds out itself who may see it:
	// it needs host and origin, and no token, and a page elsewhere may have a link to it.
	// Nil: none is.
	Pages func(r *http.Request) bool
	// Refuse answers what is not let in.
	Refuse func(w http.ResponseWriter, r *http.Request, why Refusal)

	origins http.CrossOriginProtection
}

// Wrap returns a handler that lets requests through to next.
func (g *Guard) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.Public != nil && g.Public(r) {
			next.ServeHTTP(w, r)
			return
		}
		if why := g.check(r); why != nil {
			if why.Status == http.StatusUnauthorized {
				w.Header().Set("WWW-Authenticate", `Bearer realm="ganglion"`)
			}
			g.Refuse(w, r, *why)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (g *Guard) check(r *http.Request) *Refusal {
	local := OverSocket(r)
	page := g.Pages != nil && g.Pages(r)
	switch {
	case !local && !g.Hosts.Allow(r.Host):
		return &Refusal{
			http.StatusMisdirectedRequest, CodeUnknownHost,
			"the server does not answer for this host; its names are those of --allowed-hosts, localhost and IP addresses",
		}
	case g.origins.Check(r) != nil || g.Reads && fromElsewhere(r) && (!page || !navigates(r)):
		return &Refusal{http.StatusForbidden, CodeCrossOrigin, "a page of another origin sent the request"}
	case !local && !page && g.Token != "" && !Bears(r, g.Token):
		return &Refusal{http.StatusUnauthorized, CodeUnauthorized, "the token of --admin-token-file is required, as Authorization: Bearer"}
	}
	return nil
}

// fromElsewhere reports whether a browser sends the request on behalf of a page of
// another origin. Those that say nothing are no browsers, or old ones.
func fromElsewhere(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return site != "" && site != "same-origin" && site != "none"
}

// navigates reports whether a browser shows the answer in a window of its own: somebody has
// followed a link. The page that has it learns nothing of the answer.
func navigates(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) &&
		r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
}

// OverSocket reports whether the request came over a unix socket: who may open the file may
// come in.
func OverSocket(r *http.Request) bool {
	addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && addr.Network() == "unix"
}

// Bears reports whether a request carries a token, as a bearer token. How long that takes
// says nothing of it.
func Bears(r *http.Request, want string) bool {
	token, err := bearer(r.Header["Authorization"])
	if err != nil {
		return false
	}
	return Same(token, want)
}

// Same compares two tokens. How long that takes says nothing of them.
func Same(token, with string) bool {
	got, want := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(with)) // of one length
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

var errNoBearer = errors.New("not one bearer token")

func bearer(headers []string) (string, error) {
	if len(headers) != 1 {
		return "", errNoBearer
	}
	scheme, token, ok := strings.Cut(headers[0], " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return "", errNoBearer
	}
	return strings.TrimSpace(token), nil
}
