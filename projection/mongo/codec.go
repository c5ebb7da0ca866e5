package mongo

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"

	"github.com/ganglion-go/ganglion/internal/jsonbson"
	"github.com/ganglion-go/ganglion/projection"
)

// The fields of a document that hold its value: as BSON that comes back as the JSON that
// it was, with its format, or as the JSON itself where no BSON does. A document without
// either is of a build that encoded Go values as BSON.
const (
	fieldValue  = "d"
	fieldFormat = "f"
	fieldText   = "j"

	formatJSON = 1
)

// textAbove is the size of a value from which on it is kept as text if that is smaller:
// BSON may be several times as long, and the server takes documents of 16 MiB.
const textAbove = 15 << 20

var errNoValue = errors.New("document without a value")

// Marshal implements [projection.Storage]: what encoding/json writes, as BSON.
func (*Storage) Marshal(v any) ([]byte, error) {
	text, err := projection.Encode(v)
	if err != nil {
		return nil, err
	}
	start, doc := bsoncore.AppendDocumentStart(make([]byte, 0, len(text)+64))
	if with, ok := jsonbson.AppendElement(bsoncore.AppendInt32Element(doc, fieldFormat, formatJSON), fieldValue, text); ok && len(with) <= textAbove {
		doc = with
	} else {
		doc = bsoncore.AppendStringElement(doc, fieldText, string(text))
	}
	doc, err = bsoncore.AppendDocumentEnd(doc, start)
	if err != nil {
		return nil, fmt.Errorf("encode BSON: %w", err)
	}
	return doc, nil
}

// Unmarshal implements [projection.Storage].
func (s *Storage) Unmarshal(data []byte, v any) error {
	doc := bson.Raw(data)
	if text, ok := doc.Lookup(fieldText).StringValueOK(); ok {
		return projection.Decode([]byte(text), v)
	}
	value, err := doc.LookupErr(fieldValue)
	if err != nil {
		return fmt.Errorf("decode BSON: %w", errNoValue)
	}
	if format, ok := doc.Lookup(fieldFormat).AsInt64OK(); !ok || format != formatJSON {
		return s.unmarshalValue(value, v)
	}
	text, err := jsonbson.AppendJSON(make([]byte, 0, len(value.Value)), byte(value.Type), value.Value)
	if err != nil {
		return fmt.Errorf("decode BSON: %w", err)
	}
	return projection.Decode(text, v)
}

// unmarshalValue reads a value that an earlier build has encoded: as BSON, under the names
// of json tags, or else in lower case. It is read with a registry of its own: the driver
// keeps for good how it first read a type, also when that was without the names.
func (s *Storage) unmarshalValue(value bson.RawValue, v any) error {
	target := reflect.ValueOf(v)
	if target.Kind() != reflect.Pointer || target.IsNil() {
		return fmt.Errorf("decode BSON into %T: %w", v, errNoValue)
	}
	wrapped := reflect.New(reflect.StructOf([]reflect.StructField{{Name: "Value", Type: target.Type().Elem(), Tag: `bson:"d"`}}))
	doc, err := bson.Marshal(bson.D{{Key: fieldValue, Value: value}})
	if err != nil {
		return fmt.Errorf("decode BSON: %w", err)
	}
	decoder := bson.NewDecoder(bson.NewDocumentReader(bytes.NewReader(doc)))
	decoder.SetRegistry(s.registry)
	decoder.UseJSONStructTags()
	decoder.DefaultDocumentM()
	if err := decoder.Decode(wrapped.Interface()); err != nil {
		return fmt.Errorf("decode BSON: %w", err)
	}
	target.Elem().Set(wrapped.Elem().Field(0))
	return nil
}
