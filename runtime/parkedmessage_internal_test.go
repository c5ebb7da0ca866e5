package runtime

import (
	"bytes"
	"errors"
	"math"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/store"
)

func fullMessage() actor.Message {
	return actor.Message{
		Type: actor.TypeCommand, Lane: actor.LaneDirect, Target: actor.Address{Kind: "account", ID: "a/ä 1"},
		ID: "key 1", Name: "Deposit", Data: []byte(`{"amount":5}`), Attempt: 2,
		Time:     time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC),
		Deadline: time.Date(2026, 1, 2, 3, 4, 15, 0, time.UTC),
		Expect:   actor.Expectation{Creation: actor.MustBeNew, Exact: true, Version: 0},
		Metadata: actor.Metadata{Trace: "00-t-s-01", Correlation: "c", Causation: "d", User: "ann"},
		Timer:    "remind", OnRefusal: &actor.Fallback{To: actor.Address{Kind: "saga", ID: "s-1"}, Name: "Refuse", Data: []byte(`{"n":1}`)},
		Outside: true,
	}
}

func parkedAs(m *actor.Message, record []byte) *store.Parked {
	return &store.Parked{Aggregate: store.Aggregate(m.Target.String()), CommandID: string(m.ID), Name: m.Name, Message: record}
}

// The files are what databases hold. A change of this test's expectation is a
// change of a stored format.
func TestParkedMessage_Golden(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"testdata/parked-earlier.json", "testdata/parked-1.json", "testdata/parked-1-outside.json"} {
		want := fullMessage()
		want.Outside = file == "testdata/parked-1-outside.json" // the others are of builds that did not tell
		record, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParkedMessage(parkedAs(&want, record))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
		if file != "testdata/parked-earlier.json" {
			if written := encodeParked(&want, actor.CodeOK); !bytes.Equal(written, bytes.TrimSpace(record)) {
				t.Errorf("written is\n%s\nthe golden file has\n%s", written, record)
			}
		}
	}
}

// Every field of a message is in the record, whatever is added to it later.
func TestParkedMessage_HasEveryField(t *testing.T) {
	t.Parallel()
	full := fullMessage()
	for v, i := reflect.ValueOf(full), 0; i < v.NumField(); i++ {
		if name := v.Type().Field(i).Name; v.Field(i).IsZero() && name != "Type" && name != "Wait" { // commands alone are parked, and none waits
			t.Errorf("field %s is not tested", name)
		}
	}
	for name, change := range map[string]func(*actor.Message){
		"full":        func(*actor.Message) {},
		"least":       func(m *actor.Message) { *m = actor.Message{Target: m.Target, ID: m.ID, Name: m.Name} },
		"not JSON":    func(m *actor.Message) { m.Data = []byte{0xff, 0, '{'} },
		"far future":  func(m *actor.Message) { m.Time = time.UnixMicro(math.MaxInt64).UTC() },
		"far past":    func(m *actor.Message) { m.Time = time.UnixMicro(math.MinInt64).UTC() },
		"1970":        func(m *actor.Message) { m.Time, m.Deadline = time.UnixMicro(0).UTC(), time.UnixMicro(0).UTC() },
		"must exist":  func(m *actor.Message) { m.Expect = actor.Expectation{Creation: actor.MustExist} },
		"version":     func(m *actor.Message) { m.Expect = actor.Expectation{Exact: true, Version: math.MaxUint64} },
		"no fallback": func(m *actor.Message) { m.OnRefusal, m.Timer = nil, "" },
		"no metadata": func(m *actor.Message) { m.Metadata = actor.Metadata{} },
	} {
		m := full
		change(&m)
		got, err := ParkedMessage(parkedAs(&m, encodeParked(&m, actor.CodeUnknownKind)))
		if diff := cmp.Diff(m, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}

func TestParkedMessage_RefusesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	m := fullMessage()
	for name, record := range map[string]string{
		"empty":               ``,
		"no object":           `7`,
		"newer":               `{"format":2,"target":"account/a"}`,
		"no address":          `{"format":1,"target":"account"}`,
		"unknown creation":    `{"format":1,"target":"account/a/ä 1","id":"key 1","expect":{"creation":"perhaps"}}`,
		"fallback to nobody":  `{"format":1,"target":"account/a/ä 1","id":"key 1","onRefusal":{"to":"?"}}`,
		"of another":          `{"format":1,"target":"account/b","id":"key 1"}`,
		"another id":          `{"format":1,"target":"account/a/ä 1","id":"key 2"}`,
		"earlier, a query":    `{"Type":1,"Target":{"Kind":"account","ID":"a/ä 1"},"ID":"key 1"}`,
		"earlier, a creation": `{"Target":{"Kind":"account","ID":"a/ä 1"},"ID":"key 1","Expect":{"Creation":3}}`,
	} {
		if got, err := ParkedMessage(parkedAs(&m, []byte(record))); !errors.Is(err, ErrParkedMessage) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// The records of what the relay holds are what databases hold, too.
func TestParkedMessage_OfTheRelay(t *testing.T) {
	t.Parallel()
	m := actor.Message{Target: actor.Address{Kind: "account", ID: "a"}, ID: "i", Name: "Ring", Data: []byte("{}"), Time: time.UnixMicro(7).UTC(), Timer: "t"}
	timer := recordOf(&m, WaitsUnsent)
	timer.Set = &parkedTimer{Order: 9}
	history := heldHistory{Stream: "s-1", From: 4, Next: 6, Released: 3}
	for got, want := range map[string]string{
		string(timer.encode()):       `{"format":1,"target":"account/a","id":"i","name":"Ring","data":"e30=","time":7,"timer":"t","waits":"unsent","set":{"order":9}}`,
		string(encodeHeld(&history)): `{"format":1,"waits":"unreadable_commit","history":{"stream":"s-1","from":4,"next":6,"released":3}}`,
	} {
		if got != want {
			t.Errorf("written is\n%s\nand not\n%s", got, want)
		}
	}
	if set, ok := timerToSet(parkedAs(&m, timer.encode())); !ok || set.Order != 9 {
		t.Errorf("read as %+v", set)
	}
	if is, ok := decodeHeld(&store.Parked{CommandID: heldHistoryID, Message: encodeHeld(&history)}); !ok || is != history {
		t.Errorf("read as %+v", is)
	}
	if got, err := ParkedMessage(parkedAs(&m, timer.encode())); err != nil || got.Timer != "t" || !got.Time.Equal(m.Time) {
		t.Errorf("read as %+v, %v", got, err)
	}
}
