package actor_test

import (
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/ganglion-go/ganglion/actor"
)

// One command on a live instance: decode, decide, encode events and reply.
func BenchmarkInstance_Decide(b *testing.B) {
	for name, m := range map[string]*actor.Message{
		"command":   command("deposit", `{"amount":5}`),
		"rejection": command("deposit", `{"amount":-5}`),
		"query":     query("balance"),
		"state":     {Type: actor.TypeState},
	} {
		b.Run(name, func(b *testing.B) {
			i := with(b, 1)
			b.ReportAllocs()
			for b.Loop() {
				i.Decide(m)
			}
		})
	}
}

func BenchmarkInstance_Replay(b *testing.B) {
	for name, e := range map[string]actor.Event{
		"present": {Name: "deposited.v1", Data: []byte(`{"amount":10}`)},
		"upcast":  {Name: "deposited.v0", Data: []byte(`{"Units":10}`)},
	} {
		b.Run(name, func(b *testing.B) {
			i := with(b, 0)
			b.ReportAllocs()
			for b.Loop() {
				if err := i.Replay(e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// What of the above is JSON.
func BenchmarkBehavior_Codec(b *testing.B) {
	behavior := accounts.Behavior()
	stored := actor.Event{Name: "deposited.v1", Data: []byte(`{"amount":10}`)}
	b.Run("encode event", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := behavior.Encode(deposited{Amount: 10}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode event", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := behavior.Decode(stored); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("check command", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := behavior.CheckCommand(actor.TypeCommand, "deposit", stored.Data); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkInstance_Snapshot(b *testing.B) {
	state := define[plain]().New(actor.Address{Kind: "subject", ID: "s"})
	p := state.State().(*plain)
	p.Tags = map[string][]int{}
	for i := range 100 {
		p.Tags[strconv.Itoa(i)] = []int{i, i, i}
	}
	data, err := state.Snapshot()
	if err != nil {
		b.Fatal(err)
	}
	b.Run("take", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := state.Snapshot(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("take and go on", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := state.TakeSnapshot(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("restore", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := define[plain]().Restore(state.Address(), 1, data); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkPartitions_Of(b *testing.B) {
	a := actor.Address{Kind: "portfolio", ID: "p-7/ü"}
	for b.Loop() {
		actor.DefaultPartitions.Of(a)
	}
}

func BenchmarkDeriveID(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		actor.DeriveID(at, "account/a-1", "c-1", "1")
	}
}

// Whatever stands in a body, a decision comes of it.
func FuzzInstance_Decide(f *testing.F) {
	for _, data := range []string{`{"amount":5}`, `{"how":"panic"}`, `[]`, `null`, `{"amount":1e400}`, "\xff"} {
		f.Add("deposit", []byte(data))
		f.Add("misbehave", []byte(data))
	}
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		m := command(name, string(data))
		i := with(t, 1)
		d := i.Decide(m)
		if (d.Outcome.Code == actor.CodeOK) != (d.Outcome.Reply != nil) || d.Outcome.Code != actor.CodeOK && len(d.Events) > 0 {
			t.Fatalf("%+v", d)
		}
		if !d.Tainted && i.Version() != 1+actor.Version(len(d.Events)) {
			t.Fatalf("version %d after %d events", i.Version(), len(d.Events))
		}
		if executed := accounts.Behavior().CheckCommand(actor.TypeCommand, name, data) == nil; executed == (d.Outcome.Code == actor.CodeMalformed || d.Outcome.Code == actor.CodeUnknownCommand) {
			// Creation policies come before the body.
			if d.Outcome.Code != actor.CodeAlreadyExists {
				t.Fatalf("checked as %v, decided as %q", executed, d.Outcome.Code)
			}
		}
	})
}

// BenchmarkCommandID_Stamped is part of each command several times. Its ids are many, so
// that no processor learns their digits by heart.
func BenchmarkCommandID_Stamped(b *testing.B) {
	ids := make([]actor.CommandID, 4096)
	for i := range ids {
		ids[i] = actor.StampID(1764000000000+int64(i), uint16(i), rand.Uint64())
	}
	for i := 0; b.Loop(); i++ {
		if _, ok := ids[i%len(ids)].Stamped(); !ok {
			b.Fatal("it is not stamped")
		}
	}
}
