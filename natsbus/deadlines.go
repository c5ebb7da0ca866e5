package natsbus

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus/internal/wire"
)

const headerExpectedSubject = "Nats-Expected-Last-Subject-Sequence"

// deadlineSettings is how the stream of deadlines is made. A limit would remove
// timers without a word, so it has none.
func deadlineSettings(cfg Config) jetstream.StreamConfig {
	ns := wire.Namespace(cfg.Namespace)
	return jetstream.StreamConfig{
		Name:              ns.DeadlineStream(),
		Description:       "commands that are to be sent at a time",
		Subjects:          []string{ns.Timers(), ns.Due()},
		Storage:           jetstream.FileStorage,
		Retention:         jetstream.LimitsPolicy,
		Discard:           jetstream.DiscardOld,
		Replicas:          cfg.Replicas,
		AllowMsgSchedules: true,
		Metadata:          cfg.owned(map[string]string{metaFormat: wire.Format, metaIncarnation: nuid.Next()}),
	}
}

// inspectDeadlines refuses a stream that could lose timers.
func inspectDeadlines(ns wire.Namespace, info *jetstream.StreamInfo) (string, error) {
	cfg := info.Config
	foreign := func(format string, args ...any) (string, error) {
		return "", fmt.Errorf("%s: "+format+": %w", append(append([]any{cfg.Name}, args...), ErrForeignStream)...)
	}
	switch {
	case cfg.Metadata[metaFormat] != wire.Format || cfg.Metadata[metaIncarnation] == "":
		return foreign("metadata %s is %q, not %q, or there is no %s", metaFormat, cfg.Metadata[metaFormat], wire.Format, metaIncarnation)
	case !slices.Equal(cfg.Subjects, []string{ns.Timers(), ns.Due()}) || cfg.SubjectTransform != nil:
		return foreign("subjects are %q, or are renamed", cfg.Subjects)
	case cfg.Retention != jetstream.LimitsPolicy || cfg.MaxAge > 0 || cfg.MaxMsgs > 0 || cfg.MaxBytes > 0 || cfg.MaxMsgsPerSubject > 0:
		return foreign("it drops timers: retention %v, or a limit", cfg.Retention)
	case !cfg.AllowMsgSchedules:
		return foreign("it has no schedules")
	case cfg.AllowDirect:
		return foreign("its replicas answer, who may be behind")
	}
	return incarnation(info), nil
}

// deadlines looks the stream up. The error wraps [ErrNotProvisioned] when there is none.
func (b *Bus) deadlines(ctx context.Context) (string, error) {
	found, err := findStream(ctx, b.js, b.ns.DeadlineStream())
	if errors.Is(err, ErrNotProvisioned) {
		b.goneFor(b.ns.DeadlineStream())
	}
	if err != nil {
		return "", err
	}
	b.there(b.ns.DeadlineStream())
	if err := b.cfg.sameStore(found.CachedInfo().Config); err != nil {
		return "", err
	}
	return inspectDeadlines(b.ns, found.CachedInfo())
}

func createDeadlines(ctx context.Context, js jetstream.JetStream, cfg Config) (string, error) {
	made, err := createStream(ctx, js, deadlineSettings(cfg))
	if err == nil {
		err = cfg.sameStore(made.CachedInfo().Config)
	}
	if err != nil {
		return "", err
	}
	return inspectDeadlines(wire.Namespace(cfg.Namespace), made.CachedInfo())
}

// SetTimer has a command be sent at the message's time, which may have passed, in the
// place of whatever the timer of that name of the message's target was set to before.
// It returns when that is stored, or ctx ends. Errors are those of [Bus.Send].
//
// Of two settings or cancellations of a timer the one with the higher order stands,
// in whichever order they come. A node that stopped for a while and then does what
// another one has done long ago, and has replaced since, so changes nothing. Once a
// timer has fired, or was cancelled, it is forgotten: such a node sets it again then,
// and its command comes once more, with the same id.
func (b *Bus) SetTimer(ctx context.Context, m actor.Message, timer string, order int64) error {
	if m.Time.After(actor.MaxTimerTime) { // stored by a build that had no such bound: the server would refuse it for ever
		m.Time = actor.MaxTimerTime
	}
	if err := m.Validate(); err != nil || m.Type != actor.TypeCommand {
		return actor.Failure(actor.CodeMalformed, fmt.Sprintf("%s for %s: %v", m.Name, m.Target, err)).Err()
	}
	// Most timers are new: to find out otherwise costs one try.
	first, expected := true, uint64(0)
	err := b.insist(ctx, func() (*nats.Msg, error) {
		if !first {
			is, err := b.timer(ctx, m.Target, timer)
			if err != nil {
				return nil, err
			}
			if is.order >= order { // replaced since, or another relay was faster
				return nil, errNothing
			}
			expected = is.sequence
		}
		first = false
		msg := b.ns.EncodeTimer(&m, timer, order)
		msg.Header[headerExpectedSubject] = []string{strconv.FormatUint(expected, 10)}
		return msg, nil
	})
	if err != nil {
		return fmt.Errorf("set timer %q of %s: %w", timer, m.Target, err)
	}
	return nil
}

// ReplaceTimer is SetTimer that says whether the timer is set to the command now. It is not
// if what it is set to has the same or a higher order, and is another command: somebody
// else was faster, or knows more.
func (b *Bus) ReplaceTimer(ctx context.Context, m actor.Message, timer string, order int64) (replaced bool, err error) {
	if err := m.Validate(); err != nil || m.Type != actor.TypeCommand {
		return false, actor.Failure(actor.CodeMalformed, fmt.Sprintf("%s for %s: %v", m.Name, m.Target, err)).Err()
	}
	replaced = true
	err = b.insist(ctx, func() (*nats.Msg, error) {
		is, err := b.timer(ctx, m.Target, timer)
		if err != nil {
			return nil, err
		}
		if is.order >= order && is.sequence > 0 {
			// That of a try before whose answer was lost is this one.
			replaced = is.order == order && bytes.Equal(is.data, m.Data)
			return nil, errNothing
		}
		msg := b.ns.EncodeTimer(&m, timer, order)
		msg.Header[headerExpectedSubject] = []string{strconv.FormatUint(is.sequence, 10)}
		return msg, nil
	})
	if err != nil {
		return false, fmt.Errorf("replace timer %q of %s: %w", timer, m.Target, err)
	}
	return replaced, nil
}

// CancelTimer has a timer not fire, unless it was set by a later order. One that
// fires at this moment may fire all the same.
func (b *Bus) CancelTimer(ctx context.Context, of actor.Address, timer string, order int64) error {
	for wait := sendMinPause; ; wait = min(2*wait, sendMaxPause) {
		err := b.cancelTimer(ctx, of, timer, order)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil || b.nc.IsClosed() || !pause(ctx, jitter(wait)) {
			return fmt.Errorf("cancel timer %q of %s: %w", timer, of, err)
		}
	}
}

// cancelTimer removes the message that it has looked at. Should the timer be set
// anew between the two, that message has gone already, and the new one stays.
func (b *Bus) cancelTimer(ctx context.Context, of actor.Address, timer string, order int64) error {
	ctx, cancel := context.WithTimeout(ctx, sendMaxPatience)
	defer cancel()
	is, err := b.timer(ctx, of, timer)
	if err != nil || is.sequence == 0 || is.order > order {
		return err
	}
	stream, err := b.js.Stream(ctx, b.ns.DeadlineStream())
	if err != nil {
		return err
	}
	if err := stream.DeleteMsg(ctx, is.sequence); err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) && !errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful) {
		return err
	}
	return nil
}

// timerState is how a timer is set.
type timerState struct {
	sequence uint64 // 0: it is not
	order    int64
	data     []byte // of its command
}

const (
	apiLastOf     = "$JS.API.STREAM.MSG.GET."
	apiNoMessage  = 10037
	maxTimerBytes = 8 << 20 // of the answer: more than a message can have
)

// timer asks the leader of the stream, in one request.
func (b *Bus) timer(ctx context.Context, of actor.Address, name string) (timerState, error) {
	ctx, cancel := context.WithTimeout(ctx, sendMaxPatience)
	defer cancel()
	request := fmt.Appendf(nil, `{"last_by_subj":%q}`, b.ns.Timer(of, name)) // printable ASCII without quotes
	reply, err := b.nc.RequestWithContext(ctx, apiLastOf+b.ns.DeadlineStream(), request)
	if err != nil {
		return timerState{}, fmt.Errorf("look up timer: %w", err)
	}
	var answer struct {
		Error   *refusal `json:"error"`
		Message struct {
			Sequence uint64 `json:"seq"`
			Header   []byte `json:"hdrs"`
			Data     []byte `json:"data"`
		} `json:"message"`
	}
	switch err := json.Unmarshal(reply.Data[:min(len(reply.Data), maxTimerBytes)], &answer); {
	case err != nil:
		return timerState{}, fmt.Errorf("look up timer: %w", err)
	case answer.Error != nil && answer.Error.Code == apiNoMessage:
		return timerState{}, nil
	case answer.Error != nil:
		return timerState{}, fmt.Errorf("look up timer: %w", answer.Error)
	}
	header, err := nats.DecodeHeadersMsg(answer.Message.Header)
	if err != nil {
		return timerState{}, fmt.Errorf("look up timer: %w", err)
	}
	return timerState{sequence: answer.Message.Sequence, order: wire.Order(header), data: answer.Message.Data}, nil
}

func (b *Bus) ensureDeadlines(ctx context.Context) (string, error) {
	found, err := b.deadlines(ctx)
	if errors.Is(err, ErrNotProvisioned) {
		return createDeadlines(ctx, b.js, b.cfg)
	}
	return found, err
}

// Outgoing returns the incarnations of the streams that hold what was sent and is not
// yet executed: commands, and deadlines. With another one, what was in it is lost. It
// makes the stream of deadlines anew when it is gone, after the server has said so
// for two seconds, until when it fails with [ErrStreamLost].
func (b *Bus) Outgoing(ctx context.Context) (commands, deadlines string, err error) {
	if commands, _, err = b.Head(ctx); err != nil {
		return "", "", err
	}
	deadlines, err = b.deadlines(ctx)
	if errors.Is(err, ErrNotProvisioned) {
		if b.goneFor(b.ns.DeadlineStream()) < lossGrace {
			return "", "", fmt.Errorf("%w: %w", ErrStreamLost, err)
		}
		deadlines, err = createDeadlines(ctx, b.js, b.cfg)
	}
	return commands, deadlines, err
}
