package natsbus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus/internal/wire"
)

// KeepSchedules has the cluster send the commands of exactly these schedules. What is
// set as it should be is left alone, so that an "@every" goes on in its rhythm. A
// schedule that NATS does not understand is passed over, and told with the others'
// errors. Two nodes that are configured in different ways should not both call it: the
// last one's schedules stand.
//
// NATS keeps one firing for each time, however many servers and nodes there are, and
// it goes the way of a timer's. Its command's id is derived from the schedule's name
// and the firing, so that it has its effect once. While there is no server to fire,
// nothing does, and what was missed is not made up for.
func (b *Bus) KeepSchedules(ctx context.Context, all []actor.Schedule) error {
	stream, err := b.js.Stream(ctx, b.ns.DeadlineStream())
	if err != nil {
		return fmt.Errorf("keep schedules: %w", err)
	}
	var faults []error
	wanted := map[string]bool{}
	for i := range all {
		wanted[b.ns.Cron(all[i].Name)] = true
		if err := b.keepSchedule(ctx, stream, &all[i]); err != nil {
			faults = append(faults, fmt.Errorf("keep schedule %s: %w", all[i].Name, err))
		}
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(b.ns.Crons()))
	if err != nil {
		return errors.Join(append(faults, fmt.Errorf("keep schedules: %w", err))...)
	}
	for _, subject := range slices.Sorted(maps.Keys(info.State.Subjects)) {
		if wanted[subject] {
			continue
		}
		b.cfg.Logger.InfoContext(ctx, "schedule removed", slog.String("subject", subject))
		if err := stream.Purge(ctx, jetstream.WithPurgeSubject(subject)); err != nil {
			faults = append(faults, fmt.Errorf("remove schedule %s: %w", subject, err))
		}
	}
	return errors.Join(faults...)
}

func (b *Bus) keepSchedule(ctx context.Context, stream jetstream.Stream, s *actor.Schedule) error {
	// The id and the time are another one each time, see wire.DecodeDue.
	m := actor.Message{Target: s.To, ID: "cron", Name: s.Command, Data: s.Data, Time: time.UnixMicro(1).UTC()}
	if err := m.Validate(); err != nil {
		return err
	}
	want := b.ns.EncodeCron(&m, wire.Cron{Name: s.Name, Schedule: s.Spec, Zone: s.Zone})
	is, err := stream.GetLastMsgForSubject(ctx, want.Subject)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
	case err != nil:
		return fmt.Errorf("look up: %w", err)
	case sameSchedule(want, is.Header, is.Data):
		return nil
	}
	b.cfg.Logger.InfoContext(ctx, "schedule set", slog.String("name", s.Name), slog.String("spec", s.Spec))
	return b.request(ctx, want, sendMaxPatience)
}

// sameSchedule compares what we write; the server may keep more with it.
func sameSchedule(want *nats.Msg, header nats.Header, data []byte) bool {
	for name, values := range want.Header {
		if wire.First(header, name) != values[0] {
			return false
		}
	}
	return bytes.Equal(want.Data, data)
}
