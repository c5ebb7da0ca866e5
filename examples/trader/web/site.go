package web

import (
	"bytes"
	"crypto/rand"
	"embed"
	"html/template"
	"io/fs"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/examples/trader/pages"
	"github.com/ganglion-go/ganglion/examples/trader/views"
	"github.com/ganglion-go/ganglion/examples/trader/web/static"
	"github.com/ganglion-go/ganglion/node"
)

//go:embed templates
var files embed.FS

// site is what the handlers share.
type site struct {
	app       *App
	node      *node.Node
	client    actor.Client
	pages     *views.Pages
	templates map[string]*template.Template
	streams   atomic.Int64

	passwords   *passwords
	byName      *limit // log-ins
	byAddress   *limit
	registering *limit // by address
}

// How many tries there are at once, at all nodes together, and after which time one more.
const (
	triesOfName, nextOfName         = 5, 10 * time.Second
	triesOfAddress, nextOfAddress   = 30, 2 * time.Second
	registrations, nextRegistration = 20, 5 * time.Second
)

func newSite(a *App, n *node.Node) *site {
	return &site{
		app: a, node: n, client: n.Client(), pages: views.NewPages(n.View(views.Companies).Storage()), templates: parseTemplates(),
		passwords: a.passwords, byName: newLimit("name", nextOfName, triesOfName), byAddress: newLimit("address", nextOfAddress, triesOfAddress),
		registering: newLimit("registration", nextRegistration, registrations),
	}
}

// parseTemplates returns a template for each page: its own file with the shared ones. What
// is embedded parses, or no test passes.
func parseTemplates() map[string]*template.Template {
	shared := template.Must(template.New("").Funcs(template.FuncMap{
		"money": money, "cents": cents, "count": count, "time": clock, "started": started, "status": status, "spread": spread, "newKey": rand.Text,
		"amount": func(count, price int64) string { return money(count * price) },
	}).ParseFS(files, "templates/layout.html", "templates/parts.html"))
	all := map[string]*template.Template{}
	pages, err := fs.Glob(files, "templates/page-*.html")
	if err != nil {
		panic(err)
	}
	for _, file := range pages {
		name := strings.TrimSuffix(strings.TrimPrefix(file, "templates/page-"), ".html")
		all[name] = template.Must(template.Must(shared.Clone()).ParseFS(files, file))
	}
	return all
}

// routes returns the pages that users reach.
func (s *site) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /static/", s.static())
	mux.HandleFunc("GET /{$}", s.home)
	mux.HandleFunc("GET /market", s.open(s.market))
	mux.HandleFunc("GET /live/market", s.open(s.marketLive))
	mux.HandleFunc("GET /market/{book}", s.open(s.book))
	mux.HandleFunc("GET /market/{book}/live", s.open(s.bookLive))
	mux.HandleFunc("POST /market/{book}/orders", s.ownForm(s.place))
	mux.HandleFunc("GET /dashboard", s.own(s.dashboard))
	mux.HandleFunc("GET /live/dashboard", s.own(s.dashboardLive))
	mux.HandleFunc("POST /dashboard/cash", s.ownForm(s.cash))
	mux.HandleFunc("GET /transactions", s.own(s.transactions))
	mux.HandleFunc("GET /live/transactions", s.own(s.transactionsLive))
	mux.HandleFunc("GET /transactions/{id}", s.own(s.transaction))
	mux.HandleFunc("GET /transactions/{id}/live", s.own(s.transactionLive))
	mux.HandleFunc("POST /transactions/{id}/cancel", s.ownForm(s.cancel))
	mux.HandleFunc("GET /users", s.own(s.users))
	mux.HandleFunc("GET /register", s.registerPage)
	mux.HandleFunc("POST /register", s.form(s.register))
	mux.HandleFunc("GET /login", s.loginPage)
	mux.HandleFunc("POST /login", s.form(s.login))
	mux.HandleFunc("POST /logout", s.form(s.logout))
	mux.HandleFunc("GET /", s.open(func(w http.ResponseWriter, _ *http.Request, who visitor) { s.notFound(w, who) }))
	return pages.Secured(mux)
}

// static serves style sheet, script and icon. They are asked for with the build's name for
// them, so that they may be kept.
func (s *site) static() http.Handler {
	server := http.StripPrefix("/static/", http.FileServerFS(static.Files))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/") {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Cache-Control", "max-age=300")
		server.ServeHTTP(w, r)
	})
}

// page is what every page has.
type page struct {
	Title   string
	At      string // which of the links is this page
	Live    string // the address of the stream of its parts; empty: it has none
	Node    string // that has served it
	Visitor visitor
	Error   string
	Data    any
}

// visitor is who looks at a page.
type visitor struct {
	UserID, Name, PortfolioID string // empty: nobody is logged in
	CSRF                      string // of forms
}

// show renders a page.
func (s *site) show(w http.ResponseWriter, status int, name string, p page) {
	p.Node = s.node.Name()
	text, err := s.render(name, "layout", p)
	if err != nil {
		panic(err) // the node answers 500, and logs it
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(text) // the browser may have gone
}

// render executes a part of a page, before any of it is sent.
func (s *site) render(name, part string, data any) ([]byte, error) {
	var text bytes.Buffer
	err := s.templates[name].ExecuteTemplate(&text, part, data)
	return text.Bytes(), err
}

// problem shows what went wrong, in words.
func (s *site) problem(w http.ResponseWriter, status int, who visitor, what string) {
	s.show(w, status, "problem", page{Title: http.StatusText(status), Visitor: who, Data: what})
}

// unavailable says that the answer is not known.
func (s *site) unavailable(w http.ResponseWriter, who visitor) {
	w.Header().Set("Retry-After", "1")
	s.problem(w, http.StatusServiceUnavailable, who, "The system could not answer just now. If you have sent a form, send it again: it takes effect once.")
}

func (s *site) notFound(w http.ResponseWriter, who visitor) {
	s.problem(w, http.StatusNotFound, who, "There is no such page.")
}

// home sends people where they want to go.
func (s *site) home(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "/market", http.StatusSeeOther)
}
