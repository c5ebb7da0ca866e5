package natsbus_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus"
	"github.com/ganglion-go/ganglion/testharness"
)

func newJetStream(tb testing.TB, s *testharness.NATSServer) jetstream.JetStream {
	tb.Helper()
	js, err := jetstream.New(s.Connect(tb))
	if err != nil {
		tb.Fatal(err)
	}
	return js
}

func TestOpen_CreatesStreamOnce(t *testing.T) {
	t.Parallel()
	s := testharness.NATS(t)
	first := openBus(t, s.Connect(t), natsbus.Config{})
	if got := first.Partitions(); got != actor.DefaultPartitions {
		t.Errorf("%d partitions by default", got)
	}
	info, err := newJetStream(t, s).Stream(t.Context(), "ganglion_COMMANDS")
	if err != nil {
		t.Fatal(err)
	}
	cfg := info.CachedInfo().Config
	if cfg.MaxBytes != 1<<30 || cfg.Discard != jetstream.DiscardNew || cfg.Storage != jetstream.FileStorage || cfg.Replicas != 1 {
		t.Errorf("stream created as %+v", cfg)
	}
	for _, p := range []actor.Partitions{0, actor.DefaultPartitions} {
		again := openBus(t, s.Connect(t), natsbus.Config{Partitions: p, MaxBytes: 5})
		if again.Stream() != first.Stream() || again.Partitions() != first.Partitions() {
			t.Errorf("opened again with P %d: stream %s with %d, was %s with %d", p, again.Stream(), again.Partitions(), first.Stream(), first.Partitions())
		}
	}
	other := openBus(t, s.Connect(t), natsbus.Config{Namespace: "other", Partitions: 2})
	if other.Stream() == first.Stream() || other.Partitions() != 2 {
		t.Errorf("another namespace has stream %s with %d partitions", other.Stream(), other.Partitions())
	}
}

func TestOpen_PartitionsMismatch(t *testing.T) {
	t.Parallel()
	s := testharness.NATS(t)
	openBus(t, s.Connect(t), natsbus.Config{Partitions: 64})
	_, err := natsbus.Open(t.Context(), s.Connect(t), natsbus.Config{Partitions: 128})
	differ, ok := errors.AsType[*natsbus.PartitionsError](err)
	if !errors.Is(err, natsbus.ErrPartitionsMismatch) || !ok || differ.Configured != 128 || differ.Found != 64 {
		t.Errorf("error %v", err)
	}
}

func TestOpen_BadConfig_CreatesNothing(t *testing.T) {
	t.Parallel()
	s := testharness.NATS(t)
	nc := s.Connect(t)
	for name, cfg := range map[string]natsbus.Config{
		"three partitions":    {Partitions: 3},
		"too many partitions": {Partitions: 2 * actor.MaxPartitions},
		"namespace":           {Namespace: "a.b"},
		"namespace wildcard":  {Namespace: "*"},
		"namespace blank":     {Namespace: "a b"},
		"namespace length":    {Namespace: strings.Repeat("x", 65)},
		"replicas":            {Replicas: 6},
		"negative replicas":   {Replicas: -1},
		"bytes":               {MaxBytes: -1},
		"window":              {Window: 1},
		"direct window":       {DirectWindow: -1},
		"heartbeat":           {Heartbeat: time.Millisecond},
	} {
		if _, err := natsbus.Open(t.Context(), nc, cfg); !errors.Is(err, natsbus.ErrConfig) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	_, err := natsbus.Open(t.Context(), nc, natsbus.Config{Namespace: "-*-", Partitions: 3, Replicas: 9})
	for _, fault := range []string{"-*-", "partitions 3", "replicas 9"} {
		if err == nil || !strings.Contains(err.Error(), fault) {
			t.Errorf("%q is not among the faults: %v", fault, err)
		}
	}
	for name := range newJetStream(t, s).StreamNames(t.Context()).Name() {
		t.Errorf("stream %s was created", name)
	}
}

const apiStoreNotCreated jetstream.ErrorCode = 10049

func TestOpen_ForeignStream(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*jetstream.StreamConfig){
		"no metadata":  func(c *jetstream.StreamConfig) { c.Metadata = nil },
		"later format": func(c *jetstream.StreamConfig) { c.Metadata["ganglion.format"] = "2" },
		"other mapping": func(c *jetstream.StreamConfig) {
			c.SubjectTransform.Destination = "gn.cmd.{{partition(16,1,2)}}.{{wildcard(1)}}.{{wildcard(2)}}"
		},
		"no mapping":        func(c *jetstream.StreamConfig) { c.SubjectTransform = nil },
		"odd partitions":    func(c *jetstream.StreamConfig) { c.Metadata["ganglion.partitions"] = "7" },
		"no incarnation":    func(c *jetstream.StreamConfig) { delete(c.Metadata, "ganglion.incarnation") },
		"other subjects":    func(c *jetstream.StreamConfig) { c.Subjects = append(c.Subjects, "more") },
		"drops old ones":    func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardOld },
		"drops by age":      func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour },
		"drops by interest": func(c *jetstream.StreamConfig) { c.Retention = jetstream.InterestPolicy },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := testharness.NATS(t)
			openBus(t, s.Connect(t), natsbus.Config{Namespace: "gn", Partitions: 8})
			js := newJetStream(t, s)
			stream, err := js.Stream(t.Context(), "gn_COMMANDS")
			if err != nil {
				t.Fatal(err)
			}
			cfg := stream.CachedInfo().Config
			change(&cfg)
			if err := js.DeleteStream(t.Context(), "gn_COMMANDS"); err != nil {
				t.Fatal(err)
			}
			// The server is still removing the old stream's files for a moment.
			testharness.Eventually(t, patient, func() bool {
				_, err := js.CreateStream(t.Context(), cfg)
				api, ok := errors.AsType[*jetstream.APIError](err)
				if err != nil && (!ok || api.ErrorCode != apiStoreNotCreated) {
					t.Fatal(err)
				}
				return err == nil
			})
			if _, err := natsbus.Open(t.Context(), s.Connect(t), natsbus.Config{Namespace: "gn"}); !errors.Is(err, natsbus.ErrForeignStream) {
				t.Errorf("Open: %v", err)
			}
			if _, err := natsbus.NewClient(t.Context(), s.Connect(t), natsbus.ClientConfig{Namespace: "gn"}); !errors.Is(err, natsbus.ErrForeignStream) {
				t.Errorf("NewClient: %v", err)
			}
		})
	}
}

func TestOpen_TwoAtOnce_AgreeOnOneStream(t *testing.T) {
	t.Parallel()
	s := testharness.NATS(t)
	for round := range 10 {
		var buses [8]*natsbus.Bus
		var group sync.WaitGroup
		for i := range buses {
			nc := s.Connect(t)
			group.Go(func() {
				var err error
				if buses[i], err = natsbus.Open(t.Context(), nc, natsbus.Config{Namespace: fmt.Sprintf("n%d", round)}); err != nil {
					t.Errorf("open: %v", err)
				}
			})
		}
		group.Wait()
		for _, b := range buses {
			if b == nil || b.Stream() != buses[0].Stream() {
				t.Fatal("the nodes do not share one stream")
			}
		}
	}
}

// TestOpen_WhileAnotherNodeMakesTheStream answers as a cluster does whose servers
// have not yet agreed on a stream that another node has asked for:
//
//	this node                  JetStream
//	is there a stream?         no
//	make it                    the name is taken: another node asked a moment ago
//	which one is it?           there is none: no server has made it yet
//	which one is it?           this one
func TestOpen_WhileAnotherNodeMakesTheStream(t *testing.T) {
	t.Parallel()
	made := testharness.NATS(t)
	other := openBus(t, made.Connect(t), natsbus.Config{})
	behind := made.Connect(t)
	front := testharness.NATS(t, testharness.WithServerOptions(func(o *server.Options) { o.JetStream = false }))
	api := front.Connect(t)
	var asked atomic.Int64
	answer := func(subject string, respond func(m *nats.Msg)) {
		if _, err := api.Subscribe(subject, respond); err != nil {
			t.Fatal(err)
		}
	}
	pass := func(m *nats.Msg) {
		if reply, err := behind.Request(m.Subject, m.Data, 5*time.Second); err == nil {
			_ = m.Respond(reply.Data)
		}
	}
	answer("$JS.API.STREAM.INFO.ganglion_COMMANDS", func(m *nats.Msg) {
		if asked.Add(1) <= 2 {
			_ = m.Respond([]byte(`{"error":{"code":404,"err_code":10059,"description":"stream not found"}}`))
			return
		}
		pass(m)
	})
	answer("$JS.API.STREAM.INFO.ganglion_EVENTS", pass)
	answer("$JS.API.STREAM.INFO.ganglion_DEADLINES", pass)
	answer("$JS.API.STREAM.CREATE.ganglion_COMMANDS", func(m *nats.Msg) {
		_ = m.Respond([]byte(`{"error":{"code":400,"err_code":10058,"description":"stream name already in use with a different configuration"}}`))
	})
	if err := api.Flush(); err != nil {
		t.Fatal(err)
	}
	b, err := natsbus.Open(t.Context(), front.Connect(t), natsbus.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if b.Stream() != other.Stream() || asked.Load() < 3 {
		t.Errorf("stream %s after %d questions, want %s", b.Stream(), asked.Load(), other.Stream())
	}
}

func TestOpen_NoJetStream_EndsWithContext(t *testing.T) {
	t.Parallel()
	s := testharness.NATS(t)
	nc := s.Connect(t)
	s.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := natsbus.Open(ctx, nc, natsbus.Config{}); err == nil {
		t.Error("opened without a server")
	}
}

func TestNewClient_NotProvisioned(t *testing.T) {
	t.Parallel()
	s := testharness.NATS(t)
	if _, err := natsbus.NewClient(t.Context(), s.Connect(t), natsbus.ClientConfig{}); !errors.Is(err, natsbus.ErrNotProvisioned) {
		t.Errorf("error %v", err)
	}
	if _, err := natsbus.NewClient(t.Context(), s.Connect(t), natsbus.ClientConfig{Namespace: "a.b", MaxInFlight: -1}); !errors.Is(err, natsbus.ErrConfig) {
		t.Errorf("error %v", err)
	}
}

// TestPartitions_Of_EqualsServerMapping has the server itself map ids of every
// kind of character, and compares with the client's function.
func TestPartitions_Of_EqualsServerMapping(t *testing.T) {
	t.Parallel()
	for _, p := range []actor.Partitions{1, 128, 1024} {
		t.Run(fmt.Sprint(p), func(t *testing.T) {
			t.Parallel()
			f := setup(t, natsbus.Config{Namespace: "gn", Partitions: p})
			ids := mappedIDs()
			enqueueAll(t, f.client, ids)
			stream, err := newJetStream(t, f.server).Stream(t.Context(), "gn_COMMANDS")
			if err != nil {
				t.Fatal(err)
			}
			info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter(">"))
			if err != nil {
				t.Fatal(err)
			}
			if got := len(info.State.Subjects); got != 2*len(ids) {
				t.Fatalf("%d subjects for %d aggregates", got, 2*len(ids))
			}
			for subject := range info.State.Subjects {
				var partition uint32
				var kind, token string
				parts := strings.Split(subject, ".")
				kind, token = parts[3], parts[4]
				if _, err := fmt.Sscan(parts[2], &partition); err != nil {
					t.Fatal(err)
				}
				id, err := actor.ParseToken(token)
				if err != nil {
					t.Fatal(err)
				}
				if got := p.Of(actor.Address{Kind: actor.Kind(kind), ID: id}); got != actor.Partition(partition) {
					t.Errorf("%s: client says %d", subject, got)
				}
			}
		})
	}
}

func mappedIDs() []string {
	ids := []string{"a", " ", ".", "..", "*", ">", "%", "%41", "$JS.API.x", "{{partition(3,1)}}", "a/b", "👩‍🚀", "日本", "ü", "\x00", "\r\n", "\t", "=", "?", "#", "\"'\\", strings.Repeat("x", 256), strings.Repeat("é", 128)}
	for i := range 1500 {
		ids = append(ids, fmt.Sprintf("order-%d", i), fmt.Sprintf("%c%c.*>%d", rune(0x1F300+i%600), rune(0x400+i%200), i))
	}
	return ids
}

// enqueueAll stores a command for each id under two kinds.
func enqueueAll(t *testing.T, client *natsbus.Client, ids []string) {
	t.Helper()
	limit := make(chan struct{}, 64)
	var group sync.WaitGroup
	for _, id := range ids {
		for _, kind := range []actor.Kind{"account", "a-_9"} {
			limit <- struct{}{}
			group.Go(func() {
				defer func() { <-limit }()
				if err := client.Enqueue(t.Context(), actor.Message{Target: actor.Address{Kind: kind, ID: id}, Name: "X"}); err != nil {
					t.Errorf("%q: %v", id, err)
				}
			})
		}
	}
	group.Wait()
}

// TestOpen_ManyPartitions serves more partitions than a server allows consumers
// by default.
func TestOpen_ManyPartitions(t *testing.T) {
	t.Parallel()
	f := setup(t, natsbus.Config{Partitions: 2048})
	info, err := newJetStream(t, f.server).Stream(t.Context(), "ganglion_COMMANDS")
	if err != nil {
		t.Fatal(err)
	}
	if got := info.CachedInfo().Config.MaxConsumers; got < 2*2048 {
		t.Errorf("%d consumers allowed", got)
	}
	o := &owner{}
	for p := range actor.Partition(1100) {
		sub, err := f.bus.Serve(t.Context(), p, f.bus.Stream(), 0, o)
		if err != nil {
			t.Fatalf("partition %d: %v", p, err)
		}
		t.Cleanup(func() { stop(t, sub) })
	}
}
