package node

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/gateway"
	"github.com/ganglion-go/ganglion/store"
)

// noOwner is a client that reaches nobody.
type noOwner struct{}

func (noOwner) Deliver(context.Context, actor.Message) actor.Outcome {
	return actor.Outcome{Code: actor.CodeNoOwner}
}

func (noOwner) Enqueue(context.Context, actor.Message) error { return actor.ErrNoOwner }

// readable is the API of a node that reads its store and reaches no owner.
func readable(t *testing.T) target {
	t.Helper()
	h, s, _ := pastOf(t, 4)
	for _, id := range []string{"a", "a b", " a", "\"q", "line\nbreak", "é"} {
		c := store.Commit{Aggregate: store.Aggregate("counter/" + id), First: 1, Events: []store.Event{{Name: "tallied.v1", Data: []byte(`{"by":1}`)}}}
		if err := s.Append(t.Context(), []store.Commit{c})[0]; err != nil {
			t.Fatal(err)
		}
	}
	g, err := gateway.New(noOwner{}, []actor.Registrable{tallies()}, gateway.Config{History: h})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	return target{URL: server.URL}
}

// TestCommands_List: one line for each id, whatever is in it.
func TestCommands_List(t *testing.T) {
	t.Parallel()
	at := readable(t)
	all := []string{`" a"`, `"\"q"`, "a", "a b", "c", `"line\nbreak"`, "é"}
	for _, c := range []struct {
		command listCommand
		want    []string
	}{
		{listCommand{target: at, Kind: "counter"}, all},
		{listCommand{target: at, Kind: "counter", Prefix: "a"}, all[2:4]},
		{listCommand{target: at, Kind: "counter", After: "a", Limit: 2}, all[3:5]},
		{listCommand{target: at, Kind: "counter", Prefix: "x"}, nil},
	} {
		var out strings.Builder
		if err := c.command.Run(&out); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(c.want, "\n"); strings.TrimSuffix(out.String(), "\n") != got {
			t.Errorf("%+v: %q, want %q", c.command, out.String(), got)
		}
	}
	for _, c := range []listCommand{{target: at, Kind: "No"}, {target: at, Kind: "counter", Limit: -1}} {
		if err := c.Run(&strings.Builder{}); !errors.Is(err, ErrConfig) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if err := (&listCommand{target: at, Kind: "nobody"}).Run(&strings.Builder{}); err == nil || !strings.Contains(err.Error(), "unknown_kind") {
		t.Errorf("got %v", err)
	}
}

// TestCommands_Inspect_ThePast: states of then, and what has changed.
func TestCommands_Inspect_ThePast(t *testing.T) {
	t.Parallel()
	at := readable(t)
	three, hundred := uint64(3), uint64(100)
	for _, c := range []struct {
		command inspectCommand
		want    string // in the output, or in the error
	}{
		{inspectCommand{Version: &three}, `"n": 3`},
		{inspectCommand{At: "2026-01-01T00:00:00Z"}, `"n": 1`},
		{inspectCommand{From: "1", Version: &three}, `"path": "/n"`},
		{inspectCommand{From: "2026-01-01T00:00:00Z"}, `"version": 4`},
		{inspectCommand{Version: &hundred}, "no_such_version"},
		{inspectCommand{At: "yesterday"}, "malformed"},
		{inspectCommand{From: "-1"}, "malformed"},
	} {
		c.command.target, c.command.Aggregate = at, "counter/c"
		var out strings.Builder
		err := c.command.Run(&out)
		if text := out.String() + fmt.Sprint(err); !strings.Contains(text, c.want) {
			t.Errorf("%+v: %s, want %s", c.command, text, c.want)
		}
	}
}
