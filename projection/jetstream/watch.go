package jetstream

import (
	"context"
	"fmt"
	"iter"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ganglion-go/ganglion/projection"
)

// Watch implements [projection.Storage] with one consumer. Of several changes of one
// document the older ones may be missing.
func (s *Storage) Watch(ctx context.Context, name string, ready func()) iter.Seq2[projection.Change, error] {
	return func(yield func(projection.Change, error) bool) {
		if err := s.watch(ctx, name, ready, yield); err != nil && ctx.Err() == nil {
			yield(projection.Change{}, fmt.Errorf("watch %s: %w: %w", name, projection.ErrUnavailable, err))
		}
	}
}

func (s *Storage) watch(ctx context.Context, name string, ready func(), yield func(projection.Change, error) bool) error {
	info, err := s.info(ctx, s.mark())
	if err != nil {
		return err
	}
	consumer, err := s.stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{
			fmt.Sprintf("%s.view.%s.>", s.cfg.Namespace, name),
			fmt.Sprintf("%s*.%s", s.generation("", 0), token(name)),
		},
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: info.State.LastSeq + 1, HeadersOnly: true,
	})
	if err != nil {
		return err
	}
	messages, err := consumer.Messages()
	if err != nil {
		return err
	}
	defer messages.Stop()
	ready()
	for {
		m, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		at, key, ok := s.parse(m.Subject())
		if ok && !yield(projection.Change{Place: at, Key: key}, nil) {
			return nil
		}
	}
}
