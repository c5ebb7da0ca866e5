package mongo_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

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
	Raw    json.RawMessage   `json:"raw"`
}

func keptOf(text string) kept {
	return kept{
		Text: text, Bytes: []byte(text), Texts: []string{text}, ByText: map[string]string{"x" + text: text}, Any: map[string]any{"x": text},
		Raw: json.RawMessage(`{"n":1.50}`),
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
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("documents (-want +got):\n%.2000s", diff)
			}
		})
	}
	runners.Wait()
}

// storage returns one that needs no server.
func storage(t testing.TB) *mongo.Storage {
	t.Helper()
	client, err := driver.Connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Disconnect(t.Context()) })
	return mongo.New(client, mongo.Config{})
}

type (
	item struct {
		Name  string `json:"itemName"`
		Price int    `json:"unitPrice"`
	}
	basket struct {
		Items []item `json:"basketItems"`
		First item   `json:"firstItem"`
	}
)

// A list that is the first that is ever read of a type does not change what the type's
// fields are called, and neither does a program that uses the driver in its own way.
func TestStorage_NamesDoNotDependOnWhatCameFirst(t *testing.T) {
	t.Parallel()
	s := storage(t)
	for _, list := range [][]byte{marshal(t, s, []item{{"cup", 5}}), earlier(t, []item{{"cup", 5}}), earlier(t, []int{})} {
		var top []item
		if err := s.Unmarshal(list, &top); err != nil || len(top) > 0 && top[0] != (item{"cup", 5}) {
			t.Errorf("a list is %+v, %v", top, err)
		}
	}
	foreign, err := bson.Marshal(basket{})
	if err != nil || bson.Unmarshal(foreign, &basket{}) != nil {
		t.Fatal(err)
	}
	want := basket{Items: []item{{"pen", 3}}, First: item{"ink", 4}}
	var got basket
	if err := s.Unmarshal(marshal(t, s, want), &got); err != nil || !cmp.Equal(got, want) {
		t.Errorf("a document after them is %+v, %v", got, err)
	}
}

func marshal(t testing.TB, s *mongo.Storage, v any) []byte {
	t.Helper()
	data, err := s.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// earlier encodes as builds did that made BSON of Go values.
func earlier(t testing.TB, v any) []byte {
	t.Helper()
	var buffer bytes.Buffer
	encoder := bson.NewEncoder(bson.NewDocumentWriter(&buffer))
	encoder.SetRegistry(bson.NewRegistry())
	encoder.UseJSONStructTags()
	if err := encoder.Encode(struct {
		Value any `bson:"d"`
	}{v}); err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes()
}

// old is a document with what earlier builds have kept rightly, each in its way.
type old struct {
	Text     string           `json:"someText"`
	Untagged int64            // was kept in lower case
	Time     time.Time        `json:"time"` // as a date of milliseconds
	Bytes    []byte           `json:"bytes"`
	Counts   map[string]int64 `json:"counts"`
	Items    []item           `json:"items"`
	Maybe    *float64         `json:"maybe,omitempty"`
	Any      any              `json:"any"`
}

// What earlier builds have stored is read as they read it.
func TestStorage_ReadsEarlierDocuments(t *testing.T) {
	t.Parallel()
	s, half := storage(t), 0.5
	want := old{
		Text: "t", Untagged: 1 << 60, Time: time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC), Bytes: []byte{0, 255},
		Counts: map[string]int64{"a.b": 1, "$x": 2}, Items: []item{{"pen", 3}}, Maybe: &half, Any: "x",
	}
	var got old
	if err := s.Unmarshal(earlier(t, want), &got); err != nil || !cmp.Equal(got, want) {
		t.Errorf("read %v (-want +got):\n%s", err, cmp.Diff(want, got))
	}
	var n int64
	if err := s.Unmarshal(earlier(t, int64(1<<60)), &n); err != nil || n != 1<<60 {
		t.Errorf("a number is %d, %v", n, err)
	}
	var anything any
	if err := s.Unmarshal(earlier(t, map[string]any{"x": "y"}), &anything); err != nil || !cmp.Equal(anything, any(bson.M{"x": "y"})) {
		t.Errorf("anything is %v, %v", anything, err)
	}
}

// Documents can be queried under the names of their JSON.
func TestStorage_DocumentsAreBSON(t *testing.T) {
	t.Parallel()
	s := storage(t)
	doc := bson.Raw(marshal(t, s, struct {
		basket
		Total    int64     `json:"total"`
		Untagged float64   // its name stays as it is
		When     time.Time `json:"when"`
	}{basket{Items: []item{{"pen", 3}}}, 7, 1.5, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}))
	if n, ok := doc.Lookup("d", "total").Int64OK(); !ok || n != 7 {
		t.Errorf("no total: %v", doc)
	}
	if f, ok := doc.Lookup("d", "Untagged").DoubleOK(); !ok || f != 1.5 {
		t.Errorf("no Untagged: %v", doc)
	}
	if name, ok := doc.Lookup("d", "basketItems", "0", "itemName").StringValueOK(); !ok || name != "pen" {
		t.Errorf("no items: %v", doc)
	}
	if when, ok := doc.Lookup("d", "when").StringValueOK(); !ok || when != "2026-01-02T03:04:05Z" {
		t.Errorf("no time: %v", doc)
	}
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
