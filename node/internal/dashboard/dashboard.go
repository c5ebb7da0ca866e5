package dashboard

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// Path is where the pages are.
const Path = "/dashboard/"

// FormMax bounds what a form sends, in bytes.
const FormMax = 1 << 20

// Serves reports whether a path is one of the dashboard's.
func Serves(path string) bool {
	return path == "/" || path+"/" == Path || strings.HasPrefix(path, Path)
}

// Config is what a dashboard is made with.
type Config struct {
	Node      string // its name, for people
	Namespace string
	Build     string
	Token     string        // of the admin server; empty: none is due
	Waits     func() string // what the node waits for, while it is opened
	Stopping  <-chan struct{}
	Logger    *slog.Logger
	Now       func() time.Time // nil: the system's clock
}

// Dashboard serves the pages.
type Dashboard struct {
	cfg       Config
	access    *access
	templates map[string]*template.Template
	version   string // of what is embedded
	pages     http.Handler
	source    atomic.Pointer[Source]
	looks     *looks
	tickets   *tickets
	jobs      *jobs
	streams   atomic.Int64
	tails     atomic.Int64 // streams of events among them
	described descriptions
}

//go:embed templates static
var files embed.FS

// New returns a dashboard that says what the node waits for, until [Dashboard.Open].
func New(cfg Config) *Dashboard {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	d := &Dashboard{
		cfg: cfg, access: newAccess(cfg.Token, cfg.Namespace+" "+cfg.Node, cfg.Now), version: versionOf(files),
		looks: newLooks(cfg.Now), tickets: newTickets(cfg.Now), jobs: newJobs(cfg.Now),
	}
	d.templates = parseTemplates()
	d.pages = d.routes()
	return d
}

// Open has the pages show what s says.
func (d *Dashboard) Open(s Source) { d.source.Store(&s) }

// opened returns the source; nil: the node is not open yet.
func (d *Dashboard) opened() Source {
	if s := d.source.Load(); s != nil {
		return *s
	}
	return nil
}

// policy is the Content-Security-Policy: nothing from elsewhere, and nothing inline.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// ServeHTTP implements [http.Handler]. Whoever is not let in gets the log-in page, and
// nothing else.
func (d *Dashboard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Cookie")
	http.NewCrossOriginProtection().Handler(d.pages).ServeHTTP(w, r)
}

// routes returns the pages. What is not [Dashboard.open] is for those who are let in.
func (d *Dashboard) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, Path, http.StatusFound) })
	mux.Handle("GET "+Path+"static/", static())
	mux.HandleFunc("GET "+Path+"login", d.loginPage)
	mux.HandleFunc("POST "+Path+"login", d.login)
	mux.HandleFunc("POST "+Path+"logout", d.logout)
	for pattern, h := range map[string]handler{
		"GET " + Path + "{$}":          d.live("overview", d.overview),
		"GET " + Path + "partitions":   d.live("partitions", d.partitions),
		"GET " + Path + "kinds":        d.live("kinds", d.kinds),
		"GET " + Path + "kinds/{kind}": d.live("kind", d.kind),
		"GET " + Path + "projections":  d.paced("projections", 2, d.projections),
		"GET " + Path + "effects":      d.paced("effects", 3, d.effects),
		"GET " + Path + "parked":       d.paced("parked", 4, d.parked),
		"GET " + Path + "parked/cause": d.still("cause", d.parkedCause),
		"GET " + Path + "parked/one":   d.still("one", d.parkedOne),
		"GET " + Path + "actions":      d.live("actions", d.actions),
		"GET " + Path + "jobs/{job}":   d.live("job", d.job),
		"POST " + Path + "ask":         d.acting(d.ask),
		"POST " + Path + "do":          d.acting(d.do),
		"POST " + Path + "jobs/{job}":  d.acting(d.stopJob),
		Path:                           d.still("problem", d.unknown),
	} {
		mux.Handle(pattern, d.guarded(h))
	}
	for pattern, h := range d.inspecting() {
		mux.Handle(pattern, d.guarded(h))
	}
	return mux
}

// handler is a page for somebody who was let in.
type handler func(w http.ResponseWriter, r *http.Request, v visitor, s Source)

// guarded has those log in who have to, and the others wait for the node.
func (d *Dashboard) guarded(next handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, ok := d.access.visitor(r)
		if !ok {
			d.showLogin(w, r, http.StatusUnauthorized, "")
			return
		}
		s := d.opened()
		if s == nil {
			w.Header().Set("Refresh", "2")
			d.render(w, r, http.StatusServiceUnavailable, &page{Title: "Starting", Template: "opening", Visitor: v, Body: clean(d.cfg.Waits())})
			return
		}
		next(w, r, v, s)
	})
}

// acting lets a form through that one of this node's pages has shown.
func (d *Dashboard) acting(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request, v visitor, s Source) {
		if err := r.ParseForm(); err != nil {
			d.problem(w, r, v, http.StatusBadRequest, "The form cannot be read.", "Nothing was done.")
			return
		}
		if !d.access.signed(r.PostForm.Get("form"), d.access.form(v)) {
			d.problem(w, r, v, http.StatusForbidden, "The form is not of a page of this node, or of one from before it was started or you logged in again.", "Nothing was done. Go back, reload the page and try again.")
			return
		}
		next(w, r, v, s)
	}
}

// readMax bounds what a page reads.
const readMax = 900 * time.Millisecond

// building makes the body of a page. A *fault has a page of its own.
type building func(ctx context.Context, r *http.Request, s Source) (title string, body any, err error)

// still is a page without a live part.
func (d *Dashboard) still(name string, build building) handler {
	return func(w http.ResponseWriter, r *http.Request, v visitor, s Source) {
		d.build(w, r, v, s, &page{Template: name}, build)
	}
}

// live is a page whose part "live" follows what happens: with live=1 it is sent as events.
func (d *Dashboard) live(name string, build building) handler { return d.paced(name, 1, build) }

// paced is live for what costs the store something: it is looked at every so many beats.
func (d *Dashboard) paced(name string, beats int, build building) handler {
	return func(w http.ResponseWriter, r *http.Request, v visitor, s Source) {
		p := &page{Template: name, Pace: beats}
		q := r.URL.Query()
		if q.Get("live") == "1" {
			d.follow(w, r, v, s, p, build)
			return
		}
		q.Set("live", "1")
		p.Live = r.URL.EscapedPath() + "?" + q.Encode()
		d.build(w, r, v, s, p, build)
	}
}

func (d *Dashboard) build(w http.ResponseWriter, r *http.Request, v visitor, s Source, p *page, build building) {
	ctx, cancel := context.WithTimeout(r.Context(), readMax)
	defer cancel()
	p.Visitor = v
	title, body, err := build(ctx, r, s)
	if f, ok := faultOf(err); ok {
		d.problem(w, r, v, f.status, f.what, f.then)
		return
	}
	p.Title, p.Body = title, body
	d.render(w, r, http.StatusOK, p)
}

// static serves style sheet, script and icon. Pages ask for them with what they are made of,
// so that they may be kept.
func static() http.Handler {
	sub, err := fs.Sub(files, "static")
	if err != nil {
		panic(err) // it is embedded
	}
	server := http.StripPrefix(Path+"static/", http.FileServerFS(sub))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/") {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Cache-Control", "max-age=86400")
		server.ServeHTTP(w, r)
	})
}

// versionOf is a digest of what is embedded.
func versionOf(of fs.FS) string {
	sum := sha256.New()
	_ = fs.WalkDir(of, "static", func(path string, e fs.DirEntry, err error) error { // it is in memory
		if err != nil || e.IsDir() {
			return err
		}
		data, err := fs.ReadFile(of, path)
		sum.Write(data)
		return err
	})
	return hex.EncodeToString(sum.Sum(nil)[:6])
}
