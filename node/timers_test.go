package node_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/internal/testenv"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/mongod"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// alarms are aggregates with a timer each. Of three, one is set once, one is set again,
// and one is set and cleared.
type alarms struct {
	t      *testing.T
	m      *members
	random *rand.Rand

	mu  sync.Mutex
	due map[string]time.Time // zero: it was cleared, and must not ring
}

// alarmClients is how many requests are made at once.
const alarmClients = 16

// each does something for n alarms, from several clients.
func (a *alarms) each(n int, do func(i int)) {
	var clients sync.WaitGroup
	var next atomic.Int64
	for range alarmClients {
		clients.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				do(int(i))
			}
		})
	}
	clients.Wait()
}

// set sets n alarms, and has those that are to ring do so within a time of its own
// that begins after a pause.
func (a *alarms) set(phase string, n int, pause, within time.Duration) {
	a.t.Helper()
	begin := time.Now().Add(pause)
	due := make([]time.Time, n)
	for i := range due {
		due[i] = begin.Add(time.Duration(a.random.Int64N(int64(within)))).UTC().Truncate(time.Microsecond)
	}
	a.each(n, func(i int) {
		id, at := fmt.Sprintf("%s-%d", phase, i), due[i]
		switch i % 3 {
		case 0:
			a.command(id, "Set", at)
		case 1:
			a.command(id, "Set", at.Add(-time.Second))
			a.command(id, "Set", at)
		default:
			a.command(id, "Set", at)
			a.command(id, "Clear", at)
			at = time.Time{}
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		a.due[id] = at
	})
	if late := time.Since(begin); late > 0 {
		a.t.Fatalf("the alarms were set %v too late", late)
	}
}

// command carries a command out, whatever it takes.
func (a *alarms) command(id, name string, at time.Time) {
	body, err := json.Marshal(map[string]time.Time{"at": at})
	if err != nil {
		a.t.Error(err)
		return
	}
	key := fmt.Sprintf("%s-%s-%d", id, name, at.UnixMicro())
	l := &load{client: http.DefaultClient, urls: a.m.nodes["stays"].URL}
	for deadline := time.Now().Add(time.Minute); ; {
		status, data, err := l.post(a.t.Context(), "/v1/alarm/"+id+"/"+name+"?timeout=5s", key, string(body))
		if err == nil && status == http.StatusOK {
			return
		}
		if time.Now().After(deadline) {
			a.t.Errorf("%s of %s: %d %s %v", name, id, status, data, err)
			return
		}
	}
}

// rang returns when an alarm rang, from its history.
func (a *alarms) rang(id string) (at []time.Time, due []time.Time, err error) {
	ctx, cancel := context.WithTimeout(a.t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.m.nodes["stays"].URL()+"/v1/alarm/"+id+"/events", nil)
	if err != nil {
		return nil, nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	var page struct {
		Events []struct {
			Type string
			Time time.Time
			Data struct{ Due time.Time }
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&page); err != nil || resp.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("%d: %w", resp.StatusCode, err)
	}
	for _, e := range page.Events {
		if e.Type == "rang.v1" {
			at, due = append(at, e.Time), append(due, e.Data.Due)
		}
	}
	return at, due, nil
}

// check compares what rang with what was to ring, and returns how late the latest was.
func (a *alarms) check(phase string) (latest time.Duration) {
	a.t.Helper()
	var ids []string
	until := time.Now()
	for id, due := range a.due {
		if strings.HasPrefix(id, phase) {
			ids = append(ids, id)
			if due.After(until) {
				until = due
			}
		}
	}
	wait(a.t, time.Until(until)+2*time.Second)
	var mu sync.Mutex
	rung := 0
	a.each(len(ids), func(i int) {
		var at, due []time.Time
		id := ids[i]
		want := a.due[id]
		deadline := time.Now().Add(30 * time.Second)
		for {
			var err error
			if at, due, err = a.rang(id); err == nil && (want.IsZero() || len(at) > 0) {
				break
			}
			if time.Now().After(deadline) {
				a.t.Errorf("%s, due at %v, has not rung: %v", id, want, err)
				return
			}
			select {
			case <-a.t.Context().Done():
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
		switch {
		case want.IsZero() && len(at) == 0:
			return
		case want.IsZero():
			a.t.Errorf("%s was cleared, and rang at %v", id, at)
			return
		case len(at) > 1:
			a.t.Errorf("%s rang %d times: %v", id, len(at), at)
		case !due[0].Equal(want):
			a.t.Errorf("%s rang for %v, it was set to %v", id, due[0], want)
		case at[0].Before(want):
			a.t.Errorf("%s rang at %v, before %v", id, at[0], want)
		}
		mu.Lock()
		defer mu.Unlock()
		rung++
		latest = max(latest, at[0].Sub(want))
	})
	a.t.Logf("%s: %d alarms, %d to ring, the latest %v after its time", phase, len(ids), rung, latest)
	return latest
}

// TestNode_Timers_AcrossRestarts sets timers in two nodes, kills and restarts the nodes,
// the NATS server and MongoDB's primary while many of them fire, and then sets more
// while nothing is wrong. Each has its effect once, and not before its time; those that
// were set again or cancelled have none. GANGLION_TIMERS sets how many, and has those of
// the end held to what is promised on a machine of one's own.
func TestNode_Timers_AcrossRestarts(t *testing.T) {
	t.Parallel()
	binary := nodes.Build(t, "./testdata/timers")
	for _, name := range []string{"jetstream", "mongo"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			flags := []string{"--lease", "1s"}
			var rs *mongod.ReplicaSet
			if name == "mongo" {
				rs = testharness.Mongo(t, 3)
				flags = append(flags, "--mongo-uri", rs.URI(), "--mongo-database", testharness.DatabaseName(t))
			}
			names := []string{"goes", "stays"}
			a := &alarms{t: t, m: spawnMembers(t, binary, names, flags...), random: testenv.Rand(t), due: map[string]time.Time{}}
			n := testenv.Times(t, "GANGLION_TIMERS", 300)
			setting := 10*time.Second + time.Duration(n)*8*time.Millisecond
			a.set("broken", 2*n/3, setting, 20*time.Second)
			a.restartAll(rs)
			a.m.awaitShared(names...)
			a.check("broken")
			a.set("sound", n-2*n/3, setting/2, 10*time.Second)
			latest := a.check("sound")
			if os.Getenv("GANGLION_TIMERS") != "" && latest > time.Second {
				t.Errorf("the latest rang %v after its time", latest)
			}
		})
	}
}

// restartAll waits until timers fire, and then disturbs one thing after the other.
func (a *alarms) restartAll(rs *mongod.ReplicaSet) {
	a.t.Helper()
	first := time.Now().Add(time.Hour)
	for _, due := range a.due {
		if !due.IsZero() && due.Before(first) {
			first = due
		}
	}
	wait(a.t, time.Until(first))
	for _, name := range []string{"goes", "stays"} {
		a.m.nodes[name].Kill()
		wait(a.t, time.Duration(a.random.Int64N(int64(2*time.Second))))
		a.m.nodes[name].Start(a.t)
		wait(a.t, 2*time.Second)
	}
	a.m.server.Restart(a.t)
	wait(a.t, 3*time.Second)
	if rs == nil {
		return
	}
	primary, err := rs.Primary(a.t.Context())
	if err != nil {
		a.t.Fatal(err)
	}
	primary.Kill()
	wait(a.t, 2*time.Second)
	if err := primary.Restart(a.t.Context()); err != nil {
		a.t.Fatal(err)
	}
}
