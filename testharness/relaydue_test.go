package testharness_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
	"github.com/ganglion-go/ganglion/store/memory"
	"github.com/ganglion-go/ganglion/testharness"
)

// TestRelay_DueCannotBeRead: what has come due, and this build cannot read, is parked
// once; what comes due behind it is sent.
func TestRelay_DueCannotBeRead(t *testing.T) {
	t.Parallel()
	r := newRelayed(t, memory.New())
	got := &collector{}
	got.serveAll(t, r.bus)
	stop := r.start(nil, runtime.RelayConfig{})
	nc := r.server.Connect(t)
	for range 2 { // as one forwarder that dies behind the parking, and the next
		msg := &nats.Msg{Subject: "ganglion.due", Header: nats.Header{"Gn-To": {"account/b"}, "Gn-Format": {"99"}, "Gn-Id": {"x"}}, Data: []byte("{}")}
		if _, err := nc.RequestMsg(msg, 10*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	r.append(r.next("account/a", 1, store.Outgoing{ID: "ring", To: "account/a", Name: "Ring", Timer: "t", At: time.Now().UnixMicro(), Data: []byte("{}")}))
	r.check()
	testharness.Eventually(t, relayPatience, func() bool { return len(got.firsts()) == 1 && len(r.parked(t, "unreadable/due")) == 2 })
	stop()
	for p, err := range r.store.ListParked(t.Context(), "") {
		u, ok := runtime.ParkedUnreadable(&p)
		if err != nil || !ok || runtime.ParkedWaits(&p) != runtime.WaitsUnreadable {
			t.Fatalf("parked %+v, %v", p, err)
		}
		if m, err := r.bus.Reread(u); err == nil {
			t.Errorf("read again as %+v", m)
		}
		delete(u.Header, "Gn-Format") // a build that knows the format
		u.Header["Gn-Name"], u.Header["Gn-Time"] = []string{"Note"}, []string{"1"}
		if m, err := r.bus.Reread(u); err != nil || len(m) != 1 || m[0].Target.String() != "account/b" || m[0].ID != "x" {
			t.Errorf("read again as %+v, %v", m, err)
		}
	}
}

// TestRelay_TimersOfEarlierBuilds: timers that were stored when there was no bound stop
// nothing, do not fire at once, and are set once.
func TestRelay_TimersOfEarlierBuilds(t *testing.T) {
	t.Parallel()
	r := newRelayed(t, memory.New())
	got := &collector{}
	got.serveAll(t, r.bus)
	r.start(nil, runtime.RelayConfig{SendTimeout: time.Second, ResendEvery: 100 * time.Millisecond})
	for i, year := range []int{2262, 2263, 2500, 9999, 10000, 12000, 290000} {
		at := time.Date(year, 12, 31, 23, 59, 59, 999_999_000, time.UTC).UnixMicro()
		a := store.Aggregate(fmt.Sprintf("account/%d", year))
		r.append(r.next(a, 1, store.Outgoing{ID: fmt.Sprint("old ", i), To: a, Name: "Ring", Timer: "t", At: at, Data: []byte("{}")}))
	}
	r.append(r.next("account/a", 1, note("sent", "account/b"),
		store.Outgoing{ID: "ring", To: "account/a", Name: "Ring", Timer: "t", At: time.Now().UnixMicro(), Data: []byte("{}")}))
	r.check()
	testharness.Eventually(t, relayPatience, func() bool { return len(got.firsts()) == 2 })
	<-time.After(1500 * time.Millisecond) // a timer in the past fires within a second
	if ids := got.firsts(); len(ids) != 2 || len(r.parked(t, "")) > 0 {
		t.Errorf("came %q, parked %q", ids, r.parked(t, ""))
	}
}
