package natsbus_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus"
	"github.com/ganglion-go/ganglion/testharness"
)

// TestBus_Send_Refusals: an answer that will never change ends the tries; one that says
// that the stream takes nothing at all can be told from one about this message.
func TestBus_Send_Refusals(t *testing.T) {
	t.Parallel()
	nc := testharness.NATS(t).Connect(t)
	bus, err := natsbus.Open(t.Context(), nc, natsbus.Config{Partitions: 8})
	if err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	for _, stream := range []string{"ganglion_COMMANDS", "ganglion_DEADLINES"} { // in their place answers this:
		if err := js.DeleteStream(t.Context(), stream); err != nil {
			t.Fatal(err)
		}
	}
	var code atomic.Int64
	answer := func(m *nats.Msg) {
		_ = m.Respond(fmt.Appendf(nil, `{"stream":"s","seq":0,"error":{"code":400,"err_code":%d,"description":"injected"}}`, code.Load()))
	}
	for _, subject := range []string{"ganglion.run.>", "ganglion.timer.>"} {
		if _, err := nc.Subscribe(subject, answer); err != nil {
			t.Fatal(err)
		}
	}
	m := timerMessage("a", time.Now(), 1)
	for _, c := range []struct {
		code        int64
		final       actor.Code
		ofTheStream bool
	}{
		{10054, actor.CodeTooLarge, false},
		{10097, actor.CodeTooLarge, false},
		{10165, actor.CodeMalformed, false},
		{10189, actor.CodeMalformed, false},
		{10190, actor.CodeMalformed, false},
		{10191, actor.CodeMalformed, false},
		{10192, actor.CodeMalformed, false},
		{10203, actor.CodeMalformed, false},
		{10212, actor.CodeMalformed, false},
		{10223, actor.CodeMalformed, false},
		{10002, "", true},
		{10023, "", true},
		{10047, "", true},
		{10077, "", true},
		{10109, "", true},
		{19999, "", false}, // that nobody knows
	} {
		code.Store(c.code)
		for name, send := range map[string]func(context.Context) error{
			"send": func(ctx context.Context) error { return bus.Send(ctx, m) },
			"set":  func(ctx context.Context) error { return bus.SetTimer(ctx, m, "t", 1) },
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
			if c.final != "" {
				ctx = t.Context()
			}
			err := send(ctx)
			cancel()
			final, _ := errors.AsType[*actor.Error](err)
			of, ok := errors.AsType[interface {
				error
				OfStream() bool
			}](err)
			if err == nil || (final != nil) != (c.final != "") || final != nil && final.Code != c.final {
				t.Errorf("%s, %d: %v, want an error with code %q", name, c.code, err, c.final)
			}
			if c.final == "" && (name == "send" || c.ofTheStream) && (ok && of.OfStream()) != c.ofTheStream {
				t.Errorf("%s, %d: %v is of the stream: %t, want %t", name, c.code, err, !c.ofTheStream, c.ofTheStream)
			}
		}
	}
}
