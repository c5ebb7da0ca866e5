package mongo_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/ganglion-go/ganglion/projection/mongo"
)

// kept has a field of every sort that could be a part of what it was decoded from.
type kept struct {
	Text   string            `json:"text"`
	Bytes  []byte            `json:"bytes"`
	Texts  []string          `json:"texts"`
	ByText map[string]string `json:"byText"`
	Any    any               `json:"any"`
	Raw    bson.Raw          `json:"raw"`
	Value  bson.RawValue     `json:"value"`
}

func keptOf(text string) kept {
	raw := bson.Raw{12, 0, 0, 0, 16, 'n', 0, byte(len(text)), 0, 0, 0, 0}
	return kept{
		Text: text, Bytes: []byte(text), Texts: []string{text}, ByText: map[string]string{"x" + text: text}, Any: bson.M{"x": text},
		Raw: raw, Value: raw.Lookup("n"),
	}
}

// What was decoded stays what it is while others are decoded through the same buffers,
// whatever their size.
func TestStorage_UnmarshalKeepsNothingOfTheBuffer(t *testing.T) {
	t.Parallel()
	client, err := driver.Connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Disconnect(t.Context()) })
	s := mongo.New(client, mongo.Config{})
	var runners sync.WaitGroup
	for runner := range 4 {
		runners.Go(func() {
			var want, got []kept
			for i := range 200 {
				want = append(want, keptOf(strings.Repeat(fmt.Sprint(runner, i, " "), 1+i)))
				data, err := s.Marshal(want[i])
				if err != nil {
					t.Error(err)
					return
				}
				var v kept
				if err := s.Unmarshal(data, &v); err != nil {
					t.Error(err)
					return
				}
				got = append(got, v)
				clear(data)
			}
			if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b bson.RawValue) bool { return a.Equal(b) })); diff != "" {
				t.Errorf("documents (-want +got):\n%.2000s", diff)
			}
		})
	}
	runners.Wait()
}

func BenchmarkUnmarshal(b *testing.B) {
	client, err := driver.Connect()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = client.Disconnect(b.Context()) })
	s := mongo.New(client, mongo.Config{})
	data, err := s.Marshal(keptOf("some text"))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		var v kept
		if err := s.Unmarshal(data, &v); err != nil {
			b.Fatal(err)
		}
	}
}
