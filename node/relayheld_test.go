package node_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/store/jetstream"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// TestNode_Relay_HeldIsSeenAndSkipped: a commit that cannot be read stops no other
// aggregate's events, is in the gauge and on the list, and what an operator does with it
// has its effect. What could not be sent is sent by a retry.
func TestNode_Relay_HeldIsSeenAndSkipped(t *testing.T) {
	t.Parallel()
	server := testharness.NATS(t, testharness.WithListener())
	n := nodes.Start(t, node.Config{NATSURL: server.URL(), Partitions: 1}, notes())
	c := caller{t, n.URL()}
	c.expect("bad", c.post("/v1/note/bad/noteLine", `{}`), 200, "")
	nc := server.Connect(t)
	damaged := &nats.Msg{Subject: "ganglion.agg.note.bad", Header: nats.Header{"Ganglion-Versions": {"2-3"}}, Data: []byte("damaged")}
	if ack, err := nc.RequestMsg(damaged, 10*time.Second); err != nil || !strings.Contains(string(ack.Data), `"seq"`) {
		t.Fatalf("%+v, %v", ack, err)
	}
	c.expect("good", c.post("/v1/note/good/noteLine", `{}`), 200, "")
	admin := func(action, id string) (int, string) {
		return postEmpty(t, fmt.Sprintf("%s/parked%s?aggregate=note/bad&id=%s", n.AdminURL(), action, id))
	}
	streamed := func() string {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		js, err := natsjs.New(nc)
		if err != nil {
			return err.Error()
		}
		var all []string
		s, err := js.Stream(ctx, "ganglion_EVENTS")
		if err != nil {
			return err.Error()
		}
		for i := uint64(1); i <= s.CachedInfo().State.LastSeq; i++ {
			m, err := s.GetMsg(ctx, i)
			if err != nil {
				return err.Error()
			}
			all = append(all, m.Header["ce-id"][0]+" "+m.Header["ce-type"][0])
		}
		return strings.Join(all, ", ")
	}
	testharness.Eventually(t, 20*time.Second, func() bool { return streamed() == "note/bad/1 noted.v1, note/good/1 noted.v1" })
	if metrics := body(t, n.AdminURL()+"/metrics"); !strings.Contains(metrics, "ganglion_relay_held_histories 1") || !strings.Contains(metrics, "ganglion_relay_standing 0") {
		t.Error("the gauges do not show it")
	}
	const id = "ganglion.unreadable-commit"
	if list := body(t, n.AdminURL()+"/parked"); !strings.Contains(list, id) || !strings.Contains(list, "version 2 cannot be read") {
		t.Errorf("parked: %s", list)
	}
	if code, answer := admin("/retry", id); code != http.StatusConflict {
		t.Errorf("retry: %d %s", code, answer)
	}
	if code, answer := admin("/skip", id); code != http.StatusAccepted {
		t.Errorf("skip: %d %s", code, answer)
	}
	testharness.Eventually(t, 40*time.Second, func() bool {
		return streamed() == "note/bad/1 noted.v1, note/good/1 noted.v1, note/bad/2 ganglion.skipped.v1, note/bad/3 ganglion.skipped.v1"
	})

	s, err := jetstream.Open(t.Context(), nc, jetstream.Config{Namespace: "ganglion"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		err = s.Park(t.Context(), store.Parked{
			Aggregate: "note/unsent", CommandID: fmt.Sprintf("ganglion.%d", i), Name: "noteLine", Reason: "not sent", Time: time.Now(),
			Message: fmt.Appendf(nil, `{"format":1,"waits":"unsent","target":"note/unsent","id":"ganglion.%d","name":"noteLine","time":1,"data":"e30="}`, i),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	code, answer := postEmpty(t, n.AdminURL()+"/parked/retry?aggregate=note/unsent&id=ganglion.1")
	if code != http.StatusOK || !strings.Contains(answer, `"sent"`) {
		t.Errorf("retry: %d %s", code, answer)
	}
	testharness.Eventually(t, 20*time.Second, func() bool { return strings.Contains(body(t, n.URL()+"/v1/note/unsent"), `"Lines":2`) })
	if list := body(t, n.AdminURL()+"/parked?aggregate=note/unsent"); strings.Contains(list, "note/unsent") {
		t.Errorf("parked still: %s", list)
	}
}
