package web

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/ganglion-go/ganglion/examples/trader/pages"
	"github.com/ganglion-go/ganglion/projection"
)

const (
	livePace   = 100 * time.Millisecond // between two looks
	liveBeat   = time.Second            // a look without a change, and a sign of life
	liveWrite  = 10 * time.Second       // for a client to take what was sent
	liveRead   = 5 * time.Second
	streamsMax = 1024 // at one node
)

// part is an element of a page that is replaced whenever it is another one.
type part struct {
	name   string // as data-part says
	render func(context.Context) ([]byte, error)
	of     []interest
}

// interest is what a part is made of.
type interest struct {
	view   *projection.Projection
	prefix string // of keys of the view's documents
}

// interestsMax is how many all parts of a page have together.
const interestsMax = 3

// follow sends parts of a page as server-sent events, each anew whenever it is another one,
// until the browser goes or the node stops. A browser has few connections to a host, so a
// page has one stream. Changes of the views wake it up; it also looks each second, for what
// the views do not have.
func (s *site) follow(w http.ResponseWriter, r *http.Request, parts ...part) {
	if s.streams.Add(1) > streamsMax {
		s.streams.Add(-1)
		w.Header().Set("Retry-After", "5")
		http.Error(w, "Too many pages are followed at this node.", http.StatusServiceUnavailable)
		return
	}
	defer s.streams.Add(-1)
	out := &events{last: make([][]byte, len(parts)), due: make([]bool, len(parts))}
	var notices [interestsMax]<-chan projection.Notice // from a nil one, none comes
	var owners [interestsMax]int
	followed := 0
	for i, one := range parts {
		for _, what := range one.of {
			channel, stop, err := s.node.Subscribe(what.view, projection.Interest{Prefix: what.prefix})
			if err != nil {
				http.Error(w, "The view cannot be followed.", http.StatusInternalServerError)
				return
			}
			defer stop()
			notices[followed], owners[followed] = channel, i
			followed++
		}
	}
	out.Events = pages.NewEvents(w, liveWrite)
	out.allDue()
	beat := time.NewTicker(liveBeat)
	defer beat.Stop()
	pace := time.NewTimer(0)
	defer pace.Stop()
	for rested := false; ; {
		select {
		case <-r.Context().Done():
			return
		case <-s.node.Stopping():
			return
		case <-notices[0]:
			out.due[owners[0]] = true
		case <-notices[1]:
			out.due[owners[1]] = true
		case <-notices[2]:
			out.due[owners[2]] = true
		case <-beat.C:
			out.allDue()
			if out.Send("beat", nil) != nil {
				return
			}
		case <-pace.C:
			rested = true
		}
		if !rested || !slices.Contains(out.due, true) {
			continue
		}
		rested = false
		if out.look(r.Context(), parts) != nil {
			return
		}
		pace.Reset(livePace)
	}
}

// events is a stream of the parts of a page.
type events struct {
	*pages.Events
	last [][]byte // of each part, as it was sent
	due  []bool   // parts that may be others now
}

func (e *events) allDue() {
	for i := range e.due {
		e.due[i] = true
	}
}

// look sends the parts that are not what was sent last. What cannot be read is looked at
// again.
func (e *events) look(ctx context.Context, parts []part) error {
	for i, one := range parts {
		if !e.due[i] {
			continue
		}
		e.due[i] = false
		reading, cancel := context.WithTimeout(ctx, liveRead)
		text, err := one.render(reading)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil || bytes.Equal(text, e.last[i]) {
			continue
		}
		e.last[i] = text
		if err := e.Send(one.name, text); err != nil {
			return err
		}
	}
	return nil
}
