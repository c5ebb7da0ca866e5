package mongo

import (
	"bytes"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// wrapped is the form of a value on its own: BSON has only documents.
type wrapped struct {
	Value any `bson:"d"`
}

// Marshal implements [projection.Storage] with BSON, with the names of json tags.
func (*Storage) Marshal(v any) ([]byte, error) {
	var buffer bytes.Buffer
	encoder := bson.NewEncoder(bson.NewDocumentWriter(&buffer))
	encoder.UseJSONStructTags()
	if err := encoder.Encode(wrapped{v}); err != nil {
		return nil, fmt.Errorf("encode BSON: %w", err)
	}
	return buffer.Bytes(), nil
}

// Unmarshal implements [projection.Storage].
func (*Storage) Unmarshal(data []byte, v any) error {
	value, err := bson.Raw(data).LookupErr("d")
	if err != nil {
		return fmt.Errorf("decode BSON: %w", err)
	}
	if value.Type != bson.TypeEmbeddedDocument {
		if err := value.Unmarshal(v); err != nil {
			return fmt.Errorf("decode BSON: %w", err)
		}
		return nil
	}
	decoder := bson.NewDecoder(bson.NewDocumentReader(bytes.NewReader(value.Value)))
	decoder.UseJSONStructTags()
	decoder.DefaultDocumentM()
	if err := decoder.Decode(v); err != nil {
		return fmt.Errorf("decode BSON: %w", err)
	}
	return nil
}
