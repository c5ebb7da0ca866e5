package mongo

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/ganglion-go/ganglion/store"
)

// place is what a token says: how far a reader of the feed has got.
//
// The beginning of the feed is no longer in the oplog, so a reader that starts
// there scans the collection first, in the order of _id, and then takes the
// change stream from the time on that the scan has shown. A scan reads the state
// of one moment. When that moment has left the server's history (five minutes by
// default), the scan goes on with the state of a later one: a new part. The
// change stream starts after the first part's moment and so repeats what later
// parts have shown already. An event is such a repetition exactly when it is not
// later than the moment of the part that its commit belongs to.
type place struct {
	Event eventToken `json:"e,omitempty"` // the last event's; empty: none yet
	Start uint64     `json:"s,omitempty"` // without Event: the change stream begins after this time
	Parts []scanPart `json:"p,omitempty"` // of the scan, while they matter
	Last  *commitID  `json:"l,omitempty"` // the last commit that the scan has shown; nil: none

	complete bool // the scan is over, though its parts may matter still
}

// scanPart is the part of a scan that begins after a commit and shows the state
// of a moment.
type scanPart struct {
	From commitID `json:"f"`
	At   uint64   `json:"t"`
}

// commitID is the _id of a commit. The address is in bytes, as JSON would change
// what is not UTF-8.
type commitID struct {
	Aggregate []byte `json:"a"`
	Version   int64  `json:"v"`
}

// maxScanParts bounds tokens. It lets a scan take days.
const maxScanParts = 1000

// compare orders like the server orders _id.
func (a commitID) compare(b commitID) int {
	return cmp.Or(strings.Compare(string(a.Aggregate), string(b.Aggregate)), cmp.Compare(a.Version, b.Version))
}

func (a commitID) bson() bson.D { return idOf(store.Aggregate(a.Aggregate), a.Version) }

// The first byte of a token says how the rest is written.
const (
	afterEvent = "e" // an eventToken
	afterTime  = "t" // a packed time in decimal
	inScan     = "s" // the place as JSON in base64
)

// token encodes the place in printable ASCII.
func (p *place) token() store.Token {
	switch {
	case len(p.Parts) == 0 && p.Event != "":
		return store.Token(afterEvent + string(p.Event))
	case len(p.Parts) == 0:
		return store.Token(afterTime + strconv.FormatUint(p.Start, 10))
	}
	text, err := json.Marshal(p)
	if err != nil {
		panic(fmt.Sprintf("mongo: encode place: %v", err)) // strings and numbers alone
	}
	return store.Token(inScan + base64.RawURLEncoding.EncodeToString(text))
}

// parsePlace reads a token. What is not one is a place nobody knows.
func parsePlace(t store.Token) (p place, err error) {
	if t == "" {
		return place{}, nil
	}
	unknown := fmt.Errorf("token %.40q: %w", t, store.ErrTokenExpired)
	rest := string(t[1:])
	switch string(t[:1]) {
	case afterEvent:
		p.Event = eventToken(rest)
		if _, err := p.Event.bson(); err != nil {
			return place{}, unknown
		}
		return p, nil
	case afterTime:
		if p.Start, err = strconv.ParseUint(rest, 10, 64); err != nil || p.Start == 0 {
			return place{}, unknown
		}
		return p, nil
	case inScan:
		text, err := base64.RawURLEncoding.DecodeString(rest)
		if err != nil || json.Unmarshal(text, &p) != nil || !p.wellFormed() {
			return place{}, unknown
		}
		return p, nil
	}
	return place{}, unknown
}

func (p *place) wellFormed() bool {
	if p.Event != "" {
		if _, err := p.Event.bson(); err != nil {
			return false
		}
	}
	return p.Start != 0 && len(p.Parts) > 0
}

// scanning reports whether the scan goes on from here.
func (p *place) scanning() bool {
	return !p.complete && p.Event == "" && (p.Start == 0 || len(p.Parts) > 0)
}

// shown notes a commit of the scan.
func (p *place) shown(id commitID) { p.Last = &id }

// scanned notes that the scan is over. Of a scan in one part nothing remains.
func (p *place) scanned() {
	p.Last, p.complete = nil, true
	if len(p.Parts) == 1 {
		p.Parts = nil
	}
}

// event notes an event of the change stream. repeated is true if the scan has
// shown the commit.
func (p *place) event(token eventToken, at uint64, id commitID) (repeated bool) {
	p.Event = token
	if len(p.Parts) == 0 {
		return false
	}
	if at > p.Parts[len(p.Parts)-1].At {
		p.Parts = nil // later than all parts, as are all events to come
		return false
	}
	i := len(p.Parts) - 1
	for i > 0 && id.compare(p.Parts[i].From) <= 0 {
		i--
	}
	return at <= p.Parts[i].At
}
