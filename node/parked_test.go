package node_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/projection"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// spend is a command of a purse whose handler panics as long as it is broken.
type spend struct {
	actor.Replies[int64]
	Cents int64 `json:"cents"`
}

// order has a purse send a spend to another one, and hear of its refusal.
type order struct {
	actor.Replies[actor.None]
	From string `json:"from"`
}

type unspent struct {
	actor.Replies[actor.None]
	actor.Refused
}

// remind has a purse spend a cent by a timer.
type remind struct{ actor.Replies[actor.None] }

var errPoor = actor.Reject("poor", "not enough cents")

func spenders(broken *atomic.Bool, executed *atomic.Int64) *actor.Aggregate[purse] {
	return actor.Define("purse", func(d *actor.Definition[purse]) {
		actor.On(d, (*purse).payIn)
		actor.Apply(d, (*purse).paidIn)
		actor.On(d, func(p *purse, ctx *actor.Context, c spend) (int64, error) {
			if broken.Load() {
				panic("no change")
			}
			if p.Cents < c.Cents {
				return 0, errPoor
			}
			executed.Add(1)
			ctx.Raise(paidIn{-c.Cents})
			return p.Cents, nil
		})
		actor.On(d, func(_ *purse, ctx *actor.Context, c order) (actor.None, error) {
			ctx.Send(actor.Address{Kind: "purse", ID: c.From}, spend{Cents: 1}, actor.OnRefusal(unspent{}))
			return actor.None{}, nil
		})
		actor.On(d, func(_ *purse, ctx *actor.Context, c unspent) (actor.None, error) {
			if errors.Is(c.Refusal.Err(), actor.ErrSkipped) {
				ctx.Raise(paidIn{1000})
			}
			return actor.None{}, nil
		})
		actor.On(d, func(_ *purse, ctx *actor.Context, _ remind) (actor.None, error) {
			ctx.After(0, spend{Cents: 1})
			return actor.None{}, nil
		})
	})
}

// parkedThing is an entry of the list, as a client reads it.
type parkedThing struct {
	Type, Aggregate, CommandID, Projection, Name, Reason, Stack string
	Attempts                                                    int
	Command                                                     struct {
		Data      json.RawMessage
		Time      time.Time
		Timer     string
		OnRefusal *struct{ To, Name string }
	}
}

type parkedSetup struct {
	*testing.T
	ctx      context.Context //nolint:containedctx // of the test
	n        *nodes.Local
	broken   *atomic.Bool
	executed *atomic.Int64
	purses   *actor.Aggregate[purse]
	cfg      node.Config
	failing  *atomic.Bool // the projection
	deadline time.Time    // of the command parked for p-2
}

func newParkedSetup(t *testing.T, store string) *parkedSetup {
	s := &parkedSetup{T: t, broken: &atomic.Bool{}, executed: &atomic.Int64{}, failing: &atomic.Bool{}}
	s.purses = spenders(s.broken, s.executed)
	s.cfg = node.Config{Partitions: 8, DataDir: testharness.TempDir(t), Projections: []*projection.Projection{purseViews(s.purses, s.failing)}}
	if store == "mongodb" {
		s.cfg.MongoURI, s.cfg.MongoDatabase = testharness.SharedMongo(t, 1).URI(), testharness.DatabaseName(t)
	}
	s.n = nodes.Start(t, s.cfg, s.purses)
	var cancel context.CancelFunc
	s.ctx, cancel = context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return s
}

func (s *parkedSetup) payIn(id string, cents int64) int64 {
	s.Helper()
	have, err := actor.Ask(s.ctx, s.n.Client(), s.purses.ID(id), payIn{Cents: cents})
	if err != nil {
		s.Fatal(err)
	}
	return have
}

func (s *parkedSetup) spend(id, command string, want error) int64 {
	s.Helper()
	have, err := actor.Ask(s.ctx, s.n.Client(), s.purses.ID(id), spend{Cents: 1}, actor.WithCommandID(actor.CommandID(command)))
	if !errors.Is(err, want) {
		s.Errorf("spend %s: %v, want %v", command, err, want)
	}
	return have
}

func (s *parkedSetup) list(query string) (parked []parkedThing, next int) {
	s.Helper()
	var answer struct {
		Parked []parkedThing
		Next   int
	}
	if err := json.Unmarshal([]byte(adminCall(s.T, http.MethodGet, s.n.AdminURL()+"/parked"+query, http.StatusOK)), &answer); err != nil {
		s.Fatal(err)
	}
	return answer.Parked, answer.Next
}

// of returns what is parked of a purse, which must be so much.
func (s *parkedSetup) of(id string, many int) []parkedThing {
	s.Helper()
	parked, _ := s.list("?aggregate=purse/" + id)
	if len(parked) != many {
		s.Fatalf("%d parked of %s, want %d: %+v", len(parked), id, many, parked)
	}
	return parked
}

func (s *parkedSetup) do(action, id, command string, want int) string {
	s.Helper()
	method := http.MethodPost
	if action == "show" {
		method = http.MethodGet
	}
	q := url.Values{"aggregate": {"purse/" + id}, "id": {command}}.Encode()
	return adminCall(s.T, method, s.n.AdminURL()+"/parked/"+action+"?"+q, want)
}

// parkWithDeadline has a command be parked whose deadline is soon.
func (s *parkedSetup) parkWithDeadline(id string) {
	s.Helper()
	for wait := time.Second; wait < time.Minute; wait *= 2 {
		s.deadline = time.Now().Add(wait)
		_, err := actor.Ask(s.ctx, s.n.Client(), s.purses.ID(id), spend{Cents: 1}, actor.WithCommandID("x"), actor.Until(s.deadline))
		if errors.Is(err, actor.ErrParked) {
			return
		}
	}
	s.Fatal("no deadline is late enough")
}

func (s *parkedSetup) has(body string, all ...string) {
	s.Helper()
	for _, part := range all {
		if !strings.Contains(body, part) {
			s.Errorf("%s lacks %s", body, part)
		}
	}
}

// TestNode_Parked: a command that panics is parked, and the aggregate goes on. A retry
// that panics again leaves it on the list, with all attempts; after a restart with a
// handler that works it takes effect once. Who skips has the command refused for ever.
func TestNode_Parked(t *testing.T) {
	t.Parallel()
	for _, store := range []string{"embedded", "mongodb"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			if store == "mongodb" && testing.Short() {
				t.Skip("starts a MongoDB")
			}
			s := newParkedSetup(t, store)
			s.payIn("p-1", 10)
			s.broken.Store(true)
			s.spend("p-1", "x", actor.ErrParked)
			s.spend("p-1", "y", actor.ErrParked)
			s.parkWithDeadline("p-2")
			if have := s.payIn("p-1", 1); have != 11 {
				t.Errorf("%d cents", have)
			}
			s.sees()
			s.restart()
			s.retries()
			s.skips()
			s.skipsWhatWasSent()
			s.skipsATimer()
			s.retriesEvents()
		})
	}
}

func (s *parkedSetup) sees() {
	s.Helper()
	x := s.of("p-1", 2)[0]
	if x.Type != "command" || x.CommandID != "x" || x.Name != "spend" || x.Attempts != 3 ||
		!strings.Contains(x.Reason, "no change") || !strings.Contains(x.Stack, "parked_test.go") {
		s.Errorf("%+v", x)
	}
	first, next := s.list("?limit=2")
	rest, end := s.list("?limit=2&offset=2")
	if len(first) != 2 || next != 2 || len(rest) != 1 || end != 0 || rest[0].Aggregate != "purse/p-2" {
		s.Errorf("pages %+v, %d and %+v, %d", first, next, rest, end)
	}
	s.has(s.do("show", "p-1", "x", http.StatusOK), `"data":{"cents":1}`, `"stack":"goroutine`)
	for _, action := range []string{"show", "retry", "skip"} {
		s.has(s.do(action, "p-1", "none", http.StatusNotFound), `"code":"not_found"`)
		s.has(s.do(action, "p-1", "", http.StatusBadRequest), `"code":"malformed"`)
	}
	adminCall(s.T, http.MethodGet, s.n.AdminURL()+"/parked?limit=1001", http.StatusBadRequest)
	s.has(s.do("retry", "p-1", "x", http.StatusConflict), `"code":"parked"`, "no change")
	if x := s.of("p-1", 2)[1]; x.CommandID != "x" || x.Attempts != 6 {
		s.Errorf("parked again: %+v", x)
	}
}

func (s *parkedSetup) restart() {
	s.Helper()
	s.n.Stop(s.T)
	s.broken.Store(false)
	s.cfg.Projections = []*projection.Projection{purseViews(s.purses, s.failing)}
	s.n = nodes.Start(s.T, s.cfg, s.purses)
}

// retries has two operators and the caller be at it at once.
func (s *parkedSetup) retries() {
	s.Helper()
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			resp, err := http.Post(s.n.AdminURL()+"/parked/retry?aggregate=purse/p-1&id=x", "", nil)
			if err != nil {
				s.Error(err)
				return
			}
			defer func() { _ = resp.Body.Close() }()
			if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusNotFound { // the other one was faster
				s.Errorf("retry: %s", resp.Status)
			}
		})
	}
	all.Go(func() {
		if have := s.spend("p-1", "x", nil); have != 10 {
			s.Errorf("%d cents", have)
		}
	})
	all.Wait()
	if have := s.spend("p-1", "x", nil); have != 10 || s.executed.Load() != 1 {
		s.Errorf("%d cents, executed %d times", have, s.executed.Load())
	}
	if left := s.of("p-1", 1); left[0].CommandID != "y" {
		s.Errorf("left is %+v", left)
	}
	testharness.Eventually(s.T, time.Minute, func() bool { return time.Now().After(s.deadline) })
	s.has(s.do("retry", "p-2", "x", http.StatusOK), `"code":"rejected"`, "poor") // a refusal is final, too
	s.of("p-2", 0)
	s.do("retry", "p-2", "x", http.StatusNotFound)
}

func (s *parkedSetup) skips() {
	s.Helper()
	s.has(s.do("skip", "p-1", "y", http.StatusOK), `"status":"skipped"`)
	s.of("p-1", 0)
	s.spend("p-1", "y", actor.ErrSkipped)
	s.broken.Store(true)
	s.spend("p-1", "z", actor.ErrParked)
	s.spend("p-1", "w", actor.ErrParked)
	s.broken.Store(false)
	s.spend("p-1", "z", nil) // its caller repeats it himself
	s.has(s.do("skip", "p-1", "z", http.StatusConflict), `"code":"decided"`, "carried out")
	s.spend("p-1", "z", nil)
	q := "?" + url.Values{"aggregate": {"purse/p-1"}, "id": {"w"}, "force": {"true"}}.Encode()
	s.has(adminCall(s.T, http.MethodPost, s.n.AdminURL()+"/parked/skip"+q, http.StatusOK), `"status":"removed"`)
	s.of("p-1", 0)
	s.spend("p-1", "w", nil)
}

// await waits until a command of a purse is parked.
func (s *parkedSetup) await(id string) parkedThing {
	s.Helper()
	var parked []parkedThing
	testharness.Eventually(s.T, 30*time.Second, func() bool {
		parked, _ = s.list("?aggregate=purse/" + id)
		return len(parked) == 1
	})
	return parked[0]
}

// skipsWhatWasSent: the sender hears of it, once. A retry keeps its fallback.
func (s *parkedSetup) skipsWhatWasSent() {
	s.Helper()
	s.broken.Store(true)
	if _, err := actor.Ask(s.ctx, s.n.Client(), s.purses.ID("sender"), order{From: "from"}); err != nil {
		s.Fatal(err)
	}
	sent := s.await("from")
	s.do("retry", "from", sent.CommandID, http.StatusConflict)
	var shown parkedThing
	if err := json.Unmarshal([]byte(s.do("show", "from", sent.CommandID, http.StatusOK)), &shown); err != nil {
		s.Fatal(err)
	}
	if f := shown.Command.OnRefusal; f == nil || f.To != "purse/sender" || f.Name != "unspent" || shown.Command.Time.IsZero() || shown.Attempts != 6 {
		s.Errorf("parked again: %+v", shown)
	}
	s.broken.Store(false)
	s.do("skip", "from", sent.CommandID, http.StatusOK)
	testharness.Eventually(s.T, 30*time.Second, func() bool { return s.payIn("sender", 0) == 1000 })
	s.of("from", 0)
}

// cli runs a subcommand of parked, and returns what it has printed.
func (s *parkedSetup) cli(want int, args ...string) string {
	s.Helper()
	var out bytes.Buffer
	args = append([]string{"parked"}, args...)
	if code := node.Run(append(args, "--admin-url="+s.n.AdminURL()), &out, &out, node.Config{}, nil); code != want {
		s.Errorf("%v: exit %d, want %d: %s", args, code, want, &out)
	}
	return out.String()
}

// skipsATimer: it fires no more, and can be set again. The retry of one is its firing.
func (s *parkedSetup) skipsATimer() {
	s.Helper()
	s.payIn("timed", 5)
	for i, action := range []string{"skip", "retry"} {
		s.broken.Store(true)
		if _, err := actor.Ask(s.ctx, s.n.Client(), s.purses.ID("timed"), remind{}); err != nil {
			s.Fatal(err)
		}
		fired := s.await("timed")
		s.broken.Store(false)
		s.has(s.cli(0, "show", "purse/timed", "--id="+fired.CommandID), `"timer": "spend"`)
		s.has(s.cli(0, "list", "--aggregate=purse/timed"), `"type": "command"`, fired.CommandID)
		s.has(s.cli(0, action, "purse/timed", "--id="+fired.CommandID), `"status": "`+[]string{"skipped", "finished"}[i])
		s.has(s.cli(1, action, "purse/timed", "--id="+fired.CommandID), "not_found")
		s.of("timed", 0)
		if have := s.payIn("timed", 0); have != 5-int64(i) {
			s.Errorf("%d cents after %s", have, action)
		}
	}
}

// retriesEvents: what is parked for a projection is in the same list.
func (s *parkedSetup) retriesEvents() {
	s.Helper()
	s.failing.Store(true)
	s.payIn("p-0", 100)
	event := s.await("p-0")
	if event.Type != "event" || event.Projection != "purses" || !strings.HasPrefix(event.Name, "paidIn") || !strings.Contains(event.Reason, "broken") {
		s.Errorf("%+v", event)
	}
	where := "?aggregate=purse/p-0&projection=purses"
	s.has(adminCall(s.T, http.MethodGet, s.n.AdminURL()+"/parked/show"+where, http.StatusOK), `"data":{"cents":100}`)
	s.has(s.cli(0), `"projection": "purses"`)
	s.has(s.cli(2, "show", "purse/p-0"), "--id or --projection")
	s.failing.Store(false) // not before: whatever has the session begin anew tries it, too
	status, body := request(s.ctx, s.T, http.MethodPost, s.n.AdminURL()+"/parked/retry"+where)
	if status != http.StatusAccepted && status != http.StatusNotFound { // it was tried by itself in this moment
		s.Errorf("retry: %d %s", status, body)
	}
	testharness.Eventually(s.T, 30*time.Second, func() bool {
		parked, _ := s.list("?aggregate=purse/p-0")
		return len(parked) == 0
	})
	adminCall(s.T, http.MethodPost, s.n.AdminURL()+"/parked/skip"+where, http.StatusNotFound)
}
