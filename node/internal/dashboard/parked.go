package dashboard

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	parkedRead  = 2000 // that are read for a page: the oldest ones
	parkedPage  = 25
	causesShown = 100
	causeMax    = 300 // bytes of a cause
)

// parkedBody shows what is parked, by cause.
type parkedBody struct {
	Look   *Look
	Causes []*cause
	Hidden int // causes beyond those that are shown
	Read   int // of what is parked
	More   bool
	Err    string
}

// cause is what was parked for the same reason.
type cause struct {
	Key        string // in links
	Kind, Name string // of aggregate, and of the command or event
	Projection string // for which events are parked; empty: commands
	Text       string // the reason, without what differs
	Items      []ParkedItem
	First      time.Time
	Last       time.Time
}

// What says what is parked.
func (c *cause) What() string {
	if c.Projection != "" {
		return "events for " + c.Projection
	}
	return c.Kind + " " + c.Name
}

func (d *Dashboard) parked(ctx context.Context, _ *http.Request, s Source) (string, any, error) {
	look, err := d.looks.recent(ctx, s)
	if err != nil {
		return "", nil, err
	}
	body := &parkedBody{Look: look}
	list, err := s.Parked(ctx, parkedRead)
	if err != nil {
		body.Err = short(err.Error())
	}
	body.Read, body.More = len(list.Items), list.More
	all := causesOf(list.Items)
	body.Causes = all[:min(len(all), causesShown)]
	body.Hidden = len(all) - len(body.Causes)
	return "Parked", body, nil
}

// causesOf groups, the largest group first.
func causesOf(items []ParkedItem) []*cause {
	differs := newDifferences()
	groups := map[string]*cause{}
	for i := range items {
		item := &items[i]
		kind, _, _ := strings.Cut(item.Aggregate, "/")
		c := &cause{Kind: kind, Name: item.Name, Projection: item.Projection, Text: differs.without(item.Reason)}
		c.Key = keyOf(c.Kind, c.Name, c.Projection, c.Text)
		if groups[c.Key] == nil {
			groups[c.Key] = c
		}
		c = groups[c.Key]
		c.Items = append(c.Items, *item)
		if c.First.IsZero() || item.Since.Before(c.First) {
			c.First = item.Since
		}
		if item.Since.After(c.Last) {
			c.Last = item.Since
		}
	}
	all := make([]*cause, 0, len(groups))
	for _, c := range groups {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b *cause) int {
		return cmp.Or(cmp.Compare(len(b.Items), len(a.Items)), cmp.Compare(a.Key, b.Key))
	})
	return all
}

// keyOf is a short name of a cause.
func keyOf(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:8])
}

// differences are what differs between two texts that say the same of two things.
type differences struct{ quoted, address, id, number *regexp.Regexp }

func newDifferences() *differences {
	return &differences{
		quoted:  regexp.MustCompile(`"(?:[^"\\]|\\.)*"`),
		address: regexp.MustCompile(`\b[a-z][A-Za-z0-9_-]*/[^\s:,;)"]+`),
		id:      regexp.MustCompile(`\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b|\b0x[0-9a-fA-F]+\b|\b[0-9a-zA-Z_-]*[0-9][0-9a-zA-Z_-]{15,}\b`),
		number:  regexp.MustCompile(`[0-9]+(?:[.,][0-9]+)*`),
	}
}

// without returns a reason with a mark in the place of what differs.
func (d *differences) without(reason string) string {
	reason = cut(strings.TrimSpace(clean(reason)), 4*causeMax)
	for _, r := range []*regexp.Regexp{d.quoted, d.address, d.id, d.number} {
		reason = r.ReplaceAllString(reason, "…")
	}
	return cut(reason, causeMax)
}

// causeBody is the page of one cause.
type causeBody struct {
	*cause
	Rows  []ParkedItem
	Pager pager
	More  bool // others were not read, which may be of it
}

// findCause looks a cause up.
func findCause(ctx context.Context, s Source, key string) (*cause, bool, error) {
	list, err := s.Parked(ctx, parkedRead)
	if err != nil {
		return nil, false, err
	}
	for _, c := range causesOf(list.Items) {
		if c.Key == key {
			return c, list.More, nil
		}
	}
	return nil, false, &fault{http.StatusNotFound, "Nothing of that cause is parked any more.", "The list of what is parked has what there is."}
}

func (d *Dashboard) parkedCause(ctx context.Context, r *http.Request, s Source) (string, any, error) {
	c, more, err := findCause(ctx, s, r.URL.Query().Get("cause"))
	if err != nil {
		return "", nil, err
	}
	body := &causeBody{cause: c, More: more, Pager: pagerOf(r, len(c.Items), parkedPage)}
	body.Rows = c.Items[body.Pager.From:body.Pager.To]
	return "Parked: " + short(c.What()), body, nil
}

func (d *Dashboard) parkedOne(ctx context.Context, r *http.Request, s Source) (string, any, error) {
	q := r.URL.Query()
	of := ParkedRef{Aggregate: q.Get("aggregate"), CommandID: q.Get("id"), Projection: q.Get("projection")}
	one, err := s.ParkedOne(ctx, of)
	if err != nil {
		return "", nil, err
	}
	return "Parked: " + short(one.Aggregate), &one, nil
}
