package wire

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ganglion-go/ganglion/actor"
)

// The headers of an event: CloudEvents 1.0 in the binary mode of its NATS binding,
// W3C trace context, and ours.
const (
	headerSpec      = "ce-specversion"
	headerEventID   = "ce-id"      // KIND/ID/VERSION
	headerSource    = "ce-source"  // /NAMESPACE/KIND
	headerEventType = "ce-type"    // the event's name
	headerSubject   = "ce-subject" // the aggregate's id
	headerEventTime = "ce-time"    // RFC 3339
	headerParent    = "traceparent"
	headerMark      = "Gn-Mark" // where the relay goes on after this event, see [Mark]

	specVersion = "1.0"
)

// EventStream is the name of the event stream.
func (ns Namespace) EventStream() string { return string(ns) + "_EVENTS" }

// EventsPublished is what the event stream of an incarnation listens to. A relay
// that means another one finds no stream there.
func (ns Namespace) EventsPublished(incarnation string) string {
	return string(ns) + ".relay." + incarnation + ".*.*.*"
}

// EventMapping is the event stream's own renaming of what is published to it.
func (ns Namespace) EventMapping(incarnation string) *jetstream.SubjectTransformConfig {
	return &jetstream.SubjectTransformConfig{
		Source:      ns.EventsPublished(incarnation),
		Destination: string(ns) + ".evt.{{wildcard(1)}}.{{wildcard(2)}}.{{wildcard(3)}}",
	}
}

// EventsStored matches all stored events.
func (ns Namespace) EventsStored() string { return string(ns) + ".evt.*.*.*" }

// EncodeEvent writes an event for an incarnation of the stream. The mark is kept
// with it, see [Mark].
func (ns Namespace) EncodeEvent(incarnation string, e *actor.EventRecord, mark string) *nats.Msg {
	partition, version := FormatPartition(e.Partition), strconv.FormatUint(uint64(e.Version), 10)
	kind, id := string(e.Source.Kind), escapeCloud(e.Source.ID)
	h := newHeaders(14)
	h.set(headerSpec, specVersion)
	h.set(headerEventID, kind+"/"+id+"/"+version)
	h.set(headerSource, "/"+string(ns)+"/"+kind)
	h.set(headerEventType, escapeCloud(e.Name))
	h.set(headerSubject, id)
	h.set(headerEventTime, e.Time.UTC().Format(time.RFC3339Nano))
	h.set(headerVersion, version)
	h.setText(headerID, string(e.CommandID))
	h.setText(headerParent, e.Metadata.Trace)
	h.setText(headerCorrelation, e.Metadata.Correlation)
	h.setText(headerCausation, e.Metadata.Causation)
	h.setText(headerUser, e.Metadata.User)
	h.setText(headerMark, mark)
	return &nats.Msg{
		Subject: string(ns) + ".relay." + incarnation + "." + partition + "." + kind + "." + eventToken(e.Name),
		Header:  h.to,
		Data:    e.Data,
	}
}

// DecodeEvent reads a stored event, but for its position. The event owns data from
// now on. Errors wrap [ErrSubject] or [ErrWire].
func (ns Namespace) DecodeEvent(subject string, h nats.Header, data []byte) (actor.EventRecord, error) {
	e := actor.EventRecord{Data: data}
	rest, ok := strings.CutPrefix(subject, string(ns)+".evt.")
	partition, rest, _ := strings.Cut(rest, ".")
	kind, _, named := strings.Cut(rest, ".")
	p, err := strconv.ParseUint(partition, 10, 32)
	if !ok || !named || err != nil {
		return e, fmt.Errorf("%q is no event: %w", subject, ErrSubject)
	}
	r := reader{from: h}
	e.Partition = actor.Partition(p)
	e.Source = actor.Address{Kind: actor.Kind(kind), ID: r.text(headerSubject)}
	e.Name = r.text(headerEventType)
	e.Version = read(&r, headerVersion, parseVersion)
	e.Time = read(&r, headerEventTime, parseEventTime)
	e.CommandID = actor.CommandID(r.text(headerID))
	e.Metadata.Trace = r.text(headerParent)
	e.Metadata.Correlation = r.text(headerCorrelation)
	e.Metadata.Causation = r.text(headerCausation)
	e.Metadata.User = r.text(headerUser)
	if r.err != nil {
		return e, fmt.Errorf("event on %q: %w", subject, r.err)
	}
	if First(h, headerSpec) != specVersion || e.Name == "" {
		return e, fmt.Errorf("event on %q has no name, or is of %s %q: %w", subject, headerSpec, First(h, headerSpec), ErrWire)
	}
	return e, nil
}

// EventsNamed matches the stored events of one name of a kind, of all partitions.
func (ns Namespace) EventsNamed(kind actor.Kind, name string) string {
	return string(ns) + ".evt.*." + string(kind) + "." + eventToken(name)
}

// ParseEventSubject reads kind and name of an event from its stored subject. The error
// wraps [ErrSubject].
func (ns Namespace) ParseEventSubject(subject string) (kind actor.Kind, name string, err error) {
	rest, ok := strings.CutPrefix(subject, string(ns)+".evt.")
	_, rest, hasKind := strings.Cut(rest, ".")
	k, token, named := strings.Cut(rest, ".")
	if name, err = actor.ParseToken(token); !ok || !hasKind || !named || err != nil {
		return "", "", fmt.Errorf("%q is no event: %w", subject, ErrSubject)
	}
	return actor.Kind(k), name, nil
}

// Mark returns what was kept with an event for the next relay, opaque here.
func Mark(h nats.Header) (string, error) { return unescape(First(h, headerMark)) }

// eventToken writes the name of an event as one subject token.
func eventToken(name string) string { return actor.Address{ID: name}.Token() }

// escapeCloud is escape, and what CloudEvents wants escaped besides.
func escapeCloud(s string) string {
	return strings.ReplaceAll(escape(s), `"`, "%22")
}

func parseVersion(s string) (actor.Version, error) {
	v, err := strconv.ParseUint(s, 10, 64)
	if err != nil || v == 0 {
		return 0, fmt.Errorf("version %q: %w", s, ErrWire)
	}
	return actor.Version(v), nil
}

func parseEventTime(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("time %q: %w", s, ErrWire)
	}
	return t.UTC(), nil
}
