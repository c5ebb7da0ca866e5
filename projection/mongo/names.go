package mongo

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/ganglion-go/ganglion/projection"
)

const (
	prefix     = "view."
	engineName = "_engine"
	headsName  = prefix + "_heads"
)

// home is where the documents of a place are: in a collection, under keys with a prefix.
// What the engine keeps of a generation is in one collection, so that a transaction
// writes it with one command.
type home struct{ collection, prefix string }

func homeOf(at projection.Place) home {
	if at.Projection == "" {
		return home{collection: prefix + at.Collection}
	}
	h := home{at.Collection, idPrefix(at)}
	if h.prefix != "" {
		h.collection = engineName
	}
	h.collection = fmt.Sprintf("%s%s.%d.%s", prefix, at.Projection, at.Generation, h.collection)
	return h
}

func idPrefix(at projection.Place) string {
	if at.Projection == "" || !strings.HasPrefix(at.Collection, "_") {
		return ""
	}
	return at.Collection + "/"
}

// keys selects the documents of a range, by one bound on each side.
func (h home) keys(r projection.Range) bson.D {
	above, from := "$gte", h.prefix+r.Prefix
	end := behindAll(from)
	switch after := h.prefix + r.After; {
	case r.After == "":
	case r.Reverse && (end == "" || after < end):
		end = after
	case !r.Reverse && after >= from:
		above, from = "$gt", after
	}
	bounds := bson.D{{Key: above, Value: from}}
	if end != "" {
		bounds = append(bounds, bson.E{Key: "$lt", Value: end})
	}
	return bson.D{{Key: "_id", Value: bounds}}
}

// behindAll returns the first text behind all that begin with start; empty: there is none.
// It is UTF-8 as start is: the last character is replaced by its successor, as the order
// of UTF-8 as bytes is that of its characters.
func behindAll(start string) string {
	for start != "" {
		last, size := utf8.DecodeLastRuneInString(start)
		start = start[:len(start)-size]
		switch last {
		case utf8.MaxRune:
			continue // has none: that of the character before it, then
		case surrogatesBegin - 1:
			last = surrogatesEnd
		}
		return start + string(last+1)
	}
	return ""
}

// Between these there are no characters.
const surrogatesBegin, surrogatesEnd = 0xD800, 0xDFFF

// placeOf returns the place and the key of a document; ok is false for one of somebody
// else.
func placeOf(collection, id string) (at projection.Place, key string, ok bool) {
	rest, ok := strings.CutPrefix(collection, prefix)
	if !ok {
		return at, "", false
	}
	if !strings.Contains(rest, ".") {
		return projection.Place{Collection: rest}, id, true
	}
	parts := strings.SplitN(rest, ".", 3)
	if len(parts) != 3 {
		return at, "", false
	}
	at.Projection, at.Collection = parts[0], parts[2]
	if _, err := fmt.Sscanf(parts[1], "%d", &at.Generation); err != nil {
		return at, "", false
	}
	if at.Collection == engineName {
		at.Collection, id, ok = strings.Cut(id, "/")
	}
	return at, id, ok
}

func (s *Storage) collection(h home) *driver.Collection { return s.db.Collection(h.collection) }
