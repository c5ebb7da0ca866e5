package dashboard

import (
	"context"
	"net/http"
	"slices"

	"github.com/ganglion-go/ganglion/actor"
)

// inspecting returns the pages about single aggregates.
func (d *Dashboard) inspecting() map[string]handler {
	return map[string]handler{
		"GET " + Path + "aggregates":   d.still("aggregates", d.aggregates),
		"GET " + Path + "aggregate":    d.still("aggregate", d.aggregate),
		"GET " + Path + "state":        d.still("state", d.state),
		"GET " + Path + "command":      d.still("command", d.command),
		"GET " + Path + "farther":      d.still("farther", d.farther),
		"GET " + Path + "tail":         d.tail,
		"GET " + Path + "send":         d.still("send", d.send),
		"POST " + Path + "send/review": d.acting(d.review),
		"POST " + Path + "send/do":     d.acting(d.sent),
	}
}

// idsShown is how many ids a page of a list has.
const idsShown = 50

// aggregatesBody is the list of a kind.
type aggregatesBody struct {
	Kinds               []ShownKind
	Kind, Prefix, After string
	Asked               bool // a kind is chosen
	IDs                 []string
	Next                string // the id after which the following page begins; empty: there is none
}

func (d *Dashboard) aggregates(ctx context.Context, r *http.Request, s Source) (string, any, error) {
	b := aggregatesBody{Kinds: s.ShownKinds(), Kind: r.URL.Query().Get("kind")}
	var err error
	if b.Prefix, err = textIn(r, "prefix", actor.MaxIDBytes); err != nil {
		return "", nil, err
	}
	if b.After, err = textIn(r, "after", actor.MaxIDBytes); err != nil {
		return "", nil, err
	}
	if b.Kind == "" {
		return "Aggregates", b, nil
	}
	if !slices.ContainsFunc(b.Kinds, func(k ShownKind) bool { return string(k.Kind) == b.Kind }) {
		return "", nil, &fault{http.StatusNotFound, "This node shows no kind " + short(b.Kind) + ".", "The kinds that it shows are on the page of aggregates."}
	}
	b.Asked = true
	if b.IDs, err = s.ListAggregates(ctx, actor.Kind(b.Kind), b.Prefix, b.After, idsShown+1); err != nil {
		return "", nil, readFault(err)
	}
	if len(b.IDs) > idsShown {
		b.IDs = b.IDs[:idsShown]
		b.Next = b.IDs[idsShown-1]
	}
	return "Aggregates of " + b.Kind, b, nil
}
