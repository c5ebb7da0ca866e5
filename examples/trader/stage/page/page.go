package page

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ganglion-go/ganglion/examples/trader/pages"
	webstatic "github.com/ganglion-go/ganglion/examples/trader/web/static"
)

//go:embed templates static
var files embed.FS

const (
	formMax     = 16 << 10        // bytes of a form
	actMax      = 2 * time.Minute // for an action, whoever still waits for its answer
	outcomeKept = 20 * time.Second
)

// Engine is what runs and measures the machine. Its methods are called concurrently.
type Engine interface {
	// Snapshot returns the newest one, without waiting. Nobody changes it afterwards.
	Snapshot() Snapshot
	// Changed returns a channel that is closed when there is a newer snapshot. Callers ask
	// for it before they take the one that they have.
	Changed() <-chan struct{}
	// Act carries an action out, or refuses it. Long ones are begun, and go on after it has
	// returned. Name and form come from outside as they are.
	Act(ctx context.Context, name string, form url.Values) Outcome
	// Stopping is closed when the stage ends; streams end with it.
	Stopping() <-chan struct{}
}

// Page is an [http.Handler]. Make it with [New].
type Page struct {
	engine    Engine
	templates *template.Template
	handler   http.Handler
	streams   atomic.Int64

	mu       sync.Mutex
	rendered rendering // the newest
	outcome  *Outcome  // of the newest action
}

// New returns the page of an engine, and what belongs to it: GET /, /events, /snapshot and
// /static/, and POST /actions/{name}. Whose requests it answers is for its caller to guard.
func New(engine Engine) *Page {
	p := &Page{engine: engine, templates: template.Must(template.New("").
		Funcs(template.FuncMap{"tracks": tracks}).ParseFS(files, "templates/*.html"))}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.show)
	mux.HandleFunc("GET /events", p.events)
	mux.HandleFunc("GET /snapshot", p.snapshot)
	mux.HandleFunc("POST /actions/{name}", p.act)
	for _, name := range []string{"style.css", "icon.svg"} {
		mux.Handle("GET /static/"+name, static(http.StripPrefix("/static/", http.FileServerFS(webstatic.Files))))
	}
	for _, name := range []string{"stage.css", "stage.js"} {
		mux.Handle("GET /static/"+name, static(http.FileServerFS(files)))
	}
	p.handler = pages.Secured(mux)
	return p
}

// static lets style sheets and scripts be kept for a while.
func static(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		next.ServeHTTP(w, r)
	})
}

// ServeHTTP implements [http.Handler].
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.handler.ServeHTTP(w, r) }

// show answers with the whole page, as it is now.
func (p *Page) show(w http.ResponseWriter, _ *http.Request) {
	var page bytes.Buffer
	if err := p.templates.ExecuteTemplate(&page, "page", p.now()); err != nil {
		http.Error(w, "The page could not be rendered: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(page.Bytes()) // the browser may have gone
}

// now puts the newest snapshot into words, with the newest outcome.
func (p *Page) now() model {
	s, now := p.engine.Snapshot(), time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	return newModel(p.withOutcome(s, now), now)
}

// withOutcome adds the newest outcome to a snapshot that was made before it, for a while.
func (p *Page) withOutcome(s Snapshot, now time.Time) Snapshot {
	if p.outcome != nil && (s.Outcome == nil || p.outcome.Time.After(s.Outcome.Time)) {
		s.Outcome = p.outcome
	}
	if s.Outcome != nil && now.Sub(s.Outcome.Time) > outcomeKept {
		s.Outcome = nil
	}
	return s
}

// snapshot answers with the figures themselves.
func (p *Page) snapshot(w http.ResponseWriter, _ *http.Request) {
	data, err := json.Marshal(p.engine.Snapshot())
	if err != nil {
		http.Error(w, "The snapshot cannot be written as JSON: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(data)
}

// act passes a form on. Scripts get the outcome, which says whether the action was refused;
// forms get the page, which shows it.
func (p *Page) act(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, formMax)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "The form cannot be read.", http.StatusBadRequest)
		return
	}
	// What has begun goes on, also if the browser does not wait for it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), actMax)
	defer cancel()
	outcome := p.engine.Act(ctx, r.PathValue("name"), r.PostForm)
	if outcome.Time.IsZero() {
		outcome.Time = time.Now()
	}
	p.mu.Lock()
	p.outcome = &outcome
	p.mu.Unlock()
	if !strings.Contains(r.Header.Get("Accept"), "application/json") {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	data, err := json.Marshal(outcome)
	if err != nil {
		panic(err) // it has strings and a time
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(data)
}
