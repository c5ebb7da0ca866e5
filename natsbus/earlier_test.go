package natsbus_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus"
	"github.com/ganglion-go/ganglion/testharness"
)

// earlierStream makes a command stream as builds did that knew one family of subjects.
func earlierStream(t *testing.T, s *testharness.NATSServer) {
	t.Helper()
	_, err := newJetStream(t, s).CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "ganglion_COMMANDS", Subjects: []string{"ganglion.cmd.*.*"},
		SubjectTransform: &jetstream.SubjectTransformConfig{
			Source: "ganglion.cmd.*.*", Destination: "ganglion.cmd.{{partition(2,1,2)}}.{{wildcard(1)}}.{{wildcard(2)}}",
		},
		Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew, MaxBytes: 1 << 20, AllowDirect: true,
		Metadata: map[string]string{"ganglion.format": "1", "ganglion.partitions": "2", "ganglion.incarnation": "made-by-hand"},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func publishStored(t *testing.T, nc *nats.Conn, subject string, h nats.Header) {
	t.Helper()
	answer, err := nc.RequestMsg(&nats.Msg{Subject: subject, Header: h, Data: []byte("{}")}, patient)
	if err != nil || len(answer.Data) == 0 || answer.Data[2] == 'e' {
		t.Fatalf("%s: %+v, %v", subject, answer, err)
	}
}

// TestOpen_UpdatesAStreamOfAnEarlierBuild: what it holds is executed as it was meant, a
// timer and a fallback included, and in the order of the stream; what comes later on the
// subjects of callers is believed as little as anywhere else.
func TestOpen_UpdatesAStreamOfAnEarlierBuild(t *testing.T) {
	t.Parallel()
	s := testharness.NATS(t)
	earlierStream(t, s)
	nc := s.Connect(t)
	id := idIn(1, 2)
	to := "ganglion.cmd.account." + id
	former := actor.DeriveID(time.Now(), "reaction", "policy", "account/x", "1", "0")
	publishStored(t, nc, to, forged(nats.Header{"Gn-Id": {string(former)}, "Gn-Timer": {"remind"}, "Gn-Name": {"ganglion.deadline"}}, nil))
	publishStored(t, nc, to, forged(nats.Header{"Gn-Id": {"k-2"}, "Gn-Refused-To": {"account/other"}, "Gn-Refused-Name": {"Refused"}}, nil))

	asked := 0
	cfg := natsbus.Config{BeforeUpdate: func(context.Context) error { asked++; return nil }}
	bus := openBus(t, s.Connect(t), cfg)
	if again := openBus(t, s.Connect(t), cfg); again.Stream() != bus.Stream() || asked != 1 {
		t.Errorf("asked %d times whether the stream may be changed; %s and %s", asked, again.Stream(), bus.Stream())
	}
	publishStored(t, nc, to, forged(nats.Header{"Gn-Id": {"k-3"}, "Gn-Timer": {"remind"}}, nil))
	own := command(id, "{}")
	own.ID, own.Time, own.Timer = "ganglion."+former, time.UnixMicro(1).UTC(), "remind"
	if err := bus.Send(t.Context(), own); err != nil {
		t.Fatal(err)
	}
	late := own
	late.ID = actor.InternalID(time.Now().Add(48*time.Hour), "reaction", "policy", "account/x", "2", "0")
	if err := bus.Send(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	client := newClient(t, nc, natsbus.ClientConfig{})
	enqueue(t, client, id, 6, 1)

	o := &owner{}
	serveAll(t, bus, o)
	testharness.Eventually(t, patient, func() bool { return len(o.durables()) == 5 })
	got := o.durables()
	for i, want := range []struct {
		sequence uint64
		id       actor.CommandID
		formerly actor.CommandID
	}{{1, former, ""}, {2, "k-2", ""}, {4, own.ID, former}, {5, late.ID, ""}} {
		if d := got[i]; d.Sequence != want.sequence || d.Message.ID != want.id || d.Formerly != want.formerly {
			t.Errorf("delivery %d: %+v, want %+v", i, d, want)
		}
	}
	if got[0].Message.Timer != "remind" || got[0].Message.Name != "ganglion.deadline" || got[1].Message.OnRefusal == nil {
		t.Errorf("what the earlier build has sent: %+v, %+v", got[0].Message, got[1].Message)
	}
}

// TestOpen_BesideAnEarlierBuild_ChangesNothing: its nodes would not see what this build
// sends.
func TestOpen_BesideAnEarlierBuild_ChangesNothing(t *testing.T) {
	t.Parallel()
	s := testharness.NATS(t)
	earlierStream(t, s)
	beside := errors.New("somebody is there")
	before := time.Now()
	_, err := natsbus.Open(t.Context(), s.Connect(t), natsbus.Config{BeforeUpdate: func(context.Context) error { return beside }})
	if !errors.Is(err, beside) || time.Since(before) > patient {
		t.Fatalf("opened with %v after %v", err, time.Since(before))
	}
	stream, err := newJetStream(t, s).Stream(t.Context(), "ganglion_COMMANDS")
	if err != nil || len(stream.CachedInfo().Config.Subjects) != 1 || len(stream.CachedInfo().Config.Metadata["ganglion.earlier"]) > 0 {
		t.Errorf("changed to %+v, %v", stream.CachedInfo().Config, err)
	}
	newClient(t, s.Connect(t), natsbus.ClientConfig{}) // a client has no say in it
}

// TestOpen_AnotherNodeIsFaster: the nodes that are there are of this build, as the
// stream shows.
func TestOpen_AnotherNodeIsFaster(t *testing.T) {
	t.Parallel()
	s := testharness.NATS(t)
	earlierStream(t, s)
	other := s.Connect(t)
	openBus(t, s.Connect(t), natsbus.Config{BeforeUpdate: func(context.Context) error {
		openBus(t, other, natsbus.Config{})
		return errors.New("somebody is there")
	}})
}

// TestBus_Head_StreamIsSetBack: somebody has given the stream the settings of before.
func TestBus_Head_StreamIsSetBack(t *testing.T) {
	t.Parallel()
	s := testharness.NATS(t)
	earlierStream(t, s)
	js := newJetStream(t, s)
	stream, err := js.Stream(t.Context(), "ganglion_COMMANDS")
	if err != nil {
		t.Fatal(err)
	}
	bus := openBus(t, s.Connect(t), natsbus.Config{})
	if _, err := js.UpdateStream(t.Context(), stream.CachedInfo().Config); err != nil {
		t.Fatal(err)
	}
	if is, _, err := bus.Head(t.Context()); err != nil || is != bus.Stream() {
		t.Fatalf("%s, %v", is, err)
	}
	m := command("a-1", "{}")
	m.ID, m.Time = "c-1", time.UnixMicro(1).UTC()
	if err := bus.Send(t.Context(), m); err != nil {
		t.Error(err)
	}
}
