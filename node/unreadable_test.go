package node_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/store/jetstream"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

func postEmpty(t *testing.T, url string) (int, string) {
	t.Helper()
	res, err := http.Post(url, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var b bytes.Buffer
	_, _ = b.ReadFrom(res.Body)
	return res.StatusCode, b.String()
}

// TestNode_Unreadable_IsSetAsideAndSeen: stored messages that this build cannot read are
// logged, counted and parked, the partition goes on, and what is parked can be shown and
// skipped. One that it can read, as another build has parked it, is executed.
func TestNode_Unreadable_IsSetAsideAndSeen(t *testing.T) {
	t.Parallel()
	server := testharness.NATS(t, testharness.WithListener())
	log := &lockedLog{}
	n := nodes.Start(t, node.Config{
		NATSURL: server.URL(), Partitions: 1, Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelInfo})),
	}, notes())
	nc := server.Connect(t)
	for i, msg := range []*nats.Msg{
		{Subject: "ganglion.cmd.note.a", Header: nats.Header{"Gn-Format": {"9"}, "Gn-Id": {"id-1"}}, Data: []byte("{}")},
		{Subject: "ganglion.cmd.note.a", Header: nats.Header{"Gn-Format": {"9"}, "Gn-Id": {"id-1"}}, Data: []byte("{}")}, // of the same id
		{Subject: "ganglion.cmd.note.a", Header: nats.Header{"Gn-Format": {"batch1"}}, Data: []byte{0xff}},
		{Subject: "ganglion.cmd.Note.%zz", Data: []byte("not JSON \xff")},
		{Subject: "ganglion.cmd.note.a", Header: nats.Header{"Gn-Id": {"id-2"}, "Gn-Name": {"noteLine"}, "Gn-Time": {"1"}, "Gn-Timer": {"x"}}},
	} {
		if ack, err := nc.RequestMsg(msg, 10*time.Second); err != nil || !strings.Contains(string(ack.Data), `"seq"`) {
			t.Fatalf("message %d: %+v, %v", i, ack, err)
		}
	}
	c := caller{t, n.URL()}
	c.expect("goes on", c.post("/v1/note/a/noteLine", `{}`), 200, "")
	var list struct {
		Parked []struct{ Aggregate, CommandID, Reason string }
	}
	testharness.Eventually(t, 20*time.Second, func() bool {
		return json.Unmarshal([]byte(body(t, n.AdminURL()+"/parked")), &list) == nil && len(list.Parked) == 5
	})
	if got := strings.Count(log.text(), "it is set aside"); got != 5 {
		t.Errorf("%d lines in the log:\n%s", got, log.text())
	}
	testharness.Eventually(t, 20*time.Second, func() bool {
		metrics := body(t, n.AdminURL()+"/metrics")
		return strings.Contains(metrics, `ganglion_malformed_messages_total{lane="durable"} 5`) &&
			strings.Contains(metrics, `ganglion_parked_waiting{kind="unreadable"} 5`)
	})
	of := func(action, id string) string {
		return fmt.Sprintf("%s/parked%s?aggregate=unreadable/0&id=%s", n.AdminURL(), action, id)
	}
	first := "" // they are parked at the same time, in any order
	for _, p := range list.Parked {
		if strings.HasSuffix(p.CommandID, ".1.0") {
			first = p.CommandID
		}
	}
	if shown := body(t, of("/show", first)); !strings.Contains(shown, `"Gn-Format"`) || !strings.Contains(shown, "ganglion.cmd.0.note.a") {
		t.Errorf("shown: %s", shown)
	}
	if code, answer := postEmpty(t, of("/retry", first)); code != http.StatusConflict {
		t.Errorf("retry: %d %s", code, answer)
	}
	for _, p := range list.Parked {
		if code, answer := postEmpty(t, of("/skip", p.CommandID)); code != http.StatusOK {
			t.Errorf("skip: %d %s", code, answer)
		}
	}

	s, err := jetstream.Open(t.Context(), nc, jetstream.Config{Namespace: "ganglion"})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Park(t.Context(), store.Parked{
		Aggregate: "unreadable/0", CommandID: "ganglion.unreadable.s.1.0", Name: "unreadable", Reason: "format", Time: time.Now(),
		Message: []byte(`{"format":1,"waits":"unreadable","unreadable":{"subject":"ganglion.cmd.0.note.b",` +
			`"header":{"Gn-Id":["id-3"],"Gn-Name":["noteLine"],"Gn-Time":["1"]},"data":"e30="}}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	if code, answer := postEmpty(t, of("/retry", "ganglion.unreadable.s.1.0")); code != http.StatusOK && code != http.StatusNotFound { // the node was faster
		t.Errorf("retry: %d %s", code, answer)
	}
	testharness.Eventually(t, 20*time.Second, func() bool { return strings.Contains(body(t, n.URL()+"/v1/note/b"), `"Lines":1`) })
	testharness.Eventually(t, 20*time.Second, func() bool { return strings.Contains(body(t, n.AdminURL()+"/parked"), `"parked":[]`) })
}
