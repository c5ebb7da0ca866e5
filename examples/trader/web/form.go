package web

import (
	"crypto/subtle"
	"errors"
	"net/http"
	"strings"

	"github.com/ganglion-go/ganglion/actor"
)

// handler is a handler that knows whose request it has.
type handler func(w http.ResponseWriter, r *http.Request, who visitor)

// open is a page for everybody.
func (s *site) open(h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		who, err := s.who(r)
		if err != nil {
			s.unavailable(w, who)
			return
		}
		h(w, r, who)
	}
}

// own is a page for those who are logged in. What it shows is theirs.
func (s *site) own(h handler) http.HandlerFunc {
	return s.open(func(w http.ResponseWriter, r *http.Request, who visitor) {
		if who.UserID == "" {
			http.Redirect(w, r, "/login", http.StatusSeeOther)
			return
		}
		h(w, r, who)
	})
}

// form is a form for everybody: one of this site, which says so with what only its own
// pages know.
func (s *site) form(h handler) http.HandlerFunc {
	return s.open(func(w http.ResponseWriter, r *http.Request, who visitor) {
		if err := r.ParseForm(); err != nil {
			s.problem(w, http.StatusBadRequest, who, "The form cannot be read, or is too long. Nothing was stored.")
			return
		}
		if who.CSRF == "" || subtle.ConstantTimeCompare([]byte(who.CSRF), []byte(r.PostForm.Get("csrf"))) != 1 {
			s.problem(w, http.StatusForbidden, who, "This form is not, or no longer, one of yours: perhaps you have logged in or out since. Nothing was stored. Open the page anew and send it again.")
			return
		}
		if key := r.PostForm.Get("key"); key == "" || len(key) > keyMax {
			s.problem(w, http.StatusBadRequest, who, "The form has no key. Nothing was stored. Open the page anew and send it again.")
			return
		}
		h(w, r, who)
	})
}

const keyMax = 64 // bytes

// ownForm is a form for those who are logged in.
func (s *site) ownForm(h handler) http.HandlerFunc {
	return s.form(func(w http.ResponseWriter, r *http.Request, who visitor) {
		if who.UserID == "" {
			s.problem(w, http.StatusForbidden, who, "Nobody is logged in any more. Nothing was stored.")
			return
		}
		h(w, r, who)
	})
}

// once returns what names that which a form asks for, however often it is sent: whose it is,
// its key, and what it says.
func once(r *http.Request, who visitor, fields ...string) string {
	parts := []string{who.UserID, r.URL.Path, r.PostForm.Get("key")}
	for _, field := range fields {
		parts = append(parts, strings.TrimSpace(r.PostForm.Get(field)))
	}
	return strings.ToLower(digest(parts...))
}

// by has a command be that of a user.
func by(who visitor) actor.CallOption { return actor.WithMetadata(actor.Metadata{User: who.UserID}) }

// refusal returns what an aggregate has said, if it has decided against a command.
func refusal(err error) (code string, ok bool) {
	r, ok := errors.AsType[*actor.Rejection](err)
	if !ok {
		return "", false
	}
	return r.Code, true
}

// say words the codes of refusals for people.
func say(code string) string {
	text, known := map[string]string{
		"insufficient_cash":   "There is not that much free cash.",
		"insufficient_items":  "There are not that many free shares.",
		"invalid_amount":      "The amount cannot be: it is too large, or nothing.",
		"invalid_order":       "The order cannot be: its amount is too large, or nothing.",
		"already_executed":    "The order is fully traded already.",
		"invalid_transition":  "The order has come to an end already.",
		"portfolio_not_found": "The portfolio is not there yet. Try again in a moment.",
		"book_not_open":       "The order book is not open.",
		"company_exists":      "The company is there already.",
	}[code]
	if !known {
		return "It was refused: " + code + "."
	}
	return text
}
