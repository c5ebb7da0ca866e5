package page

import (
	"bytes"
	"fmt"
	"net/http"
	"time"

	"github.com/ganglion-go/ganglion/examples/trader/pages"
)

const (
	streamBeat  = 500 * time.Millisecond // a sign of life
	streamPace  = 200 * time.Millisecond // between two renderings
	streamWrite = 5 * time.Second        // for a client to take what was sent
	streamsMax  = 64
)

// fragments are the parts of the page that change, by the id of their elements, which is
// the name of their templates.
func fragments() []string {
	return []string{"pills", "load", "outcome", "say", "verdict", "picture", "controls", "compare", "tour", "views", "log", "parts"}
}

// rendering has the fragments of one moment.
type rendering struct {
	of        time.Time // snapshot
	outcome   *Outcome
	age       string
	fragments map[string][]byte
}

// render returns the fragments as they are now. All streams share the newest rendering.
func (p *Page) render() (map[string][]byte, error) {
	s, now := p.engine.Snapshot(), time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	s = p.withOutcome(s, now)
	age := ageWords(s, now)
	if last := p.rendered; last.fragments != nil && !s.Time.IsZero() && last.of.Equal(s.Time) && last.outcome == s.Outcome && last.age == age {
		return last.fragments, nil
	}
	m, all := newModel(s, now), map[string][]byte{}
	for _, name := range fragments() {
		var text bytes.Buffer
		if err := p.templates.ExecuteTemplate(&text, name, m); err != nil {
			return nil, fmt.Errorf("render %s: %w", name, err)
		}
		all[name] = text.Bytes()
	}
	p.rendered = rendering{of: s.Time, outcome: s.Outcome, age: m.Age, fragments: all}
	return all, nil
}

// events sends the fragments that have changed as server-sent events "show", and "beat"
// twice a second, until the browser goes or the stage ends. A client that is slow misses
// moments, and gets the newest one.
func (p *Page) events(w http.ResponseWriter, r *http.Request) {
	if p.streams.Add(1) > streamsMax {
		p.streams.Add(-1)
		w.Header().Set("Retry-After", "5")
		http.Error(w, "Too many follow the stage.", http.StatusServiceUnavailable)
		return
	}
	defer p.streams.Add(-1)
	out := &stream{Events: pages.NewEvents(w, streamWrite), last: map[string][]byte{}}
	beat := time.NewTicker(streamBeat)
	defer beat.Stop()
	pace := time.NewTimer(0)
	defer pace.Stop()
	var changed <-chan struct{}
	for due, rested := true, false; ; {
		select {
		case <-r.Context().Done():
			return
		case <-p.engine.Stopping():
			return
		case <-changed:
			due, changed = true, nil
		case <-beat.C:
			due = true // figures may have become old
			if out.Send("beat", nil) != nil {
				return
			}
		case <-pace.C:
			rested = true
		}
		if !due || !rested {
			continue
		}
		due, rested = false, false
		pace.Reset(streamPace)
		changed = p.engine.Changed() // before the snapshot is taken: none is missed
		all, err := p.render()
		if err != nil || out.show(all) != nil {
			return
		}
	}
}

// stream is a stream of fragments.
type stream struct {
	*pages.Events
	last map[string][]byte // what was sent
}

// show sends the fragments that are not what was sent last.
func (s *stream) show(all map[string][]byte) error {
	var message []byte
	for _, name := range fragments() {
		if !bytes.Equal(all[name], s.last[name]) {
			message = append(append(message, all[name]...), '\n')
		}
	}
	if message == nil {
		return nil
	}
	s.last = all
	return s.Send("show", message)
}
