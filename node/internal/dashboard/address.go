package dashboard

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/gateway"
)

// addressOfQuery reads which aggregate a page is about: of=kind/id, or kind and id.
func aggregateOf(r *http.Request) (actor.Address, error) {
	q := r.URL.Query()
	if r.PostForm != nil && r.PostForm.Has("of") {
		q = r.PostForm
	}
	var (
		a   actor.Address
		err error
	)
	if of := q.Get("of"); of != "" {
		a, err = actor.ParseAddress(of)
	} else {
		a = actor.Address{Kind: actor.Kind(q.Get("kind")), ID: q.Get("id")}
		err = a.Validate()
	}
	if err != nil {
		return a, &fault{http.StatusBadRequest, "There can be no such aggregate: " + short(err.Error()) + ".", "An aggregate is named by its kind and its id, such as account/a-1."}
	}
	return a, nil
}

// versionOf reads a version of the query; otherwise, if it is not there.
func versionIn(r *http.Request, name string, otherwise actor.Version) (actor.Version, error) {
	text := strings.TrimSpace(r.URL.Query().Get(name))
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0, &fault{http.StatusBadRequest, "There can be no version " + short(text) + ".", "A version is a whole number from 0 on."}
	}
	return actor.Version(n), nil
}

// textIn reads a text of the query.
func textIn(r *http.Request, name string, most int) (string, error) {
	text := r.URL.Query().Get(name)
	if len(text) > most || !utf8.ValidString(text) {
		return "", &fault{http.StatusBadRequest, fmt.Sprintf("%s is not text of at most %d bytes.", name, most), "Give another one."}
	}
	return text, nil
}

// idText writes an id, or an address, so that it is seen as it is: as a JSON string where it
// has what cannot be seen, or begins like one.
func idText(id string) string {
	plain := !strings.HasPrefix(id, `"`) && strings.TrimSpace(id) == id && clean(id) == id &&
		!strings.ContainsFunc(id, func(r rune) bool { return !unicode.IsPrint(r) })
	if plain {
		return id
	}
	line, _ := json.Marshal(id) // a text has a JSON form
	return clean(string(line))
}

// readFault is the page of what could not be read of an aggregate.
func readFault(err error) error {
	if e, ok := errors.AsType[*gateway.NoVersionError](err); ok {
		return &fault{http.StatusNotFound, fmt.Sprintf("The history of %s ends before version %s.", idText(e.Target.String()), count(uint64(e.Version))), "Choose a lower one."}
	}
	if e, ok := errors.AsType[*gateway.ReplayError](err); ok {
		return &fault{
			http.StatusUnprocessableEntity,
			fmt.Sprintf("The state of then cannot be shown: more than %s events would have to be replayed for it, as only the newest snapshot is kept.", count(e.Max)),
			"A version at or behind the last snapshot, or among the first ones, can be shown. The events themselves are in the history.",
		}
	}
	if e, ok := errors.AsType[*actor.Error](err); ok {
		switch e.Code {
		case actor.CodeUnknownKind:
			return &fault{http.StatusNotFound, "This node has no definition of the kind, or the kind is the application's own.", "Ask a node that has it."}
		case actor.CodeOverloaded:
			return &fault{http.StatusTooManyRequests, "Too many states of the past are being read at this node.", "Try again in a moment."}
		case actor.CodeUnloadable:
			return &fault{http.StatusInternalServerError, "This build cannot read the history: " + short(e.Detail) + ".", "Its events are in the history all the same."}
		default:
		}
	}
	return err
}
