package wire_test

import (
	"encoding/json"
	"flag"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus/internal/wire"
)

// earlierFile is what the build of 291a882 writes for the samples below. It was made by this
// test, in a checkout of that commit, with -record.
const earlierFile = "testdata/291a882.json"

var record = flag.Bool("record", false, "write the file of an earlier build, in a checkout of it")

// written is what travels: a message with where it goes.
type written struct {
	Subject string      `json:"subject"`
	Header  nats.Header `json:"header"`
	Data    string      `json:"data"`
}

// sample is a message of which all fields are set that both builds have.
func sample() actor.Message {
	at := time.UnixMicro(1_790_000_000_123_456).UTC()
	return actor.Message{
		Target: actor.Address{Kind: "account", ID: "a/ü 1"}, ID: "c-1 %\r\n", Name: "Deposit", Data: []byte(`{"amount":5}`),
		Time: at, Deadline: at.Add(time.Minute), Attempt: 1, Expect: actor.Expectation{Creation: actor.MustExist, Exact: true, Version: 1 << 60},
		Metadata: actor.Metadata{Trace: "00-ab", Correlation: "talk ü", Causation: "cause", User: "ann"},
	}
}

func samples() map[string]actor.Message {
	own := sample()
	own.ID, own.Deadline, own.Expect = "ganglion.0199d7a0-0000-7000-8000-000000000001", time.Time{}, actor.Expectation{}
	own.OnRefusal = &actor.Fallback{To: actor.Address{Kind: "saga", ID: "s/1"}, Name: "Refused", Data: []byte(`{"why":"ü"}`)}
	fired := own
	fired.OnRefusal, fired.Timer = nil, "remind-1"
	direct, query, state := sample(), sample(), sample()
	direct.Lane = actor.LaneDirect
	query.Lane, query.Type, query.Expect = actor.LaneDirect, actor.TypeQuery, actor.Expectation{}
	state.Lane, state.Type, state.ID, state.Name, state.Data, state.Expect = actor.LaneDirect, actor.TypeState, "", "", nil, actor.Expectation{}
	fresh := sample()
	fresh.Expect = actor.Expectation{Creation: actor.MustBeNew}
	return map[string]actor.Message{
		"command": sample(), "new": fresh, "own": own, "fired": fired, "direct": direct, "query": query, "state": state,
	}
}

func outcomes() map[string]actor.Outcome {
	return map[string]actor.Outcome{
		"reply":            {Version: 7, Reply: []byte(`{"balance":5}`)},
		"repeated":         {Version: 7, Reply: []byte(`1`), Replayed: true},
		"rejection":        {Code: actor.CodeRejected, Version: 1 << 60, Rejection: actor.Reject("no", "no\r\nway").With("left", "3")},
		"version mismatch": {Code: actor.CodeVersionMismatch, Version: 3, Detail: "at 3, not 4 – \r\n%"},
		"parked":           {Code: actor.CodeParked, Detail: "it panicked", Incident: "i-1"},
	}
}

const earlierInbox = "gn.inbox.c1.77.o2"

// encodeAll writes all samples.
func encodeAll() map[string]written {
	ns := wire.Namespace("gn")
	all := map[string]written{}
	for name, m := range samples() {
		subject := ns.Command(m.Target)
		switch {
		case m.Lane == actor.LaneDirect:
			subject = ns.Ask(3, m.Target)
		case name == "own" || name == "fired":
			subject = ns.Run(m.Target)
		}
		all["message "+name] = written{subject, wire.EncodeMessage(&m), string(m.Data)}
		if m.Type == actor.TypeCommand {
			set := ns.EncodeTimer(&m, "remind-1", 42)
			all["timer "+name] = written{set.Subject, set.Header, string(set.Data)}
		}
	}
	for name, o := range outcomes() {
		msg := wire.EncodeOutcome(earlierInbox, o)
		all["outcome "+name] = written{msg.Subject, msg.Header, string(msg.Data)}
	}
	mapping := ns.Mapping(8)
	all["streams"] = written{Subject: mapping.Source + " " + mapping.Destination, Header: nats.Header{"subjects": ns.Subjects(), "stored": {ns.StoredIn(3)}, "owned": {ns.Owned(3)}}}
	return all
}

// TestEarlierBuild_WritesTheSame: nodes of this build and of the one before the rights, the effects and
// the internal commands understand each other. What both have, both write in the same form;
// what this build adds are headers of their own, which the other does not look at.
func TestEarlierBuild_WritesTheSame(t *testing.T) {
	t.Parallel()
	now := encodeAll()
	if *record {
		data, err := json.MarshalIndent(now, "", "\t")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(earlierFile, append(data, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(earlierFile)
	if err != nil {
		t.Fatal(err)
	}
	var was map[string]written
	if err := json.Unmarshal(data, &was); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(was, now); diff != "" {
		t.Errorf("(-291a882 +now):\n%s", diff)
	}
	for name, m := range samples() {
		is := was["message "+name]
		got, err := wire.DecodeMessage(m.Target, m.Lane, travel(t, is.Header), m.Data)
		if diff := cmp.Diff(m, got); diff != "" || err != nil {
			t.Errorf("message %s is read as (-sent +read): %v\n%s", name, err, diff)
		}
	}
	for name, o := range outcomes() {
		is := was["outcome "+name]
		got, err := wire.DecodeOutcome(&nats.Msg{Subject: is.Subject, Header: travel(t, is.Header), Data: []byte(is.Data)})
		if diff := cmp.Diff(o.Err(), got.Err(), cmp.Comparer(func(a, b error) bool { return (a == nil) == (b == nil) && (a == nil || a.Error() == b.Error()) })); diff != "" || err != nil ||
			got.Version != o.Version || got.Replayed != o.Replayed || got.Code != o.Code || string(got.Reply) != string(o.Reply) || got.Incident != o.Incident {
			t.Errorf("outcome %s is read as %+v, %v: %s", name, got, err, diff)
		}
	}
}
