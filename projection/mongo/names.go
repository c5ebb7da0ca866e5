package mongo

import (
	"fmt"
	"strings"

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

// keys selects the documents whose keys begin with start, and come after one unless
// that is empty.
func (h home) keys(start, after string) bson.D {
	from := bson.D{{Key: "$gte", Value: h.prefix + start}}
	if after != "" {
		from = append(from, bson.E{Key: "$gt", Value: h.prefix + after})
	}
	if h.prefix != "" { // '0' comes after '/'
		from = append(from, bson.E{Key: "$lt", Value: strings.TrimSuffix(h.prefix, "/") + "0"})
	}
	return bson.D{{Key: "_id", Value: from}}
}

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
