package web

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"net/http"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

const (
	sessionCookie = "trader_session"
	visitCookie   = "trader_visit" // of somebody who is not logged in, for their forms
	sessionFor    = 12 * time.Hour
	tokenBytes    = 26 // of a token as rand.Text makes it
)

// Session is the state of one log-in. The aggregate's id is a hash of the token in the
// browser's cookie: who can read the store cannot log in with what is there.
type Session struct {
	UserID      string    `json:"userId"`
	Name        string    `json:"name"`
	PortfolioID string    `json:"portfolioId"`
	Expires     time.Time `json:"expires"`
	Ended       bool      `json:"ended,omitempty"`
}

// BeginSession begins a session of somebody who has shown who they are.
type BeginSession struct {
	actor.Replies[actor.None]
	UserID      string    `json:"userId"`
	Name        string    `json:"name"`
	PortfolioID string    `json:"portfolioId"`
	Expires     time.Time `json:"expires"`
}

// SessionBegan follows from [BeginSession].
type SessionBegan struct {
	UserID      string    `json:"userId"`
	Name        string    `json:"name"`
	PortfolioID string    `json:"portfolioId"`
	Expires     time.Time `json:"expires"`
}

// EndSession logs out. Again, it changes nothing.
type EndSession struct{ actor.Replies[actor.None] }

// SessionEnded follows from [EndSession].
type SessionEnded struct{}

// Sessions defines kind session, which is the application's own: nobody reaches one from
// outside.
var Sessions = actor.Define("session", func(d *actor.Definition[Session]) {
	actor.On(d, func(_ *Session, ctx *actor.Context, m BeginSession) (actor.None, error) {
		ctx.Raise(SessionBegan{UserID: m.UserID, Name: m.Name, PortfolioID: m.PortfolioID, Expires: m.Expires})
		return actor.None{}, nil
	}, actor.NewOnly())
	actor.On(d, func(s *Session, ctx *actor.Context, _ EndSession) (actor.None, error) {
		if !s.Ended {
			ctx.Raise(SessionEnded{})
		}
		return actor.None{}, nil
	}, actor.ExistingOnly())
	actor.Apply(d, func(s *Session, e SessionBegan) {
		s.UserID, s.Name, s.PortfolioID, s.Expires = e.UserID, e.Name, e.PortfolioID, e.Expires
	})
	actor.Apply(d, func(s *Session, _ SessionEnded) { s.Ended = true })
	d.Internal()
})

// digest returns a text that says nothing of what it is made from. Its parts are kept apart.
func digest(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		sum := sha256.Sum256([]byte(part))
		_, _ = h.Write(sum[:])
	}
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(h.Sum(nil))[:tokenBytes]
}

func sessionID(token string) actor.Address { return Sessions.ID(digest("session", token)) }

// cookie returns the token in a cookie; empty: there is none that could be one.
func cookie(r *http.Request, name string) string {
	c, err := r.Cookie(name)
	if err != nil || len(c.Value) != tokenBytes {
		return ""
	}
	return c.Value
}

// setCookie has the browser keep a token; a life below 0 has it forget.
func (s *site) setCookie(w http.ResponseWriter, r *http.Request, name, token string, life time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: token, Path: "/", MaxAge: int(life / time.Second), HttpOnly: true,
		SameSite: http.SameSiteLaxMode, Secure: s.app.SecureCookies || r.TLS != nil,
	})
}

// who returns whose request it is; nobody's, without a session that holds. The error says
// that this cannot be known now.
func (s *site) who(r *http.Request) (visitor, error) {
	token := cookie(r, sessionCookie)
	if token == "" {
		return visitor{CSRF: csrf(cookie(r, visitCookie))}, nil
	}
	session, _, err := actor.State[Session](r.Context(), s.client, sessionID(token))
	switch {
	case errors.Is(err, actor.ErrDoesNotExist):
		return visitor{CSRF: csrf(cookie(r, visitCookie))}, nil
	case err != nil:
		return visitor{}, err
	case session.Ended || !time.Now().Before(session.Expires):
		return visitor{CSRF: csrf(cookie(r, visitCookie))}, nil
	}
	return visitor{UserID: session.UserID, Name: session.Name, PortfolioID: session.PortfolioID, CSRF: csrf(token)}, nil
}

// csrf returns what forms of a browser carry with such a cookie: no other site can know it.
// Empty: there is no cookie, and no form is taken.
func csrf(token string) string {
	if token == "" {
		return ""
	}
	return digest("form", token)
}

// visit makes sure that the browser has a cookie which its forms can be told by.
func (s *site) visit(w http.ResponseWriter, r *http.Request, who visitor) visitor {
	if who.CSRF == "" {
		token := rand.Text()
		s.setCookie(w, r, visitCookie, token, sessionFor)
		who.CSRF = csrf(token)
	}
	return who
}

// begin logs somebody in, with a token that nobody has seen before: whatever the browser had
// is of no use any more.
func (s *site) begin(w http.ResponseWriter, r *http.Request, u account) error {
	s.endSession(r)
	token := rand.Text()
	_, err := actor.Ask(r.Context(), s.client, sessionID(token), BeginSession{
		UserID: u.ID, Name: u.Name, PortfolioID: u.PortfolioID, Expires: time.Now().Add(sessionFor).UTC(),
	}, actor.WithMetadata(actor.Metadata{User: u.ID}))
	if err != nil {
		return err
	}
	s.setCookie(w, r, sessionCookie, token, sessionFor)
	s.setCookie(w, r, visitCookie, "", -time.Second)
	return nil
}

// endSession ends the session of a request, if it has one. That it could not be ended keeps
// nobody from logging in: its token is forgotten.
func (s *site) endSession(r *http.Request) {
	if token := cookie(r, sessionCookie); token != "" {
		_, _ = actor.Ask(r.Context(), s.client, sessionID(token), EndSession{})
	}
}

// logout ends the session, at all nodes.
func (s *site) logout(w http.ResponseWriter, r *http.Request, who visitor) {
	if token := cookie(r, sessionCookie); who.UserID != "" && token != "" {
		_, err := actor.Ask(context.WithoutCancel(r.Context()), s.client, sessionID(token), EndSession{})
		if err != nil {
			s.unavailable(w, who) // the browser keeps the cookie, for the next try
			return
		}
	}
	s.setCookie(w, r, sessionCookie, "", -time.Second)
	http.Redirect(w, r, "/market", http.StatusSeeOther)
}
