package dashboard

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/ganglion-go/ganglion/node/internal/guard"
)

const (
	sessionLife = 12 * time.Hour
	sessionsMax = 1000 // beyond that, the oldest ends

	triesAtOnce = 5 // of an address
	nextTry     = 10 * time.Second
	addressMax  = 4096 // that are remembered

	whoMax = 80 // bytes of an operator's name
)

// visitor is who looks at a page.
type visitor struct {
	id       string // of the session; empty: none was needed, or a bearer token came along
	who      string
	loggedIn bool
}

// session is kept in memory, and ends with the node.
type session struct {
	who   string
	until time.Time
}

// access decides who sees the pages.
type access struct {
	token  string // empty: none is due
	cookie string
	key    []byte // of what forms carry
	now    func() time.Time

	mu       sync.Mutex
	sessions map[[sha256.Size]byte]session
	tries    map[netip.Prefix]*rate.Limiter
	others   *rate.Limiter // of addresses beyond what is remembered
}

// newAccess makes the cookie's name from that of the node: a browser shows cookies to all
// ports of a host.
func newAccess(token, node string, now func() time.Time) *access {
	name := sha256.Sum256([]byte(node))
	return &access{
		token: token, cookie: "ganglion-admin-" + hex.EncodeToString(name[:6]), key: []byte(rand.Text() + rand.Text()), now: now,
		sessions: map[[sha256.Size]byte]session{}, tries: map[netip.Prefix]*rate.Limiter{}, others: newTries(),
	}
}

func newTries() *rate.Limiter { return rate.NewLimiter(rate.Every(nextTry), triesAtOnce) }

// visitor returns who sends a request; false: somebody who has to log in.
func (a *access) visitor(r *http.Request) (visitor, bool) {
	if id, s, ok := a.session(r); ok {
		return visitor{id: id, who: s.who, loggedIn: true}, true
	}
	ok := a.token == "" || guard.OverSocket(r) || guard.Bears(r, a.token)
	return visitor{}, ok
}

// session looks up the session of a request. A cookie that comes twice is none.
func (a *access) session(r *http.Request) (id string, s session, ok bool) {
	if cookies := r.CookiesNamed(a.cookie); len(cookies) == 1 {
		id = cookies[0].Value
		s, ok = a.lookup(id)
	}
	return id, s, ok
}

// lookup finds a session by the digest of its id: how long that takes says nothing of ids.
func (a *access) lookup(id string) (session, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, ok := a.sessions[sha256.Sum256([]byte(id))]
	return s, ok && a.now().Before(s.until)
}

// stands reports whether a visitor may still see what they saw.
func (a *access) stands(v visitor) bool {
	if v.id == "" {
		return true
	}
	_, ok := a.lookup(v.id)
	return ok
}

// logIn begins a session of a new id if the token is the right one.
func (a *access) logIn(token, who string) (id string, ok bool) {
	if a.token == "" || !guard.Same(strings.TrimSpace(token), a.token) {
		return "", false
	}
	id = rand.Text() + rand.Text()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tidyLocked()
	a.sessions[sha256.Sum256([]byte(id))] = session{who: cut(clean(strings.Join(strings.Fields(who), " ")), whoMax), until: a.now().Add(sessionLife)}
	return id, true
}

// tidyLocked makes room for a session.
func (a *access) tidyLocked() {
	var oldest [sha256.Size]byte
	var first time.Time
	for id, s := range a.sessions {
		if !a.now().Before(s.until) {
			delete(a.sessions, id)
			continue
		}
		if first.IsZero() || s.until.Before(first) {
			oldest, first = id, s.until
		}
	}
	if len(a.sessions) >= sessionsMax {
		delete(a.sessions, oldest)
	}
}

func (a *access) logOut(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.sessions, sha256.Sum256([]byte(id)))
}

// mayTry takes a try to log in, if the address has one left.
func (a *access) mayTry(r *http.Request) bool {
	from := addressOf(r)
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	one := a.tries[from]
	if one == nil && len(a.tries) >= addressMax {
		for other, l := range a.tries {
			if l.TokensAt(now) >= triesAtOnce { // as good as a new one
				delete(a.tries, other)
			}
		}
	}
	if one == nil && len(a.tries) >= addressMax {
		return a.others.AllowN(now, 1)
	}
	if one == nil {
		one = newTries()
		a.tries[from] = one
	}
	return one.AllowN(now, 1)
}

// addressOf is what an address of a request counts as: of IPv6, its /64.
func addressOf(r *http.Request) netip.Prefix {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return netip.Prefix{}
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Prefix{}
	}
	bits := 32
	if ip = ip.Unmap().WithZone(""); ip.Is6() {
		bits = 64
	}
	p, _ := ip.Prefix(bits) // it has as many
	return p
}

// setCookie gives a session to the browser; an empty id takes it back.
func (a *access) setCookie(w http.ResponseWriter, r *http.Request, id string) {
	c := &http.Cookie{
		Name: a.cookie, Value: id, Path: Path, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https", MaxAge: int(sessionLife / time.Second),
	}
	if id == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// sign returns what only this node makes of parts, for a visitor.
func (a *access) sign(v visitor, parts ...string) string {
	mac := hmac.New(sha256.New, a.key)
	for _, p := range append([]string{v.id}, parts...) {
		mac.Write([]byte(strconv.Itoa(len(p)) + ":" + p))
	}
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// form returns what forms of a visitor's pages carry, which no other page knows.
func (a *access) form(v visitor) string { return a.sign(v, "form") }

func (a *access) signed(given, want string) bool { return hmac.Equal([]byte(given), []byte(want)) }
