package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/ganglion-go/ganglion/actor"
)

// Bounds of a page of events.
const (
	defaultPageEvents = 100
	maxPageEvents     = 1000
)

func (g *Gateway) serveEvents(ctx context.Context, c *call) *Problem {
	c.w.Header().Set("Vary", "Accept")
	after, resume, err := parsePlace(c.params)
	if err != nil {
		return malformed(err.Error())
	}
	limit, err := parseLimit(c.params)
	if err != nil {
		return malformed(err.Error())
	}
	if acceptsStream(c.r.Header) && c.r.Method == http.MethodGet {
		return g.serveStream(ctx, c, resume)
	}
	page, p := g.readEvents(ctx, c, after, limit)
	if p != nil {
		return p
	}
	c.w.Header().Set("Cache-Control", "no-cache")
	return c.reply(http.StatusOK, page)
}

// readEvents reads a page, in a time that is bounded also within a stream. It has an
// event if there is one above after that is shown, or ends, at Next, where the time is
// over. Events that hold outcomes alone are passed over: an aggregate may have refused
// thousands of commands in a row.
func (g *Gateway) readEvents(ctx context.Context, c *call, after actor.Version, limit int) (pageBody, *Problem) {
	ctx, cancel := context.WithTimeout(ctx, c.deadline.Sub(c.start))
	defer cancel()
	page := pageBody{Events: []Event{}, Next: after}
	for n := limit; ; n = maxPageEvents {
		events, err := g.cfg.History.Events(ctx, c.route.target, page.Next, n)
		if err != nil && ctx.Err() != nil && page.Next > after {
			return page, nil
		}
		if err != nil {
			return pageBody{}, g.readFailed(ctx, "read events", err)
		}
		page.add(events, limit, g.shown(c.behavior))
		if len(events) == 0 || len(page.Events) > 0 {
			return page, nil
		}
	}
}

// shown returns what callers see of the events of a kind.
func (g *Gateway) shown(b *actor.Behavior) func(*Event) {
	return func(e *Event) {
		if g.cfg.WholeEvents {
			return
		}
		var data []byte // of a kind that only other nodes have, it is not known what may be seen
		whole := false
		if b != nil {
			data, whole = b.Shown(actor.Event{Name: e.Type, Data: e.Data})
		}
		if e.Data, e.Redacted = data, !whole; data == nil {
			e.Data = json.RawMessage("null")
		}
	}
}

// add takes in events that follow Next, up to limit, and shows what may be seen of them.
func (p *pageBody) add(events []Event, limit int, show func(*Event)) {
	for _, e := range events {
		if e.Type != actor.EventOutcome {
			if len(p.Events) == limit {
				return
			}
			e.Time = e.Time.UTC()
			show(&e)
			p.Events = append(p.Events, e)
		}
		p.Next = e.Version
	}
}

// parsePlace returns the version after which a page begins, and that after which a stream
// resumes, which is what the client has last had if it says so.
func parsePlace(p params) (after, resume actor.Version, err error) {
	text, err := p.ofQuery("after")
	if err == nil {
		after, err = parseVersion("after", text)
	}
	if err != nil {
		return 0, 0, err
	}
	if text, err = p.ofHeader("Last-Event-Id"); err != nil || text == "" {
		return after, after, err
	}
	resume, err = parseVersion("Last-Event-ID", text)
	return after, resume, err
}

// parseVersion reads a version to begin after; "": 0. No history is as long as 63 bits
// can count, and stores keep versions as signed numbers.
func parseVersion(name, text string) (actor.Version, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%s must be a version, a whole number from 0 to %d", name, uint64(maxVersion))
	}
	return actor.Version(n), nil
}

// maxVersion is the highest version that can be asked for.
const maxVersion actor.Version = 1<<63 - 1

func parseLimit(p params) (int, error) {
	text, err := p.ofQuery("limit")
	if err != nil || text == "" {
		return defaultPageEvents, err
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n < 1 || n > maxPageEvents {
		return 0, fmt.Errorf("limit must be a number from 1 to %d", maxPageEvents)
	}
	return int(n), nil
}

// acceptsStream reports whether Accept names text/event-stream.
func acceptsStream(h http.Header) bool {
	for member := range listed(h["Accept"]) {
		media, params, err := mime.ParseMediaType(member)
		if err != nil || media != "text/event-stream" {
			continue
		}
		if q, given := params["q"]; !given || strings.Trim(q, "0.") != "" {
			return true
		}
	}
	return false
}
