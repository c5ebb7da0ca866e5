package mongo

import (
	"bufio"
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
func (s *Storage) Unmarshal(data []byte, v any) error {
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
	d, ok := s.decodings.Get().(*decoding)
	if !ok {
		d = newDecoding()
	}
	defer s.decodings.Put(d)
	d.over(value.Value)
	defer d.over(nil)
	decoder := bson.NewDecoder(bson.NewDocumentReader(d.buffer))
	decoder.UseJSONStructTags()
	decoder.DefaultDocumentM()
	if err := decoder.Decode(v); err != nil {
		return fmt.Errorf("decode BSON: %w", err)
	}
	return nil
}

// decoding is what a document is read through. The driver copies whatever it takes from
// the buffer, and makes one of 4 KiB for each document unless it is given one.
type decoding struct {
	source bytes.Reader
	buffer *bufio.Reader
}

func newDecoding() *decoding {
	d := &decoding{}
	d.buffer = bufio.NewReader(&d.source)
	return d
}

// over begins with a document; nil keeps none.
func (d *decoding) over(document []byte) {
	d.source.Reset(document)
	d.buffer.Reset(&d.source)
}
