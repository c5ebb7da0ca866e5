package mongo_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/ganglion-go/ganglion/store"
	mongostore "github.com/ganglion-go/ganglion/store/mongo"
	"github.com/ganglion-go/ganglion/testharness"
)

// shell opens a store and looks at its database as a person would.
func shell(t *testing.T) (*mongostore.Store, *driver.Database) {
	t.Helper()
	uri, database := testharness.SharedMongo(t, 3).URI(), testharness.DatabaseName(t)
	return open(t, uri, mongostore.Config{Database: database}), connect(t, uri).Database(database)
}

// fill writes commits of three events each.
func fill(t *testing.T, s *mongostore.Store, a store.Aggregate, commits int) {
	t.Helper()
	for i := range commits {
		c := typicalCommit(i)
		c.Aggregate, c.First = a, store.Version(3*i+1)
		c.Events = append(c.Events, c.Events[0], c.Events[0])
		c.Outcomes[0].Events = 3
		must(t, "append", s.Append(t.Context(), []store.Commit{c})[0])
	}
}

func versionsAfter(t *testing.T, s *mongostore.Store, a store.Aggregate, after store.Version) (firsts []store.Version, err error) {
	t.Helper()
	for c, err := range s.Load(t.Context(), a, after) {
		if err != nil {
			return firsts, err
		}
		firsts = append(firsts, c.First)
	}
	return firsts, nil
}

func TestLoad_Gap(t *testing.T) {
	t.Parallel()
	s, db := shell(t)
	const a = store.Aggregate("account/gap")
	fill(t, s, a, 5) // 1, 4, 7, 10, 13
	id := bson.D{{Key: "a", Value: string(a)}, {Key: "v", Value: int64(7)}}
	deleted, err := db.Collection("commits").DeleteOne(t.Context(), bson.D{{Key: "_id", Value: id}})
	if err != nil || deleted.DeletedCount != 1 {
		t.Fatalf("delete: %v, %v", deleted, err)
	}
	for _, test := range []struct {
		after store.Version
		want  string
		gap   bool
	}{
		// Commits 1-3, 4-6, 10-12 and 13-15 are left. Of a commit that has the
		// version in its middle, the next one is compared with its end.
		{0, "[1 4]", true},
		{1, "[4]", true},
		{3, "[4]", true},
		{4, "[]", true},
		{6, "[]", true},
		{8, "[]", true},
		{9, "[10 13]", false},
		{10, "[13]", false},
		{11, "[13]", false},
		{12, "[13]", false},
		{13, "[]", false},
		{99, "[]", false},
	} {
		got, err := versionsAfter(t, s, a, test.after)
		if fmt.Sprint(got) != test.want || errors.Is(err, store.ErrCorrupt) != test.gap || (err != nil) != test.gap {
			t.Errorf("after %d: %v, %v; want %s and a gap %v", test.after, got, err, test.want, test.gap)
		}
		if gap, is := errors.AsType[*store.GapError](err); is != test.gap || is && (gap.Aggregate != a || gap.After < 6 || gap.Found != 10) {
			t.Errorf("after %d: %v, want a gap before 10", test.after, err)
		}
	}
}

func TestLoad_NotUnderstood(t *testing.T) {
	t.Parallel()
	s, db := shell(t)
	for name, change := range map[string]bson.D{
		"no events":      {{Key: "$unset", Value: bson.D{{Key: "ev", Value: 1}}}},
		"a date":         {{Key: "$currentDate", Value: bson.D{{Key: "ev.0.d.when", Value: true}}}},
		"time is text":   {{Key: "$set", Value: bson.D{{Key: "t", Value: "now"}}}},
		"negative count": {{Key: "$set", Value: bson.D{{Key: "cmd.0.n", Value: -1}}}},
	} {
		a := store.Aggregate("account/" + name)
		fill(t, s, a, 1)
		result, err := db.Collection("commits").UpdateOne(t.Context(), bson.D{{Key: "_id.a", Value: string(a)}}, change)
		if err != nil || result.ModifiedCount != 1 {
			t.Fatalf("%s: %v, %v", name, result, err)
		}
		if _, err := versionsAfter(t, s, a, 0); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("%s: %v, want corrupt", name, err)
		}
	}
}

// TestAppend_Document compares what is stored with what the documentation says.
func TestAppend_Document(t *testing.T) {
	t.Parallel()
	s, db := shell(t)
	c := store.Commit{
		Aggregate: "portfolio/p-7", First: 41, Partition: 17, Position: store.Position{Stream: "inc", Sequence: 88231}, Time: 1767225600000007,
		Outcomes: []store.Outcome{
			{CommandID: "c-1", Rejection: []byte(`{"code":"closed"}`)},
			{CommandID: "mine", Keyed: true, Events: 2, Reply: []byte(`{"n":1,"n":2}`), Metadata: store.Metadata{User: "ann"}},
		},
		Events: []store.Event{
			{Name: "deposited.v1", Data: []byte(`{"amount":12.5,"tags":["a"],"big":18446744073709551615}`)},
			{Name: "odd.v1", Data: []byte(`{"$set":{}}`)},
		},
		Out: []store.Outgoing{
			{ID: "o-1", To: "ledger/l-1", Name: "Post", Data: []byte(`{}`), Metadata: store.Metadata{Causation: "mine"}, OnRefusal: "NotPosted", OnRefusalData: []byte(`{"n":1}`)},
			{ID: "o-2", To: "portfolio/p-7", Name: "Remind", At: 5, Timer: "reminder", Data: []byte(`{}`)},
			{To: "portfolio/p-7", Timer: "other"},
		},
	}
	must(t, "append", s.Append(t.Context(), []store.Commit{c})[0])
	var doc bson.D
	filter := bson.D{{Key: "ev.d.amount", Value: bson.D{{Key: "$gt", Value: 12}}}, {Key: "ev.d.tags", Value: "a"}}
	must(t, "find", db.Collection("commits").FindOne(t.Context(), filter).Decode(&doc))
	got, err := bson.MarshalExtJSON(doc, false, false)
	must(t, "show", err)
	want := `{"_id":{"a":"portfolio/p-7","v":41},"t":1767225600000007,"p":17,"k":"portfolio","pos":{"s":"inc","n":88231},` +
		`"cmd":[{"id":"c-1","n":0,"x":{"code":"closed"}},{"id":"mine","key":true,"n":2,"rj":"{\"n\":1,\"n\":2}","md":{"user":"ann"}}],` +
		`"ev":[{"n":"deposited.v1","d":{"amount":12.5,"tags":["a"],"big":{"$numberDecimal":"18446744073709551615"}}},{"n":"odd.v1","j":"{\"$set\":{}}"}],` +
		`"out":[{"to":"ledger/l-1","name":"Post","id":"o-1","d":{},"rn":"NotPosted","rd":{"n":1},"md":{"causation":"mine"}},` +
		`{"to":"portfolio/p-7","name":"Remind","at":5,"timer":"reminder","id":"o-2","d":{}},{"to":"portfolio/p-7","timer":"other"}],"keys":["mine"]}`
	if string(got) != want {
		t.Errorf("stored\n%s\nwant\n%s", got, want)
	}
}

// TestAppend_SizeLimit: the largest commit is stored, read and followed; JSON
// that is too large as BSON is kept as text.
func TestAppend_SizeLimit(t *testing.T) {
	t.Parallel()
	s, _ := shell(t)
	start, err := s.Now(t.Context())
	must(t, "now", err)
	const limit = 16<<20 - 64<<10
	c := typicalCommit(1)
	c.Events[0].Data = []byte(`{"x":""}`)
	empty, ok := mongostore.EncodeCommit(&c)
	if !ok {
		t.Fatal("a small commit is too large")
	}
	text := func(n int) []byte { return []byte(`{"x":"` + strings.Repeat("x", n) + `"}`) }
	c.Events[0].Data = text(limit - len(empty) + 1)
	if err := s.Append(t.Context(), []store.Commit{c})[0]; !errors.Is(err, store.ErrTooLarge) {
		t.Fatalf("one byte too many: %v, want too large", err)
	}
	c.Events[0].Data = text(limit - len(empty))
	numbers := typicalCommit(2)
	numbers.Events[0].Data = []byte(`[` + strings.Repeat("1,", 3<<20) + `1]`)
	for _, err := range s.Append(t.Context(), []store.Commit{c, numbers}) {
		must(t, "append", err)
	}
	items := 0
	for item, err := range s.Follow(t.Context(), start) {
		must(t, "follow", err)
		want := c
		if item.Commit.Aggregate == numbers.Aggregate {
			want = numbers
		}
		if string(item.Commit.Events[0].Data) != string(want.Events[0].Data) {
			t.Errorf("the event of %q has changed", want.Aggregate)
		}
		if items++; items == 2 {
			break
		}
	}
}

// TestStore_DuplicatesOfOddAddresses: the server must be able to tell of a
// duplicate whatever the address.
func TestStore_DuplicatesOfOddAddresses(t *testing.T) {
	t.Parallel()
	s, _ := shell(t)
	for _, a := range []store.Aggregate{"x/a\x00", "x/a\x00b", "x/\x00\x00", "x/\x01", "x/\xff", "x/é", "\x00"} {
		c := typicalCommit(1)
		c.Aggregate = a
		must(t, "append", s.Append(t.Context(), []store.Commit{c})[0])
		if err := s.Append(t.Context(), []store.Commit{c})[0]; !errors.Is(err, store.ErrConflict) {
			t.Errorf("%q: %v, want a conflict", a, err)
		}
		for _, v := range []store.Version{5, 4} {
			must(t, "save snapshot", s.SaveSnapshot(t.Context(), store.Snapshot{Aggregate: a, Version: v, Schema: "v1"}))
		}
		if got, found, err := s.LoadSnapshot(t.Context(), a, "v1"); err != nil || !found || got.Version != 5 {
			t.Errorf("%q: snapshot %+v, %v, %v; want version 5", a, got, found, err)
		}
	}
}

func FuzzDecodeCommit(f *testing.F) {
	c := typicalCommit(1)
	c.Outcomes[0].Keyed = true
	c.Outcomes[0].Metadata.User = "ann"
	c.Out = []store.Outgoing{{ID: "o", To: "a/b", Name: "X", At: 1, Data: []byte(`{}`)}}
	doc, _ := mongostore.EncodeCommit(&c)
	f.Add(doc)
	f.Fuzz(func(t *testing.T, doc []byte) {
		c, err := mongostore.DecodeCommit(doc)
		if err != nil {
			if !errors.Is(err, store.ErrCorrupt) {
				t.Fatalf("error %v, want corrupt", err)
			}
			return
		}
		again, ok := mongostore.EncodeCommit(&c)
		if !ok {
			t.Fatal("what was read is too large")
		}
		if _, err := mongostore.DecodeCommit(again); err != nil {
			t.Fatalf("what was read and written cannot be read: %v", err)
		}
	})
}

func BenchmarkEncodeCommit(b *testing.B) {
	c := typicalCommit(1)
	b.ReportAllocs()
	for b.Loop() {
		mongostore.EncodeCommit(&c)
	}
}

func BenchmarkDecodeCommit(b *testing.B) {
	c := typicalCommit(1)
	doc, _ := mongostore.EncodeCommit(&c)
	b.ReportMetric(float64(len(doc)), "bytes")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := mongostore.DecodeCommit(doc); err != nil {
			b.Fatal(err)
		}
	}
}
