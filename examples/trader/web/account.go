package web

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/bcrypt"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/actor/reservation"
	"github.com/ganglion-go/ganglion/examples/trader/domain"
)

const (
	passwordLeast = 8
	passwordMost  = 72 // bytes that bcrypt looks at
	nameMost      = 80 // bytes
	hashesAtOnce  = 2  // they take a processor each
	registerMax   = 15 * time.Second
)

// account is somebody who can log in.
type account struct{ ID, Name, PortfolioID string }

// passwords makes hashes and compares them, few at once: each takes a processor for some
// time, and requests are more than there are processors.
type passwords struct {
	slots chan struct{}
	decoy []byte // the hash of a password that nobody has
	cost  int    // of bcrypt

	compared atomic.Int64 // hashes, for tests
}

func newPasswords(cost int) (*passwords, error) {
	if cost == 0 {
		cost = bcrypt.DefaultCost
	}
	decoy, err := bcrypt.GenerateFromPassword([]byte(rand.Text()), cost)
	return &passwords{slots: make(chan struct{}, hashesAtOnce), decoy: decoy, cost: cost}, err
}

func (p *passwords) enter(ctx context.Context) (leave func(), err error) {
	select {
	case p.slots <- struct{}{}:
		return func() { <-p.slots }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (p *passwords) hash(ctx context.Context, password string) (string, error) {
	leave, err := p.enter(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), p.cost)
	return string(hash), err
}

// matches compares a password with a hash, or with that of nobody if there is none, which
// takes as long.
func (p *passwords) matches(ctx context.Context, hash, password string) (bool, error) {
	leave, err := p.enter(ctx)
	if err != nil {
		return false, err
	}
	defer leave()
	p.compared.Add(1)
	known := []byte(hash)
	if hash == "" {
		known = p.decoy
	}
	return bcrypt.CompareHashAndPassword(known, []byte(password)) == nil && hash != "", nil
}

// authenticate returns whose user name and password these are; ok is false when they are
// nobody's. For a name that nobody has it asks as many aggregates and compares as many
// hashes as for a wrong password.
func (s *site) authenticate(ctx context.Context, username, password string) (u account, ok bool, err error) {
	name, err := domain.NormalizeUsername(username)
	if err != nil {
		name = "-" + digest("no name", username)
	}
	held, _, err := actor.State[reservation.Holding](ctx, s.client, domain.Usernames.ID(name))
	if err != nil && !errors.Is(err, actor.ErrDoesNotExist) {
		return u, false, err
	}
	id := held.Owner
	if id == "" || !held.Confirmed {
		id = "-" + digest("nobody", name)
	}
	hash, err := actor.Read(ctx, s.client, domain.Users.ID(id), domain.ReadPasswordHash{})
	if err != nil {
		return u, false, err
	}
	if ok, err = s.passwords.matches(ctx, hash, password); err != nil || !ok {
		return u, false, err
	}
	user, _, err := actor.State[domain.UserView](ctx, s.client, domain.Users.ID(id))
	if err != nil || user.Status != domain.UserActive {
		return u, false, err
	}
	return account{ID: id, Name: user.Name, PortfolioID: user.PortfolioID}, true, nil
}

// entry is what the forms of log-in and registration have in them again.
type entry struct{ Name, Username string }

func (s *site) loginPage(w http.ResponseWriter, r *http.Request) {
	s.entryPage(w, r, "login", "Log in")
}

func (s *site) registerPage(w http.ResponseWriter, r *http.Request) {
	s.entryPage(w, r, "register", "Register")
}

func (s *site) entryPage(w http.ResponseWriter, r *http.Request, name, title string) {
	who, err := s.who(r)
	switch {
	case err != nil:
		s.unavailable(w, who)
	case who.UserID != "":
		http.Redirect(w, r, "/dashboard", http.StatusSeeOther)
	default:
		s.show(w, http.StatusOK, name, page{Title: title, At: name, Visitor: s.visit(w, r, who), Data: entry{}})
	}
}

// login begins a session.
func (s *site) login(w http.ResponseWriter, r *http.Request, who visitor) {
	e := entry{Username: strings.TrimSpace(r.PostFormValue("username"))}
	again := func(status int, why string) {
		s.show(w, status, "login", page{Title: "Log in", At: "login", Visitor: who, Error: why, Data: e})
	}
	name, err := domain.NormalizeUsername(e.Username)
	if err != nil {
		name = e.Username
	}
	allowed, err := s.byAddress.allow(r.Context(), s.client, s.address(r))
	if allowed && err == nil {
		allowed, err = s.byName.allow(r.Context(), s.client, name)
	}
	switch {
	case err != nil:
		s.unavailable(w, who)
		return
	case !allowed:
		w.Header().Set("Retry-After", "10")
		again(http.StatusTooManyRequests, "There were too many tries. Nothing was looked at; try again in a minute.")
		return
	}
	u, ok, err := s.authenticate(r.Context(), e.Username, r.PostFormValue("password"))
	if err == nil && !ok {
		again(http.StatusUnauthorized, "No user has this name with this password.")
		return
	}
	if err == nil {
		err = s.begin(w, r, u)
	}
	if err != nil {
		s.unavailable(w, who)
		return
	}
	http.Redirect(w, r, "/dashboard", http.StatusSeeOther)
}

// register registers a user under an id that the form has twice if it is sent twice.
func (s *site) register(w http.ResponseWriter, r *http.Request, who visitor) {
	e := entry{Name: strings.TrimSpace(r.PostFormValue("name")), Username: strings.TrimSpace(r.PostFormValue("username"))}
	password := r.PostFormValue("password")
	again := func(status int, why string) {
		s.show(w, status, "register", page{Title: "Register", At: "register", Visitor: who, Error: why, Data: e})
	}
	if why := checkEntry(e, password); why != "" {
		again(http.StatusUnprocessableEntity, why)
		return
	}
	switch allowed, err := s.registering.allow(r.Context(), s.client, s.address(r)); {
	case err != nil:
		s.unavailable(w, who)
		return
	case !allowed:
		w.Header().Set("Retry-After", "10")
		again(http.StatusTooManyRequests, "There were too many registrations. Nothing was stored; try again in a minute.")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), registerMax)
	defer cancel()
	user, err := s.registered(ctx, "u-"+strings.ToLower(digest("user", who.CSRF, r.PostFormValue("key"), e.Username)), e, password)
	switch {
	case errors.Is(err, errOtherPassword):
		again(http.StatusConflict, "This form has registered the user already, with another password. Log in with that one.")
	case err != nil:
		s.unavailable(w, who)
	case user.Status == domain.UserActive:
		u, ok, err := s.authenticate(ctx, e.Username, password)
		if err == nil && ok {
			err = s.begin(w, r, u)
		}
		if err != nil || !ok {
			s.unavailable(w, who)
			return
		}
		http.Redirect(w, r, "/dashboard", http.StatusSeeOther)
	case user.Reason == domain.ErrUsernameTaken.Code:
		again(http.StatusConflict, "Somebody else has this user name. Nothing of yours was kept but the try; choose another.")
	default:
		again(http.StatusConflict, "The registration was refused: "+user.Reason+".")
	}
}

// checkEntry says what is wrong with a registration; empty: nothing.
func checkEntry(e entry, password string) string {
	_, err := domain.NormalizeUsername(e.Username)
	switch {
	case e.Name == "" || len(e.Name) > nameMost || !utf8.ValidString(e.Name):
		return "A name has 1 to 80 letters."
	case err != nil || len(e.Username) > nameMost:
		return "A user name has 1 to 80 letters and digits, and no blanks."
	case len(password) < passwordLeast || len(password) > passwordMost:
		return "A password has 8 to 72 letters."
	default:
		return ""
	}
}

var errOtherPassword = errors.New("the user has another password")

// registered registers a user and waits until that is decided, and until an active one has
// a portfolio. One that is there already must have this password.
func (s *site) registered(ctx context.Context, id string, e entry, password string) (domain.UserView, error) {
	var view domain.UserView
	hash, err := s.passwords.hash(ctx, password)
	if err != nil {
		return view, err
	}
	to := domain.Users.ID(id)
	_, err = actor.Ask(ctx, s.client, to, domain.RegisterUser{Name: e.Name, Username: e.Username, PasswordHash: hash}, actor.WithMetadata(actor.Metadata{User: id}))
	if errors.Is(err, actor.ErrAlreadyExists) {
		var same bool
		if hash, err = actor.Read(ctx, s.client, to, domain.ReadPasswordHash{}); err == nil {
			same, err = s.passwords.matches(ctx, hash, password)
		}
		if err == nil && !same {
			err = errOtherPassword
		}
	}
	if err != nil {
		return view, err
	}
	decided, err := actor.Await(ctx, s.client, to, func(shown actor.Shown[domain.UserView]) bool { return shown.State.Status != domain.UserPending })
	if err != nil || decided.State.Status != domain.UserActive {
		return decided.State, err
	}
	_, err = actor.Await(ctx, s.client, domain.Portfolios.ID(decided.State.PortfolioID), func(shown actor.Shown[domain.PortfolioView]) bool { return shown.Version > 0 })
	return decided.State, err
}
