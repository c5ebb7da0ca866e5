package dashboard

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// loginBody is what the log-in page shows.
type loginBody struct {
	Error string
	Next  string // where it leads
	Who   string
}

func (d *Dashboard) loginPage(w http.ResponseWriter, r *http.Request) {
	if _, ok := d.access.visitor(r); ok {
		http.Redirect(w, r, next(r), http.StatusSeeOther)
		return
	}
	d.showLogin(w, r, http.StatusOK, "")
}

// showLogin asks for the token, in the place of any page.
func (d *Dashboard) showLogin(w http.ResponseWriter, r *http.Request, status int, said string) {
	if r.Method == http.MethodGet && r.URL.Query().Get("live") == "1" { // a stream: its page is loaded anew, and asks
		w.Header().Set("Content-Type", "text/event-stream")
		_ = (&events{w: w, out: http.NewResponseController(w)}).send("over", nil) // the browser has gone
		return
	}
	body := loginBody{Error: said, Next: next(r)}
	if r.Method == http.MethodPost {
		body.Who = cut(clean(r.PostForm.Get("who")), whoMax)
	}
	d.render(w, r, status, &page{Title: "Log in", Template: "login", Body: body})
}

// next returns where a log-in leads: a page of ours, else the first one.
func next(r *http.Request) string {
	to := r.FormValue("next")
	if to == "" && r.Method == http.MethodGet {
		to = r.URL.RequestURI()
	}
	u, err := url.Parse(to)
	if err != nil || u.Host != "" || u.Scheme != "" || !strings.HasPrefix(u.Path, Path) || strings.HasPrefix(u.Path, Path+"login") ||
		strings.ContainsAny(to, "\\\r\n") || strings.Contains(u.Path, "//") || strings.Contains(u.Path, "..") {
		return Path
	}
	return u.RequestURI()
}

// login takes the token. A try is counted before it is looked at, so that many at once are
// no more than one after the other.
func (d *Dashboard) login(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		d.showLogin(w, r, http.StatusBadRequest, "The form cannot be read.")
		return
	}
	if !d.access.mayTry(r) {
		w.Header().Set("Retry-After", strconv.Itoa(int(nextTry/time.Second)))
		d.cfg.Logger.WarnContext(r.Context(), "log-in refused: too many tries", "from", r.RemoteAddr)
		d.showLogin(w, r, http.StatusTooManyRequests, "Too many tries from your address. Wait for "+span(nextTry)+" and try again.")
		return
	}
	id, ok := d.access.logIn(r.PostForm.Get("token"), r.PostForm.Get("who"))
	if !ok {
		d.cfg.Logger.WarnContext(r.Context(), "log-in refused: not the token", "from", r.RemoteAddr)
		d.showLogin(w, r, http.StatusUnauthorized, "That is not the token of this node's admin server.")
		return
	}
	if old, _, was := d.access.session(r); was {
		d.access.logOut(old)
	}
	d.cfg.Logger.InfoContext(r.Context(), "operator logged in", "who", cut(clean(r.PostForm.Get("who")), whoMax), "from", r.RemoteAddr)
	d.access.setCookie(w, r, id)
	http.Redirect(w, r, next(r), http.StatusSeeOther)
}

// logout ends a session. It needs no more than the session's own form.
func (d *Dashboard) logout(w http.ResponseWriter, r *http.Request) {
	id, _, ok := d.access.session(r)
	if err := r.ParseForm(); err != nil || ok && !d.access.signed(r.PostForm.Get("form"), d.access.form(visitor{id: id})) {
		d.showLogin(w, r, http.StatusForbidden, "The form is not of a page of this node. You are still logged in.")
		return
	}
	if ok {
		d.access.logOut(id)
		d.cfg.Logger.InfoContext(r.Context(), "operator logged out", "from", r.RemoteAddr)
	}
	d.access.setCookie(w, r, "")
	http.Redirect(w, r, Path+"login", http.StatusSeeOther)
}
