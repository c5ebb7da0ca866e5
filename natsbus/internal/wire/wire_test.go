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

// travel does to headers what nats.go and the server do: write them as text,
// and read the text.
func travel(t *testing.T, h nats.Header) nats.Header {
	t.Helper()
	var b strings.Builder
	b.WriteString("NATS/1.0\r\n")
	for name, values := range h {
		for _, v := range values {
			b.WriteString(name + ": " + strings.NewReplacer("\n", " ", "\r", " ").Replace(strings.Trim(v, " \t")) + "\r\n")
		}
	}
	b.WriteString("\r\n")
	arrived, err := nats.DecodeHeadersMsg([]byte(b.String()))
	if err != nil {
		t.Fatalf("headers %q: %v", b.String(), err)
	}
	return arrived
}

func FuzzMessage(f *testing.F) {
	f.Add("c-1", "Deposit", int64(1), int64(0), uint8(0), uint8(0), false, uint64(0), "", "", "", "", "", "")
	f.Add(" \r\nGn-Name: x", "a.b-c_1", int64(-5), int64(1<<50), uint8(0), uint8(2), true, uint64(1<<63), "00-ab", "%41%", "ü\x00", "remind-1", "a/ü \r\n%", "{\"a\": \"é\"}")
	f.Add("", "Statement", int64(1), int64(2), uint8(1), uint8(1), true, uint64(7), "\t", " x ", "%", "", "", "")
	f.Add("c-1", "Deposit", int64(1), int64(0), uint8(0), uint8(0), false, uint64(0), "", "", "", "", "s", "")
	f.Fuzz(func(t *testing.T, id, name string, at, deadline int64, typ, creation uint8, exact bool, version uint64, trace, correlation, user, timer, refusedTo, refusedData string) {
		to := actor.Address{Kind: "account", ID: "a-1"}
		m := actor.Message{
			Type: actor.MessageType(typ % 3), Target: to, ID: actor.CommandID(id), Name: name, Data: []byte("{}"), Attempt: 1,
			Time:     time.UnixMicro(at % (1 << 60)).UTC(),
			Expect:   actor.Expectation{Creation: actor.Creation(creation % 3), Exact: exact},
			Metadata: actor.Metadata{Trace: trace, Correlation: correlation, User: user},
			Timer:    timer,
			Outside:  exact,
		}
		if refusedTo != "" {
			m.OnRefusal = &actor.Fallback{To: actor.Address{Kind: "saga", ID: refusedTo}, Name: "Refused"}
			if refusedData != "" {
				m.OnRefusal.Data = []byte(refusedData)
			}
		}
		if deadline != 0 {
			m.Deadline = time.UnixMicro(deadline % (1 << 60)).UTC()
		}
		if exact {
			m.Expect.Version = actor.Version(version)
		}
		if m.Validate() != nil || m.Time.IsZero() || deadline != 0 && m.Deadline.IsZero() {
			t.Skip("no client sends it")
		}
		got, err := wire.DecodeMessage(to, m.Lane, travel(t, wire.EncodeMessage(&m)), m.Data)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// FuzzDecodeMessage: whatever the headers say, what is decoded is a valid message.
func FuzzDecodeMessage(f *testing.F) {
	f.Add([]byte("NATS/1.0\r\nGn-Id: 1\r\nGn-Name: x\r\nGn-Time: 1\r\nGn-Expect: new,v1\r\nGn-Attempt: 2\r\n\r\n"))
	f.Add([]byte("NATS/1.0 503\r\n\r\n"))
	f.Add([]byte("NATS/1.0\r\nGn-Format: 2\r\n\r\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		h, err := nats.DecodeHeadersMsg(raw)
		if err != nil {
			t.Skip("nats.go does not hand it over")
		}
		m, err := wire.DecodeMessage(actor.Address{Kind: "a", ID: "1"}, actor.LaneDurable, h, nil)
		if err != nil {
			return
		}
		if err := m.Validate(); err != nil {
			t.Errorf("decoded an invalid message: %v", err)
		}
		if m.Attempt < 1 {
			t.Errorf("attempt %d", m.Attempt)
		}
	})
}

func TestDecodeMessage_Malformed(t *testing.T) {
	t.Parallel()
	good := func() nats.Header {
		return nats.Header{"Gn-Id": {"c-1"}, "Gn-Name": {"Deposit"}, "Gn-Time": {"5"}, "Gn-New-In-Some-Later-Version": {"x"}}
	}
	to := actor.Address{Kind: "account", ID: "a-1"}
	if _, err := wire.DecodeMessage(to, actor.LaneDurable, good(), nil); err != nil {
		t.Fatalf("well-formed: %v", err)
	}
	for name, change := range map[string]func(nats.Header){
		"later format":   func(h nats.Header) { h["Gn-Format"] = []string{"2"} },
		"type":           func(h nats.Header) { h["Gn-Type"] = []string{"event"} },
		"no id":          func(h nats.Header) { delete(h, "Gn-Id") },
		"no name":        func(h nats.Header) { delete(h, "Gn-Name") },
		"no time":        func(h nats.Header) { delete(h, "Gn-Time") },
		"time":           func(h nats.Header) { h["Gn-Time"] = []string{"now"} },
		"deadline":       func(h nats.Header) { h["Gn-Deadline"] = []string{"1e3"} },
		"attempt 0":      func(h nats.Header) { h["Gn-Attempt"] = []string{"0"} },
		"attempt":        func(h nats.Header) { h["Gn-Attempt"] = []string{"99999999999"} },
		"expectation":    func(h nats.Header) { h["Gn-Expect"] = []string{"new,w4"} },
		"version":        func(h nats.Header) { h["Gn-Expect"] = []string{"v-1"} },
		"cut escape":     func(h nats.Header) { h["Gn-User"] = []string{"100%2"} },
		"broken escape":  func(h nats.Header) { h["Gn-User"] = []string{"%zz"} },
		"large metadata": func(h nats.Header) { h["Gn-User"] = []string{strings.Repeat("x", actor.MaxMetadataBytes+1)} },
		"timer":          func(h nats.Header) { h["Gn-Timer"] = []string{"a b"} },
		"wait":           func(h nats.Header) { h["Gn-Wait"], h["Gn-Type"] = []string{"5"}, []string{"state"} },
		"wait, negative": func(h nats.Header) { h["Gn-Wait"], h["Gn-Type"] = []string{"5,-1"}, []string{"state"} },
		"wait, version":  func(h nats.Header) { h["Gn-Wait"], h["Gn-Type"] = []string{"-5,1"}, []string{"state"} },
		"wait of query":  func(h nats.Header) { h["Gn-Wait"], h["Gn-Type"] = []string{"5,1"}, []string{"query"} },
		"timer of query": func(h nats.Header) { h["Gn-Timer"], h["Gn-Type"] = []string{"t"}, []string{"query"} },
		"refused, whom":  func(h nats.Header) { h["Gn-Refused-To"], h["Gn-Refused-Name"] = []string{"saga"}, []string{"X"} },
		"refused, what":  func(h nats.Header) { h["Gn-Refused-To"] = []string{"saga/1"} },
		"refused, large": func(h nats.Header) {
			h["Gn-Refused-To"], h["Gn-Refused-Name"] = []string{"saga/1"}, []string{"X"}
			h["Gn-Refused-Data"] = []string{strings.Repeat("x", actor.MaxFallbackBytes+1)}
		},
		"long command id": func(h nats.Header) { h["Gn-Id"] = []string{strings.Repeat("x", actor.MaxCommandIDBytes+1)} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := good()
			change(h)
			_, err := wire.DecodeMessage(to, actor.LaneDurable, h, nil)
			if !errors.Is(err, wire.ErrWire) && !errors.Is(err, actor.ErrMessage) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// What waits says so, with its bound, and an earlier build's message does not.
func TestMessage_Wait(t *testing.T) {
	t.Parallel()
	to := actor.Address{Kind: "account", ID: "a-1"}
	for _, w := range []actor.Wait{{}, {For: time.Microsecond}, {Beyond: 1<<64 - 1, For: actor.MaxWait}} {
		m := actor.Message{Type: actor.TypeState, Lane: actor.LaneDirect, Target: to, Time: time.UnixMicro(5).UTC(), Attempt: 1, Wait: w}
		got, err := wire.DecodeMessage(to, m.Lane, travel(t, wire.EncodeMessage(&m)), nil)
		if diff := cmp.Diff(m, got); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
	got, err := wire.DecodeMessage(to, actor.LaneDirect, nats.Header{"Gn-Type": {"state"}, "Gn-Time": {"5"}, "Gn-Wait": {"3,9223372036854775807"}}, nil)
	if err != nil || got.Wait != (actor.Wait{Beyond: 3, For: actor.MaxWait}) {
		t.Errorf("a wait beyond the bound: %+v, %v", got.Wait, err)
	}
}

func TestOutcome_RoundTrip(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]actor.Outcome{
		"reply":            {Version: 7, Reply: []byte(`{"balance":5}`)},
		"repeated":         {Version: 7, Reply: []byte(`1`), Replayed: true},
		"ended":            {Version: 7, Reply: []byte(`{}`), Ended: true},
		"version 0":        {Reply: []byte(`null`)},
		"rejection":        {Code: actor.CodeRejected, Version: 1 << 60, Rejection: actor.Reject("no", "no\r\nway").With("left", "3")},
		"version mismatch": {Code: actor.CodeVersionMismatch, Version: 3, Detail: "at 3, not 4 – \r\n%"},
		"incident":         {Code: actor.CodeParked, Detail: "failed (incident ABC)", Incident: "ABC"},
		"failure":          actor.Failure(actor.CodeOverloaded, "mailbox full"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			msg := wire.EncodeOutcome("inbox", o)
			msg.Header = travel(t, msg.Header)
			got, err := wire.DecodeOutcome(msg)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(o, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestEncodeOutcome_Bounds(t *testing.T) {
	t.Parallel()
	msg := wire.EncodeOutcome("inbox", actor.Failure(actor.CodeParked, strings.Repeat("ü", 5000)))
	got, err := wire.DecodeOutcome(msg)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Detail) > 1024 || !strings.HasPrefix(got.Detail, "üü") {
		t.Errorf("detail of %d bytes", len(got.Detail))
	}
	unencodable := actor.Outcome{Code: actor.CodeRejected, Rejection: actor.Reject("no", "").With("f", func() {})}
	got, err = wire.DecodeOutcome(wire.EncodeOutcome("inbox", unencodable))
	if err != nil || got.Rejection.Code != "no" {
		t.Errorf("rejection with a detail that is no JSON: %v, %v", got, err)
	}
}

func TestDecodeOutcome_Malformed(t *testing.T) {
	t.Parallel()
	for name, msg := range map[string]*nats.Msg{
		"no headers":   {Data: []byte("{}")},
		"version":      {Header: nats.Header{"Gn-Version": {"x"}}},
		"detail":       {Header: nats.Header{"Gn-Version": {"1"}, "Gn-Detail": {"%"}}},
		"incident":     {Header: nats.Header{"Gn-Version": {"1"}, "Gn-Incident": {"%"}}},
		"no rejection": {Header: nats.Header{"Gn-Version": {"1"}, "Gn-Code": {"rejected"}}},
	} {
		if _, err := wire.DecodeOutcome(msg); !errors.Is(err, wire.ErrWire) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func FuzzInbox(f *testing.F) {
	f.Add(uint64(0), uint32(1), false, "")
	f.Add(uint64(1<<63), uint32(1<<31), true, "_INBOX.x.1.o1")
	f.Fuzz(func(t *testing.T, call uint64, try uint32, ack bool, other string) {
		in := wire.Inbox{Call: call, Purpose: wire.ForOutcome, Try: try}
		if ack {
			in.Purpose = wire.ForAck
		}
		got, ok := wire.ParseInbox("_INBOX.x", in.Subject("_INBOX.x"))
		if !ok || got != in {
			t.Errorf("%+v came back as %+v, %v", in, got, ok)
		}
		if got, ok := wire.ParseInbox("_INBOX.x", other); ok && got.Purpose != wire.ForAck && got.Purpose != wire.ForOutcome {
			t.Errorf("%q is %+v", other, got)
		}
	})
}

// FuzzPosition compares with what nats.go reads out of the same subject.
func FuzzPosition(f *testing.F) {
	f.Add("$JS.ACK.S.C.1.22.3.1700000000000000000.0")
	f.Add("$JS.ACK.hub.ACC.S.C.1.22.3.1700000000000000000.0")
	f.Add("$JS.ACK._.ACC.S.C.1.22.3.1700000000000000000.0.rnd")
	f.Add("$JS.ACK.S.C.1.0.3.4.5")
	f.Fuzz(func(t *testing.T, reply string) {
		got, ok := wire.ParsePosition(reply)
		if !ok {
			return
		}
		meta, err := (&nats.Msg{Reply: reply, Sub: &nats.Subscription{}}).Metadata()
		if err != nil {
			t.Skip("nats.go is stricter")
		}
		want := wire.Position{Stream: meta.Sequence.Stream, Consumer: meta.Sequence.Consumer, Pending: meta.NumPending}
		if got != want {
			t.Errorf("%q: %+v, nats.go reads %+v", reply, got, want)
		}
	})
}

func TestParsePosition(t *testing.T) {
	t.Parallel()
	want := wire.Position{Stream: 22, Consumer: 3, Pending: 17}
	for _, reply := range []string{
		"$JS.ACK.S.C.1.22.3.1700000000000000000.17",
		"$JS.ACK.hub.ACC.S.C.1.22.3.1700000000000000000.17",
		"$JS.ACK._.ACC.S.C.1.22.3.1700000000000000000.17.rnd",
	} {
		if got, ok := wire.ParsePosition(reply); !ok || got != want {
			t.Errorf("%s: %+v, %v", reply, got, ok)
		}
	}
	for _, reply := range []string{"", "_INBOX.x", "$JS.ACK.S.C.1.22", "$JS.ACK.S.C.1.x.3.4.5", "$JS.ACK.S.C.1.1234567890123456789.3.4.5"} {
		if got, ok := wire.ParsePosition(reply); ok {
			t.Errorf("%q read as %+v", reply, got)
		}
	}
}

// FuzzToken: an id and its token are one to one, and a token is one subject token.
func FuzzToken(f *testing.F) {
	for _, s := range []string{"a-1", "", ".", "*", ">", "%", "%41", "a b", "👩‍🚀", "\x00\r\n", "\xff", "ü/ö"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		token := actor.Address{Kind: "k", ID: s}.Token()
		if strings.ContainsAny(token, ".*> \t\r\n") {
			t.Errorf("token %q of %q is not one literal token", token, s)
		}
		if back, err := actor.ParseToken(token); s != "" && (err != nil || back != s) {
			t.Errorf("%q became %q: %v", s, back, err)
		}
		if id, err := actor.ParseToken(s); err == nil && (actor.Address{ID: id}).Token() != s {
			t.Errorf("%q was read, but is written %q", s, actor.Address{ID: id}.Token())
		}
	})
}

func TestNamespace_Target(t *testing.T) {
	t.Parallel()
	ns, all := wire.Namespace("gn"), actor.Partitions(8)
	to := actor.Address{Kind: "account", ID: "ü .*>/%"}
	p := all.Of(to)
	for _, subject := range []string{ns.Ask(p, to), strings.Replace(ns.Ask(p, to), ".ask.", ".cmd.", 1), strings.Replace(ns.Ask(p, to), ".ask.", ".run.", 1)} {
		got, err := ns.Target(subject, p, all)
		if err != nil || got != to {
			t.Errorf("%s: %v, %v", subject, got, err)
		}
	}
	right := ns.Ask(p, to)
	for _, subject := range []string{
		"", "gn", "gn.ask", "gn.ask.", "gn.ask.3", right + ".x", right + "%", right + "x",
		strings.Replace(right, "account", "Account", 1), strings.Replace(right, "account", "other", 1), strings.TrimSuffix(right, "%25"),
	} {
		if got, err := ns.Target(subject, p, all); err == nil && all.Of(got) != p {
			t.Errorf("%q taken for %v, which is in another partition", subject, got)
		} else if err == nil && ns.Ask(p, got) != subject {
			t.Errorf("%q taken for %v", subject, got)
		}
	}
	if _, err := ns.Target(right, (p+1)%8, all); !errors.Is(err, wire.ErrSubject) {
		t.Errorf("taken in the wrong partition: %v", err)
	}
}

func TestNamespace_Replyable(t *testing.T) {
	t.Parallel()
	ns := wire.Namespace("gn")
	own := wire.Inbox{Call: 77, Purpose: wire.ForOutcome, Try: 2}.Subject(ns.Inboxes("", "c1"))
	users := wire.Inbox{Call: 77, Purpose: wire.ForOutcome, Try: 2}.Subject(ns.Inboxes("ann", "c1"))
	for inbox, want := range map[string]bool{
		own: true, "gn.inbox.c1.0.o1": true, users: true, "gn.inbox.ann.c1.0.o1": true,
		"gn.inbox..c1.0.o1": false, "gn.inbox.ann..0.o1": false, "gn.inbox.ann.c1.0.a1": false, "gn.inbox.ann.b.c1.0.o1": false,
		// Of another user of the account, of another namespace, not for outcomes.
		"_INBOX.abc.1.o1": false, "reply": false, "gnx.cmd.a": false, "gnx.inbox.c1.0.o1": false, "gn2.inbox.c1.0.o1": false,
		"gn.inbox.c1.0.a1": false, "gn.inbox.c1.0.b1": false, "gn.inbox.c1.0": false, "gn.inbox.c1": false, "gn.inbox.": false,
		"gn.inbox..0.o1": false, "gn.inbox.c1.0.o": false, "gn.inbox.c1.0.o1.x": false, "gn.inbox.c1.?.o1": false,
		"": false, "$JS.API.STREAM.DELETE.gn_COMMANDS": false, "gn.cmd.account.a-1": false, "gn.ask.1.account.a-1": false,
		"gn.run.account.a-1": false, "gn.owned.3": false, "gn.due": false,
		"a.*": false, "a.>": false, "a b": false, "a\r\nPUB x": false, "gn.inbox.*.0.o1": false, "gn.inbox.>": false,
		"gn.inbox.c 1.0.o1": false, "gn.inbox.c1.0.o1\r\nPUB x": false, "gn.inbox." + strings.Repeat("c", 1<<10) + ".0.o1": false,
	} {
		if got := ns.Replyable(inbox); got != want {
			t.Errorf("%q: %v", inbox, got)
		}
	}
}

// BenchmarkMessage is what the headers of a usual command cost, without their
// way through nats.go.
func BenchmarkMessage(b *testing.B) {
	to := actor.Address{Kind: "account", ID: "a-1"}
	m := actor.Message{
		Target: to, ID: "0197a5c2-7d3e-7abc-8def-0123456789ab", Name: "Deposit",
		Time: time.UnixMicro(1700000000000000), Deadline: time.UnixMicro(1700000009000000),
	}
	h := wire.EncodeMessage(&m)
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			wire.EncodeMessage(&m)
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := wire.DecodeMessage(to, actor.LaneDurable, h, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func TestNamespace_Owned(t *testing.T) {
	t.Parallel()
	ns := wire.Namespace("gn")
	for _, p := range []actor.Partition{0, 7, 16383} {
		if got, ok := ns.OwnedPartition(ns.Owned(p)); !ok || got != p {
			t.Errorf("partition %d comes back as %d, %v", p, got, ok)
		}
	}
	for _, subject := range []string{"", "gn.owned.", "gn.owned.x", "gn.owned.-1", "gn.owned.4294967296", "gnn.owned.1", "gn.changed", "gn.owned.1.2"} {
		if p, ok := ns.OwnedPartition(subject); ok {
			t.Errorf("%q is taken for partition %d", subject, p)
		}
	}
	if ns.Replyable(ns.Changed()) || ns.Replyable(ns.Owned(1)) {
		t.Error("an owner can be had to publish an announcement")
	}
}
