package mongo_test

import (
	"errors"
	"testing"

	"github.com/ganglion-go/ganglion/projection/mongo"
)

// TestOpen_RefusesDirectConnection: it would not follow the primary.
func TestOpen_RefusesDirectConnection(t *testing.T) {
	t.Parallel()
	for uri, want := range map[string]error{
		"mongodb://127.0.0.1:1/?directConnection=true":          mongo.ErrDirect,
		"mongodb://127.0.0.1:1/?loadBalanced=true":              mongo.ErrDirect,
		"mongodb://127.0.0.1:1/?directConnection=false":         nil,
		"mongodb://127.0.0.1:1/?replicaSet=rs&retryWrites=true": nil,
	} {
		s, err := mongo.Open(uri, mongo.Config{})
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", uri, err, want)
		}
		if err == nil {
			_ = s.Close(t.Context())
		}
	}
	s, err := mongo.Open("mongodb://127.0.0.1:1/?directConnection=true", mongo.Config{AllowDirect: true})
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Close(t.Context())
	if _, err := mongo.Open("mongodb://127.0.0.1:1/?loadBalanced=true", mongo.Config{AllowDirect: true}); !errors.Is(err, mongo.ErrDirect) {
		t.Errorf("load balanced: %v", err)
	}
}
