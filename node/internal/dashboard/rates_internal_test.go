package dashboard

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// seen is a source that shows one cluster after the other.
type seen struct {
	Source
	clusters []Cluster
	asked    int
}

func (s *seen) Cluster(context.Context) Cluster {
	s.asked++
	return s.clusters[min(s.asked, len(s.clusters))-1]
}

// member is a node of which a command was executed so often, in 4 ms or less each time.
func member(name, process string, uptime time.Duration, ok uint64) Member {
	buckets := make([]uint64, latencyBoundsLen+1)
	buckets[4] = ok
	return Member{Name: name, State: MemberLive, Figures: &Figures{
		Process: process, Uptime: uptime, Commands: []CommandFigures{{Kind: "order", Command: "Place", OK: ok, Buckets: buckets}},
	}}
}

func of(members ...Member) Cluster { return Cluster{Self: "n1", Members: members} }

// TestLooks_Rates: a rate is what was gained between two looks, over all nodes that answer.
// One that began anew counts from its second look on.
func TestLooks_Rates(t *testing.T) {
	t.Parallel()
	now := time.Now()
	l := newLooks(func() time.Time { return now })
	silent := Member{Name: "n3", State: MemberLive, Silent: "no answer"}
	s := &seen{clusters: []Cluster{
		of(member("n2", "b", 100*time.Second, 5000), member("n1", "a", 10*time.Second, 1_000_000), silent),
		of(member("n1", "a", 12*time.Second, 1_000_200), member("n2", "b", 102*time.Second, 5100), silent),
		of(member("n1", "a2", time.Second, 7), member("n2", "b", 104*time.Second, 5100), silent),
		of(member("n1", "a2", 3*time.Second, 27), member("n2", "b", 106*time.Second, 5100), silent),
	}}
	for i, want := range []string{"false 0", "true 150", "true 25", "true 27"} {
		look, err := l.look(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		rows := kindRows(look, "")
		got := fmt.Sprintf("%v %.0f", rows[0].Traffic.Known, rows[0].Traffic.Calls)
		if got != want {
			t.Errorf("look %d: %s, want %s", i, got, want)
		}
		if again, _ := l.look(t.Context(), s); again != look {
			t.Errorf("look %d is not shared", i)
		}
		nodes := nodesOf(look, "order")
		if len(nodes) != 3 || nodes[0].Name != "n1" || nodes[2].Silent != "no answer" || nodes[2].Traffic.Known {
			t.Errorf("look %d: nodes are %+v", i, nodes)
		}
		now = now.Add(2 * time.Second)
	}
}

// TestLooks_Window: a rate is taken over ten seconds; a look from long ago is of no use.
func TestLooks_Window(t *testing.T) {
	t.Parallel()
	now := time.Now()
	l := newLooks(func() time.Time { return now })
	s := &seen{}
	for i := range uint64(40) {
		s.clusters = append(s.clusters, of(member("n1", "a", time.Duration(i)*time.Second, i*i)))
	}
	var look *Look
	for range s.clusters {
		look, _ = l.look(t.Context(), s)
		now = now.Add(time.Second)
	}
	if got := kindRows(look, "")[0].Traffic.Calls; got != (39*39-29*29)/10 {
		t.Errorf("the rate is %v", got)
	}
	if len(l.past) > 12 {
		t.Errorf("%d looks are kept", len(l.past))
	}
	now = now.Add(10 * time.Minute)
	look, _ = l.look(t.Context(), s)
	if kindRows(look, "")[0].Traffic.Known {
		t.Error("a rate over ten minutes is shown as one")
	}
}

// TestLooks_Late: while one look takes its time, others get the last one, or their own end.
func TestLooks_Late(t *testing.T) {
	t.Parallel()
	now := time.Now()
	l := newLooks(func() time.Time { return now })
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	cancel(gone)
	l.turn <- struct{}{}
	if _, err := l.look(ctx, &seen{}); !errors.Is(err, gone) {
		t.Errorf("without a look: %v", err)
	}
	<-l.turn
	first, err := l.look(t.Context(), &seen{clusters: []Cluster{of(member("n1", "a", 0, 0))}})
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Minute)
	l.turn <- struct{}{}
	if look, err := l.look(ctx, &seen{}); err != nil || look != first {
		t.Errorf("the last look is not shown: %v", err)
	}
}

func TestQuantile(t *testing.T) {
	t.Parallel()
	bucket := func(at int, n uint64) []uint64 {
		all := make([]uint64, latencyBoundsLen+1)
		all[at] = n
		return all
	}
	mixed := bucket(0, 50)
	mixed[3] = 50 // 1 to 2 ms
	for _, c := range []struct {
		buckets []uint64
		q       float64
		want    time.Duration
		beyond  bool
	}{
		{nil, 0.5, 0, false},
		{bucket(0, 100), 0.5, 125 * time.Microsecond, false},
		{bucket(3, 100), 0.5, 1500 * time.Microsecond, false},
		{mixed, 0.99, 1980 * time.Microsecond, false},
		{bucket(latencyBoundsLen, 1), 0.99, 250 * time.Microsecond << 17, true},
	} {
		if got, beyond := quantile(c.buckets, c.q); got != c.want || beyond != c.beyond {
			t.Errorf("%v of %v is %v, %v", c.q, c.buckets, got, beyond)
		}
	}
}

// TestTraffic_ForeignBuckets: what another build measures otherwise counts, without its
// latencies; a counter that goes back is no rate of all numbers.
func TestTraffic_ForeignBuckets(t *testing.T) {
	t.Parallel()
	var tr Traffic
	tr.add(&CommandFigures{OK: 10, Failed: 1, Buckets: []uint64{1, 2}}, &CommandFigures{Failed: 3}, time.Second)
	tr.measure()
	if tr.Calls != 10 || tr.Failed != 0 || tr.P99 != 0 {
		t.Errorf("got %+v", tr)
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		cut("äöü", 3): "ä…", cut("abc", 3): "abc", clean("a\x00b\u202ec\xff"): "a\ufffdb\ufffdc\ufffd",
		count(-1234567): "−1,234,567", count(uint64(999)): "999", span(1500 * time.Microsecond): "1.5 ms", span(-2 * time.Second): "−2.0 s", span(90 * time.Hour): "3 days",
		size(int64(1536)): "1.5 KiB", size(uint64(5)): "5 B", perSecond(0): "0", perSecond(3.14): "3.1", perSecond(1234.5): "1,235",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestCauses(t *testing.T) {
	t.Parallel()
	item := func(aggregate, name, reason string) ParkedItem {
		return ParkedItem{ParkedRef: ParkedRef{Aggregate: aggregate, CommandID: "x"}, Name: name, Reason: reason}
	}
	got := causesOf([]ParkedItem{
		item("order/1", "Pay", "no rate for 0198c0de-7a52-7bb3-8f0e-1f2a3b4c5d6e at 12:00"), item("order/2", "Pay", "no rate for 0198c0de-7a52-7bb3-8f0e-1f2a3b4c5d6f at 12:01"),
		item("order/3", "Cancel", "no rate for 0198c0de-7a52-7bb3-8f0e-1f2a3b4c5d6e at 12:00"), item("bill/3", "Pay", ""),
	})
	if len(got) != 3 || len(got[0].Items) != 2 || got[0].Text != "no rate for … at …:…" {
		t.Errorf("got %d causes, the first with %d of %q", len(got), len(got[0].Items), got[0].Text)
	}
}
