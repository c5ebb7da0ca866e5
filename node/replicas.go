package node

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// replicasPoll is the time between two looks at the replicas of all streams, and
	// replicasAsk bounds one.
	replicasPoll = 5 * time.Second
	replicasAsk  = 4 * time.Second
	// lackPatience is for how long replicas may be missing before the log tells of it: a
	// node that is started again is back by then.
	lackPatience = 30 * time.Second
	lackRemind   = 10 * time.Minute
)

// streamLack is a stream that has fewer live replicas than it is to have.
type streamLack struct {
	Stream   string   `json:"stream"`
	Replicas int      `json:"replicas"` // it is to have
	Live     int      `json:"live"`
	Gone     []string `json:"gone,omitempty"`   // members that have one and are away
	Behind   []string `json:"behind,omitempty"` // members that have not caught up
}

// lacking returns what a stream's replicas lack, and false if nothing. One that is behind
// counts as live.
func lacking(info *jetstream.StreamInfo) (streamLack, bool) {
	lack := streamLack{Stream: info.Config.Name, Replicas: info.Config.Replicas}
	if info.Cluster == nil || info.Config.Replicas < 2 {
		return lack, false
	}
	if info.Cluster.Leader != "" {
		lack.Live = 1
	}
	for _, r := range info.Cluster.Replicas {
		switch {
		case isLost(r.Offline, r.Current, r.Active):
			lack.Gone = append(lack.Gone, r.Name)
			continue
		case !r.Current:
			lack.Behind = append(lack.Behind, r.Name)
		}
		lack.Live++
	}
	return lack, lack.Live < lack.Replicas || len(lack.Behind) > 0
}

// replicaWatch looks whether the streams have their replicas. With one missing all goes
// on, and with the next one lost nothing does.
type replicaWatch struct {
	conn   *nats.Conn
	logger *slog.Logger

	lacks atomic.Pointer[[]streamLack]
}

// current is what the last look has found missing. Replicas that only catch up are not
// among it.
func (w *replicaWatch) current() []streamLack {
	if w == nil {
		return nil
	}
	all := w.lacks.Load()
	if all == nil {
		return nil
	}
	var missing []streamLack
	for _, l := range *all {
		if l.Live < l.Replicas {
			missing = append(missing, l)
		}
	}
	return missing
}

// look asks for all streams. Those without a leader do not answer, and are in the list
// of names alone.
func (w *replicaWatch) look(ctx context.Context) ([]streamLack, error) {
	ctx, cancel := context.WithTimeout(ctx, replicasAsk)
	defer cancel()
	js, err := jetstream.New(w.conn)
	if err != nil {
		return nil, err
	}
	lacks := []streamLack{}
	streams := js.ListStreams(ctx)
	for info := range streams.Info() {
		if l, ok := lacking(info); ok {
			lacks = append(lacks, l)
		}
	}
	slices.SortFunc(lacks, func(a, b streamLack) int { return cmp.Compare(a.Stream, b.Stream) })
	return lacks, streams.Err()
}

// run looks until ctx ends.
func (w *replicaWatch) run(ctx context.Context) {
	look := time.NewTicker(replicasPoll)
	defer look.Stop()
	var since, said time.Time
	for {
		if lacks, err := w.look(ctx); err == nil {
			w.lacks.Store(&lacks)
			since, said = w.say(ctx, w.current(), since, said)
		}
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
	}
}

// say logs what lasts, and its end. since is the begin of a lack, said when it was told.
func (w *replicaWatch) say(ctx context.Context, missing []streamLack, since, said time.Time) (time.Time, time.Time) {
	switch {
	case len(missing) == 0 && !said.IsZero():
		w.logger.InfoContext(ctx, "all streams have their replicas again")
		fallthrough
	case len(missing) == 0:
		return time.Time{}, time.Time{}
	case since.IsZero():
		return time.Now(), said
	case time.Since(since) >= lackPatience && time.Since(said) >= lackRemind:
		w.logger.WarnContext(ctx, "streams lack a replica: the loss of another node may stop all writes. "+
			"Bring the node back, or start a new one and run replace-member", "streams", len(missing), "gone", strings.Join(gone(missing), ", "))
		return since, time.Now()
	}
	return since, said
}

// gone names the members whose replicas are missing.
func gone(lacks []streamLack) []string {
	var names []string
	for _, l := range lacks {
		names = append(names, l.Gone...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// warnings are for those who ask whether the node is ready. It is, but not for long.
func (w *replicaWatch) warnings() []string {
	missing := w.current()
	if len(missing) == 0 {
		return nil
	}
	text := fmt.Sprintf("%d streams lack a replica", len(missing))
	if names := gone(missing); len(names) > 0 {
		text += "; gone: " + strings.Join(names, ", ")
	}
	return []string{text}
}
