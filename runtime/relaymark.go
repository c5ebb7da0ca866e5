package runtime

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/ganglion-go/ganglion/store"
)

// mark is what an event in the stream tells the next relay: how to go on after it.
type mark struct {
	Token    store.Token `json:"t,omitempty"` // follow the feed from here on
	Outgoing string      `json:"o,omitempty"` // the streams of commands and timers that have what was sent

	// Of this aggregate pass over what is not newer: a part of its next commit is in
	// the stream. Empty: pass over nothing.
	Aggregate store.Aggregate `json:"a,omitempty"`
	Version   store.Version   `json:"v,omitempty"`

	// A rescan was under way: begin it anew, there is no token.
	Rescan bool `json:"r,omitempty"`
	// What was sent before is lost, and not all of it has been sent again.
	Resend bool `json:"s,omitempty"`
}

var errMark = errors.New("the newest event has no mark of a relay")

// String writes the mark, in short where it only has a token.
func (m mark) String() string {
	if m == (mark{Token: m.Token, Outgoing: m.Outgoing}) {
		return "t:" + m.Outgoing + ":" + string(m.Token)
	}
	text, err := json.Marshal(m)
	if err != nil {
		panic("runtime: encode mark: " + err.Error()) // strings and numbers alone
	}
	return "j:" + string(text)
}

func parseMark(s string) (m mark, err error) {
	if rest, ok := strings.CutPrefix(s, "t:"); ok {
		outgoing, token, ok := strings.Cut(rest, ":")
		if !ok || token == "" {
			return mark{}, fmt.Errorf("%q: %w", s, errMark)
		}
		return mark{Token: store.Token(token), Outgoing: outgoing}, nil
	}
	text, ok := strings.CutPrefix(s, "j:")
	if !ok {
		return mark{}, fmt.Errorf("%.100q: %w", s, errMark)
	}
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return mark{}, fmt.Errorf("%.100q: %w: %w", s, errMark, err)
	}
	return m, nil
}

// shortOf identifies streams by a few letters.
func shortOf(incarnations ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(incarnations, " ")))
	return hex.EncodeToString(sum[:6])
}
