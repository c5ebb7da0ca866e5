package mongo

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"
)

// eventToken is the server's resume token of an event in printable ASCII: its
// hexadecimal data and, after a dot, its type bits in base64.
type eventToken string

// The fields of a resume token.
const (
	resumeData     = "_data"
	resumeTypeBits = "_typeBits"
)

var errEventToken = errors.New("not a resume token")

// bson returns the server's form. It fails for what eventToken did not make.
func (t eventToken) bson() (bson.D, error) {
	data, bits, typed := strings.Cut(string(t), ".")
	if _, err := hex.DecodeString(data); err != nil || data == "" {
		return nil, errEventToken
	}
	token := bson.D{{Key: resumeData, Value: data}}
	if typed {
		raw, err := base64.RawURLEncoding.DecodeString(bits)
		if err != nil {
			return nil, errEventToken
		}
		token = append(token, bson.E{Key: resumeTypeBits, Value: bson.Binary{Data: raw}})
	}
	return token, nil
}

// eventToken reads the server's form. A field that is not known makes it fail:
// without it the token would be another one.
func (r *reader) eventToken(e element) eventToken {
	var data, bits string
	fields := r.fields(e)
	for e, ok := r.next(&fields); ok; e, ok = r.next(&fields) {
		_, raw, _, isBinary := bsoncore.ReadBinary(e.value)
		switch {
		case string(e.key) == resumeData:
			data = r.text(e)
		case string(e.key) == resumeTypeBits && e.kind == bsoncore.TypeBinary && isBinary:
			bits = "." + base64.RawURLEncoding.EncodeToString(raw)
		default:
			r.fail(e)
		}
	}
	return eventToken(data + bits)
}
