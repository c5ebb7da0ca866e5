package node_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

type tower struct{ Chimes int }

type windUp struct {
	actor.Replies[actor.None]
	Tell string `json:"tell"`
}

type chime struct{ actor.Replies[actor.None] } // before it was renamed

type strike struct{ actor.Replies[actor.None] }

type chimed struct{}

// towers are of the first build, or of one in which chime is called strike. alias: and
// knows its former name.
func towers(renamed, alias bool) *actor.Aggregate[tower] {
	return actor.Define("tower", func(d *actor.Definition[tower]) {
		actor.On(d, func(_ *tower, ctx *actor.Context, w windUp) (actor.None, error) {
			if !renamed {
				ctx.After(3*time.Second, chime{})
				ctx.Send(actor.Address{Kind: "note", ID: "n-1"}, noteLine{})
				ctx.Send(actor.Address{Kind: "tower", ID: w.Tell}, chime{})
			}
			return actor.None{}, nil
		})
		ring := func(_ *tower, ctx *actor.Context) (actor.None, error) {
			ctx.Raise(chimed{})
			return actor.None{}, nil
		}
		switch {
		case !renamed:
			actor.On(d, func(s *tower, ctx *actor.Context, _ chime) (actor.None, error) {
				if ctx.Address().ID == "deaf" {
					ctx.Send(ctx.Address(), strike{}) // which this build does not declare
				}
				return ring(s, ctx)
			})
		case alias:
			actor.On(d, func(s *tower, ctx *actor.Context, _ strike) (actor.None, error) { return ring(s, ctx) },
				actor.From("chime", func(chime) strike { return strike{} }))
		}
		actor.Apply(d, func(s *tower, _ chimed) { s.Chimes++ })
	})
}

func body(t *testing.T, url string) string {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// TestNode_Promised_WaitsForANodeThatCan: what was sent to a kind that nobody has, a
// command that its target does not declare, and a timer whose command was renamed are
// parked and seen, and executed once a node comes that can.
func TestNode_Promised_WaitsForANodeThatCan(t *testing.T) {
	t.Parallel()
	cfg := node.Config{
		DataDir: t.TempDir(), Partitions: 4, Lease: time.Second, HTTPAddr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0",
		SchemaCheck: node.SchemaCheckWarn, Logger: slog.New(slog.DiscardHandler),
	}
	first := nodes.Start(t, cfg, towers(false, false))
	c := caller{t, first.URL()}
	c.expect("wind up", c.post("/v1/tower/t-1/windUp", `{"tell":"deaf"}`), 200, "")
	chimes := func(l *nodes.Local, id, want string) func() bool {
		return func() bool { return strings.Contains(body(t, l.URL()+"/v1/tower/"+id), `"Chimes":`+want) }
	}
	seen := func(l *nodes.Local, kind, count string) func() bool {
		return func() bool {
			return strings.Contains(body(t, l.AdminURL()+"/metrics"), `ganglion_parked_waiting{kind="`+kind+`"} `+count)
		}
	}
	testharness.Eventually(t, 20*time.Second, seen(first, "note", "1"))
	testharness.Eventually(t, 20*time.Second, seen(first, "tower", "1"))
	if list := body(t, first.AdminURL()+"/parked"); !strings.Contains(list, "no node has aggregates of kind note") || !strings.Contains(list, "tower has no strike") {
		t.Errorf("parked: %s", list)
	}
	first.Stop(t)

	second := nodes.Start(t, cfg, towers(true, false)) // the timer comes due
	testharness.Eventually(t, 20*time.Second, seen(second, "tower", "2"))
	retriedInVain(t, second, 3)
	second.Stop(t)

	third := nodes.Start(t, cfg, towers(true, true), notes())
	testharness.Eventually(t, 30*time.Second, chimes(third, "t-1", "1"))
	testharness.Eventually(t, 30*time.Second, chimes(third, "deaf", "2"))
	testharness.Eventually(t, 30*time.Second, func() bool { return strings.Contains(body(t, third.URL()+"/v1/note/n-1"), `"Lines":1`) })
	testharness.Eventually(t, 30*time.Second, func() bool { return strings.Contains(body(t, third.AdminURL()+"/parked"), `"parked":[]`) })
}

// retriedInVain has an operator retry each of so many parked commands that nobody can
// execute: each stays on the list.
func retriedInVain(t *testing.T, n *nodes.Local, many int) {
	t.Helper()
	admin := caller{t, n.AdminURL()}
	list := func() (parked []struct{ Aggregate, CommandID string }) {
		answer := struct{ Parked any }{&parked}
		if err := json.Unmarshal(admin.do(http.MethodGet, "/parked", "").body, &answer); err != nil {
			t.Fatal(err)
		}
		return parked
	}
	before := list()
	if len(before) != many {
		t.Fatalf("parked: %+v, want %d", before, many)
	}
	for _, p := range before {
		q := url.Values{"aggregate": {p.Aggregate}, "id": {p.CommandID}}.Encode()
		if got := admin.do(http.MethodPost, "/parked/retry?"+q, ""); got.status < 400 {
			t.Errorf("retry %+v: %d %s", p, got.status, got.body)
		}
	}
	if after := list(); !slices.Equal(after, before) {
		t.Errorf("parked: %+v, want %+v", after, before)
	}
}

// TestNode_Schema_UndeclaredCommands: a build that has renamed a command which a timer
// carries does not start, and says which. It starts when told to, and with the former name
// as an alias; what is parked already is no reason.
func TestNode_Schema_UndeclaredCommands(t *testing.T) {
	t.Parallel()
	for _, onMongo := range []bool{false, true} {
		t.Run(fmt.Sprintf("MongoDB=%v", onMongo), func(t *testing.T) {
			t.Parallel()
			logged := &lockedLog{}
			cfg := node.Config{
				DataDir: t.TempDir(), Partitions: 4, Lease: time.Second, HTTPAddr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0",
				Logger: slog.New(slog.NewTextHandler(logged, nil)),
			}
			if onMongo {
				cfg.MongoURI, cfg.MongoDatabase = testharness.SharedMongo(t, 1).URI(), testharness.DatabaseName(t)
			}
			first := nodes.Start(t, cfg, towers(false, false))
			c := caller{t, first.URL()}
			c.expect("wind up", c.post("/v1/tower/t-1/windUp", `{"tell":"deaf"}`), 200, "")
			testharness.Eventually(t, 20*time.Second, func() bool { // one sort is parked, the timer waits
				return strings.Contains(body(t, first.AdminURL()+"/parked"), "tower has no strike")
			})
			first.Stop(t)
			_, err := node.Open(t.Context(), cfg, towers(true, false))
			undeclared, ok := errors.AsType[*node.UndeclaredError](err)
			if !ok || !errors.Is(err, actor.ErrUnknownCommand) || len(undeclared.Commands) != 1 {
				t.Fatalf("a build without the command: %v", err)
			}
			if got := undeclared.Commands[0]; got.Kind != "tower" || got.Name != "chime" || got.Count != 1 || got.Example.ID != "t-1" {
				t.Errorf("undeclared: %+v", got)
			}
			if text := logged.text(); !strings.Contains(text, "parked commands are not declared") || !strings.Contains(text, "strike") || !strings.Contains(text, "kind=note") {
				t.Errorf("what is parked and what is of another kind is not in the log:\n%s", text)
			}
			third := nodes.Start(t, cfg, towers(true, true))
			testharness.Eventually(t, 30*time.Second, func() bool {
				return strings.Contains(body(t, third.URL()+"/v1/tower/t-1"), `"Chimes":1`)
			})
			third.Stop(t)
		})
	}
}
