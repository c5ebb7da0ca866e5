package dashboard

import (
	"context"
	"net/http"

	"github.com/ganglion-go/ganglion/actor"
)

// stateBody is a state at a version, beside that of another.
type stateBody struct {
	Of                  string
	Last                actor.Version
	Version, From       actor.Version
	Told                actor.Version // that callers were told then
	Exists              bool
	Chosen              bool // From was chosen
	State               string
	Changes             []change
	More                int
	Before, After       actor.Version // its neighbours
	HasBefore, HasAfter bool
}

func (d *Dashboard) state(ctx context.Context, r *http.Request, s Source) (string, any, error) {
	of, err := aggregateOf(r)
	if err != nil {
		return "", nil, err
	}
	b := stateBody{Of: of.String()}
	if b.Last, err = s.LastVersion(ctx, of); err != nil {
		return "", nil, readFault(err)
	}
	if b.Last == 0 {
		return "", nil, &fault{http.StatusNotFound, idText(b.Of) + " has no history.", "Perhaps its id is another one."}
	}
	if b.Version, err = versionIn(r, "version", b.Last); err != nil {
		return "", nil, err
	}
	if b.From, err = versionIn(r, "from", b.Version-min(b.Version, 1)); err != nil {
		return "", nil, err
	}
	b.Chosen = r.URL.Query().Get("from") != ""
	was, is, err := s.States(ctx, of, b.From, b.Version)
	if err != nil {
		return "", nil, readFault(err)
	}
	b.Told, b.Exists, b.State = is.Version, is.Version > 0, pretty(is.State)
	if b.Changes, b.More, err = changesOf(was.State, is.State); err != nil {
		return "", nil, err
	}
	b.HasBefore, b.HasAfter = b.Version > 0, b.Version < b.Last
	b.Before, b.After = b.Version-min(b.Version, 1), b.Version+1
	return "State of " + idText(b.Of), b, nil
}
