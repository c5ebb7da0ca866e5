package dashboard

import (
	"bytes"
	"context"
	"errors"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
)

// page is what every page has.
type page struct {
	Title    string
	Template string
	Visitor  visitor
	Live     string // where its live part is followed; empty: it has none
	Pace     int    // beats between two looks, for what costs the store something; 0: one
	Body     any

	// Filled in as it is rendered.
	Node, Namespace, Build, Version, Form string
	Nav                                   []navItem
}

// Who is who is logged in, for people.
func (p *page) Who() string { return p.Visitor.who }

// LoggedIn reports whether there is something to log out of.
func (p *page) LoggedIn() bool { return p.Visitor.loggedIn }

// navItem is a way to a page.
type navItem struct {
	At, Path, Title string
	Here            bool
}

// nav is the way to the pages, in order. pages are the templates that a way leads to.
func nav(template string) []navItem {
	all := []navItem{
		{At: "overview", Path: Path, Title: "Overview"},
		{At: "partitions", Path: Path + "partitions", Title: "Partitions"},
		{At: "kinds kind", Path: Path + "kinds", Title: "Kinds"},
		{At: "aggregates aggregate state command farther send review sent", Path: Path + "aggregates", Title: "Aggregates"},
		{At: "tail", Path: Path + "tail", Title: "Live tail"},
		{At: "projections", Path: Path + "projections", Title: "Projections"},
		{At: "effects", Path: Path + "effects", Title: "Effects"},
		{At: "parked cause one job", Path: Path + "parked", Title: "Parked"},
		{At: "actions", Path: Path + "actions", Title: "Actions"},
	}
	for i := range all {
		for at := range strings.FieldsSeq(all[i].At) {
			all[i].Here = all[i].Here || at == template
		}
	}
	return all
}

// parseTemplates returns a template for each page: its own file with the shared ones. What is
// embedded parses, or no test passes.
func parseTemplates() map[string]*template.Template {
	shared := template.Must(template.New("").Funcs(template.FuncMap{
		"count": number, "rate": perSecond, "span": span, "bytes": bytesOf, "moment": moment, "ago": ago,
		"short": short, "long": long, "cut": cut, "query": query, "dict": dict, "owner": ownerClass,
		"plural": plural, "acts": acts,
	}).Funcs(template.FuncMap{"idText": idText, "outcome": outcomeOf}).ParseFS(files, "templates/layout.html", "templates/parts.html"))
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

// query writes the query of a link from names and values.
func query(pairs ...string) template.URL {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	return template.URL("?" + q.Encode()) //nolint:gosec // Encode escapes it
}

// dict makes one value of several, for a part that takes one.
func dict(pairs ...any) map[string]any {
	m := map[string]any{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if name, ok := pairs[i].(string); ok {
			m[name] = pairs[i+1]
		}
	}
	return m
}

// acts are the fields of a form that asks about an action.
func acts(pairs ...string) []field {
	var all []field
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			all = append(all, field{pairs[i], pairs[i+1]})
		}
	}
	return all
}

// plural is the form of a word that goes with a number.
func plural(n any, one, many string) string {
	if number(n) == "1" {
		return one
	}
	return many
}

// percent is how much of a whole a part is, rounded down: done is done.
func percent(part, whole uint64) int {
	if whole == 0 || part >= whole {
		return 100
	}
	return int(float64(part) / float64(whole) * 100)
}

// render writes a page. It is made before its first byte is written.
func (d *Dashboard) render(w http.ResponseWriter, r *http.Request, status int, p *page) {
	text, err := d.text(r.Context(), p, "layout")
	if err != nil {
		d.cfg.Logger.ErrorContext(r.Context(), "the page cannot be made", "page", p.Template, "error", err)
		http.Error(w, "The page cannot be made. The log of the node says why.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(text) // the browser has gone
}

// text makes a part of a page.
func (d *Dashboard) text(_ context.Context, p *page, part string) ([]byte, error) {
	p.Node, p.Namespace, p.Build, p.Version = d.cfg.Node, d.cfg.Namespace, d.cfg.Build, d.version
	p.Form, p.Nav = d.access.form(p.Visitor), nav(p.Template)
	var out bytes.Buffer
	if err := d.templates[p.Template].ExecuteTemplate(&out, part, p); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// fault is why there is no such page.
type fault struct {
	status     int
	what, then string
}

// Error implements error.
func (f *fault) Error() string { return f.what }

func faultOf(err error) (*fault, bool) {
	if err == nil {
		return nil, false
	}
	if f, ok := errors.AsType[*fault](err); ok {
		return f, true
	}
	return &fault{http.StatusServiceUnavailable, "It cannot be read now: " + short(err.Error()) + ".", "Reload the page to try again."}, true
}

// problem says what went wrong, and what to do next.
func (d *Dashboard) problem(w http.ResponseWriter, r *http.Request, v visitor, status int, what, then string) {
	d.render(w, r, status, &page{Title: http.StatusText(status), Template: "problem", Visitor: v, Body: map[string]string{"What": what, "Then": then}})
}

func (d *Dashboard) unknown(context.Context, *http.Request, Source) (string, any, error) {
	return "", nil, &fault{http.StatusNotFound, "There is no such page.", "The pages that there are stand above."}
}
