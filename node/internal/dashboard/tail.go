package dashboard

import (
	"context"
	"net/http"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

const (
	tailShown = 100
	tailsMost = 16                     // that are followed at one node
	tailFirst = 400 * time.Millisecond // for a page to gather what there is
)

// tailBody is the live tail.
type tailBody struct {
	Filter  TailFilter
	Kinds   []ShownKind
	Events  []tailRow
	Matched uint64
	Missed  uint64 // that matched and were never on the page
	Fault   string
}

// tailRow is an event of the tail.
type tailRow struct {
	Of    string
	Event actor.EventRecord
	Data  string
}

func tailFilterOf(r *http.Request) (f TailFilter, err error) {
	f.Kind = actor.Kind(r.URL.Query().Get("kind"))
	if f.Kind != "" && f.Kind.Validate() != nil {
		return f, &fault{http.StatusBadRequest, "There can be no kind " + short(string(f.Kind)) + ".", "Choose one of those that are offered."}
	}
	for name, to := range map[string]*string{"id": &f.ID, "event": &f.Event, "user": &f.User} {
		if *to, err = textIn(r, name, actor.MaxIDBytes); err != nil {
			return f, err
		}
	}
	return f, nil
}

// tail shows events as they come. A stream follows one reader of the event stream from its
// begin to its end; a page without script has what there is, and the same after a reload.
func (d *Dashboard) tail(w http.ResponseWriter, r *http.Request, v visitor, s Source) {
	f, err := tailFilterOf(r)
	if bad, ok := faultOf(err); ok {
		d.problem(w, r, v, bad.status, bad.what, bad.then)
		return
	}
	defer d.tails.Add(-1)
	if d.tails.Add(1) > tailsMost {
		w.Header().Set("Retry-After", "5")
		d.problem(w, r, v, http.StatusServiceUnavailable, "Too many tails are followed at this node.", "Close one, or try again in a moment.")
		return
	}
	reader, stop := s.Follow(r.Context(), f, tailShown)
	defer stop()
	if r.URL.Query().Get("live") != "1" {
		select { // what there is comes at once, and is not many
		case <-time.After(tailFirst):
		case <-r.Context().Done():
			return
		}
	}
	last, missed, begun := uint64(0), uint64(0), false
	build := func(context.Context, *http.Request, Source) (string, any, error) {
		events, matched, fault := reader.Newest()
		if came := matched - last; begun && came > uint64(len(events)) {
			missed += came - uint64(len(events))
		}
		last, begun = matched, true
		return "Live tail", tailOf(f, s, events, matched, missed, fault), nil
	}
	d.live("tail", build)(w, r, v, s)
}

func tailOf(f TailFilter, s Source, events []actor.EventRecord, matched, missed uint64, fault string) tailBody {
	b := tailBody{Filter: f, Kinds: s.ShownKinds(), Matched: matched, Missed: missed, Fault: short(fault)}
	for i := range events {
		b.Events = append(b.Events, tailRow{Of: events[i].Source.String(), Event: events[i], Data: oneLine(events[i].Data)})
	}
	return b
}
