package hotel

import (
	"crypto/rand"
	"errors"
	"html/template"
	"net/http"
	"strconv"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/examples/hotel/domain"
	"github.com/ganglion-go/ganglion/examples/hotel/views"
	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/projection"
)

// desk has the pages of the front desk.
type desk struct {
	client   actor.Client
	calendar *projection.View
}

func newDesk(n *node.Node) *desk { return &desk{client: n.Client(), calendar: n.View(views.Calendar)} }

func (d *desk) register(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", d.rooms)
	mux.HandleFunc("POST /bookings", d.book)
	mux.HandleFunc("GET /bookings/{id}", d.booking)
}

// roomsShown bounds the page.
const roomsShown = 200

type roomRow struct {
	views.Room

	Booked int // nights
}

// rooms shows the rooms, and how many of their nights are booked.
func (d *desk) rooms(w http.ResponseWriter, r *http.Request) {
	page, err := views.Rooms.Page(r.Context(), d.calendar, projection.Range{Limit: roomsShown})
	rows := make([]roomRow, 0, len(page.Entries))
	for _, e := range page.Entries {
		if err != nil {
			break
		}
		row := roomRow{Room: e.Value}
		row.Booked, _, err = views.Nights.Count(r.Context(), d.calendar, projection.Range{Prefix: projection.KeyPrefix(e.Value.ID)})
		rows = append(rows, row)
	}
	if err != nil {
		unavailable(w)
		return
	}
	show(w, roomsPage, rows)
}

// book requests a booking under an id of its own, which a form that is sent twice has twice.
func (d *desk) book(w http.ResponseWriter, r *http.Request) {
	nights, err := strconv.Atoi(r.PostFormValue("nights"))
	id := r.PostFormValue("id")
	if err == nil {
		_, err = actor.Ask(r.Context(), d.client, domain.Bookings.ID(id), domain.RequestBooking{
			Guest: r.PostFormValue("guest"), Room: r.PostFormValue("room"), Stay: domain.Stay{From: r.PostFormValue("from"), Nights: nights},
		})
	}
	rejection, rejected := errors.AsType[*actor.Rejection](err)
	switch {
	case err == nil, errors.Is(err, actor.ErrAlreadyExists):
		http.Redirect(w, r, "/bookings/"+id, http.StatusSeeOther)
	case rejected:
		http.Error(w, rejection.Message, http.StatusUnprocessableEntity)
	case nights == 0:
		http.Error(w, "How many nights?", http.StatusUnprocessableEntity)
	default:
		unavailable(w)
	}
}

// booking shows where a booking stands. It is asked for again until that is certain.
func (d *desk) booking(w http.ResponseWriter, r *http.Request) {
	b, _, err := actor.State[domain.Booking](r.Context(), d.client, domain.Bookings.ID(r.PathValue("id")))
	switch {
	case errors.Is(err, actor.ErrDoesNotExist):
		http.NotFound(w, r)
		return
	case err != nil:
		unavailable(w)
		return
	case b.Status == domain.BookingRequested:
		w.Header().Set("Refresh", "1")
	}
	show(w, bookingPage, b)
}

func unavailable(w http.ResponseWriter) {
	http.Error(w, "Please try again in a moment.", http.StatusServiceUnavailable)
}

func show(w http.ResponseWriter, page *template.Template, data any) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = page.Execute(w, data) // the browser has gone
}

// euros formats cents.
func euros(cents int64) string {
	text := strconv.FormatInt(cents%100, 10)
	if len(text) < 2 {
		text = "0" + text
	}
	return strconv.FormatInt(cents/100, 10) + "." + text + " €"
}

func page(body string) *template.Template {
	return template.Must(template.New("page").Funcs(template.FuncMap{"euros": euros, "newID": rand.Text}).Parse(
		`<!doctype html><html lang="en"><meta charset="utf-8"><title>Hotel</title>
<style>body{font:16px/1.5 system-ui;margin:2rem auto;max-width:46rem;padding:0 1rem}
table{border-collapse:collapse;width:100%}td,th{padding:.4rem .6rem;border-bottom:1px solid #ddd;text-align:left}
input,button{font:inherit;padding:.2rem .4rem}.confirmed{color:#176b2c}.refused{color:#a02020}</style>` + body + `</html>`))
}

var (
	roomsPage = page(`<h1>Rooms</h1>
<table><tr><th>Room<th>Name<th>A night<th>Nights booked</tr>
{{range .}}<tr><td>{{.ID}}<td>{{.Name}}<td>{{euros .Cents}}<td>{{.Booked}}</tr>{{else}}<tr><td colspan="4">There are no rooms yet.</tr>{{end}}
</table>
<h2>Book</h2>
<form method="post" action="/bookings"><input type="hidden" name="id" value="{{newID}}">
<p><label>Guest <input name="guest" required></label> <label>Room <input name="room" required size="5"></label>
<p><label>From <input name="from" type="date" required></label> <label>Nights <input name="nights" type="number" min="1" max="30" value="1"></label>
<button>Book</button></form>`)
	bookingPage = page(`<h1>Booking of {{.Guest}}</h1>
<p>Room {{.Room}}, {{.Nights}} night{{if ne .Nights 1}}s{{end}} from {{.From}}:
<strong class="{{.Status}}">{{.Status}}</strong>{{if .Reason}} ({{.Reason}}){{end}}{{if .Cents}}, {{euros .Cents}} were charged{{end}}.
<p><a href="/">All rooms</a>`)
)
