package wire_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus/internal/wire"
)

// FuzzEvent: whatever an event holds comes back, on one legal subject of a bounded
// set, and nothing that is read makes the reader panic.
func FuzzEvent(f *testing.F) {
	f.Add("a-1", "deposited.v1", "c", "00-ab-cd-01", `"%`+"\r\n", "t:ab:0", uint64(1), int64(1))
	f.Add("ü */>.", "x", "", "", "", "", uint64(1<<60), int64(-1))
	f.Fuzz(func(t *testing.T, id, name, command, trace, user, mark string, version uint64, at int64) {
		ns := wire.Namespace("gn")
		e := actor.EventRecord{
			Partition: 7, Source: actor.Address{Kind: "account", ID: id}, Version: actor.Version(version), Name: name,
			Data: []byte(`{}`), Time: time.UnixMicro(at % (1 << 57)).UTC(), CommandID: actor.CommandID(command),
			Metadata: actor.Metadata{Trace: trace, Correlation: user, Causation: mark, User: user},
		}
		msg := ns.EncodeEvent("inc", &e, mark)
		for header, values := range msg.Header {
			if len(values) != 1 || strings.ContainsAny(values[0], "\r\n \"") && strings.HasPrefix(header, "ce-") {
				t.Errorf("%s is %q", header, values)
			}
		}
		tail, ok := strings.CutPrefix(msg.Subject, "gn.relay.inc.7.account.")
		if !ok || name != "" && (tail == "" || strings.ContainsAny(tail, ".*> \r\n")) {
			t.Errorf("subject %q", msg.Subject)
		}
		got, err := ns.DecodeEvent("gn.evt.7.account."+tail, msg.Header, msg.Data)
		if name == "" || version == 0 {
			if !errors.Is(err, wire.ErrWire) {
				t.Errorf("an event without a name or version is read: %v", err)
			}
			return
		}
		kind, parsed, err := ns.ParseEventSubject("gn.evt.7.account." + tail)
		if err != nil || kind != "account" || parsed != name || ns.EventsNamed(kind, name) != "gn.evt.*.account."+tail {
			t.Errorf("%q came back as %s %q, %v", name, kind, parsed, err)
		}
		year := e.Time.Year()
		if year < 0 || year > 9999 {
			return // no RFC 3339
		}
		if diff := cmp.Diff(e, got); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
		if back, err := wire.Mark(msg.Header); err != nil || back != mark {
			t.Errorf("mark %q came back as %q, %v", mark, back, err)
		}
		_, _, _ = ns.ParseEventSubject(id)
		_, _ = ns.DecodeEvent(id, nats.Header{"ce-subject": {name}, "Gn-Version": {command}, "ce-time": {user}}, nil)
		_, _ = wire.DecodeDue(nats.Header{"Gn-To": {id}, "Gn-Time": {name}, "Gn-Cron": {user}}, nil, version, e.Time)
	})
}

// FuzzTimer: timers of different aggregates or names have different subjects, which
// are legal, and what is set comes due as it was.
func FuzzTimer(f *testing.F) {
	f.Add("a-1", "fee", "b", "fee", int64(1))
	f.Add("a", "b.c", "a.b", "c", int64(2))
	f.Fuzz(func(t *testing.T, id1, name1, id2, name2 string, at int64) {
		ns := wire.Namespace("gn")
		a, b := actor.Address{Kind: "k", ID: id1}, actor.Address{Kind: "k", ID: id2}
		if a.Validate() != nil || b.Validate() != nil || name1 == "" || name2 == "" {
			return
		}
		one, two := ns.Timer(a, name1), ns.Timer(b, name2)
		if (one == two) != (a == b && name1 == name2) {
			t.Errorf("%q %q and %q %q: %q, %q", id1, name1, id2, name2, one, two)
		}
		if strings.Count(one, ".") != 5 || strings.ContainsAny(one, "*> \r\n\t") || len(one) > 1200 {
			t.Errorf("subject %q", one)
		}
		m := actor.Message{Target: a, ID: "i", Name: "Ring", Time: time.UnixMicro(1 + at&(1<<50-1)).UTC(), Data: []byte("{}"), Attempt: 1}
		set := ns.EncodeTimer(&m, name1, at)
		got, err := wire.DecodeDue(set.Header, set.Data, 3, time.Now())
		if diff := cmp.Diff(m, got); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
		if wire.Order(set.Header) != at {
			t.Errorf("order %d came back as %d", at, wire.Order(set.Header))
		}
	})
}
