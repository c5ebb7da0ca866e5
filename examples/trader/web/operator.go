package web

import (
	"net/http"
	"strings"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/examples/trader/domain"
	"github.com/ganglion-go/ganglion/examples/trader/pages"
	"github.com/ganglion-go/ganglion/examples/trader/views"
)

// users shows who trades.
func (s *site) users(w http.ResponseWriter, r *http.Request, who visitor) {
	all, err := s.pages.Users(r.Context(), "", listMax)
	if err != nil {
		s.unavailable(w, who)
		return
	}
	s.show(w, http.StatusOK, "users", page{Title: "Users", At: "users", Visitor: who, Data: all})
}

// operator returns what is on the second address: the command API, and the administrator's
// page, for which nobody logs in. Who reaches the address may do everything.
func (s *site) operator(api http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/v1/", api)
	mux.Handle("/openapi.json", api)
	own := http.NewServeMux()
	own.Handle("GET /static/", s.static())
	own.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { s.showAdmin(w, r, http.StatusOK, "") })
	own.HandleFunc("POST /give", s.give)
	own.HandleFunc("POST /companies", s.found)
	mux.Handle("/", http.MaxBytesHandler(pages.Secured(own), formMax))
	return mux
}

// adminPage is what an administrator sees.
type adminPage struct {
	Users     []views.User
	Companies []views.Company
}

func (s *site) showAdmin(w http.ResponseWriter, r *http.Request, status int, why string) {
	var a adminPage
	all, err := s.pages.Users(r.Context(), "", listMax)
	for _, u := range all {
		if u.Status == domain.UserActive {
			a.Users = append(a.Users, u)
		}
	}
	if err == nil {
		a.Companies, err = s.pages.Companies(r.Context(), "", listMax)
	}
	if err != nil {
		s.unavailable(w, visitor{})
		return
	}
	s.show(w, status, "admin", page{Title: "Administration", At: "admin", Error: why, Data: a})
}

// give gives cash or shares to a user.
func (s *site) give(w http.ResponseWriter, r *http.Request) {
	to := domain.Portfolios.ID(r.PostFormValue("portfolio"))
	id := actor.WithCommandID(actor.CommandID("admin-" + once(r, visitor{}, "portfolio", "what", "amount")))
	var err error
	if what := r.PostFormValue("what"); what == "" {
		var amount int64
		if amount, err = parseMoney(r.PostFormValue("amount")); err == nil {
			_, err = actor.Ask(r.Context(), s.client, to, domain.DepositCash{Amount: amount}, id)
		}
	} else {
		var n int64
		if n, err = parseCount(r.PostFormValue("amount")); err == nil {
			_, err = actor.Ask(r.Context(), s.client, to, domain.AddItems{OrderBookID: what, Count: n}, id)
		}
	}
	s.answerAdmin(w, r, err)
}

// found lists a company, whose order book opens by itself.
func (s *site) found(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimSpace(r.PostFormValue("name"))
	shares, err := parseCount(r.PostFormValue("shares"))
	if err == nil && (name == "" || len(name) > nameMost) {
		err = errName
	}
	if err == nil {
		id := actor.WithCommandID(actor.CommandID("admin-" + once(r, visitor{}, "name", "shares")))
		_, err = actor.Ask(r.Context(), s.client, domain.Companies.ID("c-"+once(r, visitor{}, "name", "shares")), domain.CreateCompany{Name: name, Shares: shares}, id)
	}
	s.answerAdmin(w, r, err)
}

func (s *site) answerAdmin(w http.ResponseWriter, r *http.Request, err error) {
	code, refused := refusal(err)
	switch {
	case refused:
		s.showAdmin(w, r, http.StatusUnprocessableEntity, say(code)+" Nothing was stored.")
	case isInput(err):
		s.showAdmin(w, r, http.StatusUnprocessableEntity, "Nothing was stored: "+err.Error()+".")
	case err != nil:
		s.unavailable(w, visitor{})
	default:
		http.Redirect(w, r, "/", http.StatusSeeOther)
	}
}
