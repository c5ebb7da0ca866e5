package wire

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ganglion-go/ganglion/actor"
)

// ErrSubject reports a subject that no client of ours publishes to.
var ErrSubject = errors.New("subject does not name an aggregate")

// Namespace makes and reads the names of one cluster's streams and subjects.
type Namespace string

// Stream is the name of the command stream.
func (ns Namespace) Stream() string { return string(ns) + "_COMMANDS" }

// AdoptionStream is there while streams of an earlier build are told whose they are.
func (ns Namespace) AdoptionStream() string { return string(ns) + "_ADOPTION" }

// Adoption is its subject, to which nobody publishes.
func (ns Namespace) Adoption() string { return string(ns) + ".adoption" }

// Published is where callers publish commands, before the stream's own mapping.
func (ns Namespace) Published() string { return string(ns) + ".cmd.*.*" }

// Internal is where nodes publish commands, before the stream's own mapping: those of the
// runtime, of their own Go code and of their gateways. Nodes alone have the right to publish
// there: what a message says of timers, of whom to send a refusal to, that it is the
// runtime's, and on whose behalf it is, is believed only here.
func (ns Namespace) Internal() string { return string(ns) + ".run.*.*" }

// Subjects are what the command stream listens to.
func (ns Namespace) Subjects() []string { return []string{ns.Published(), ns.Internal()} }

// Mapping is the stream's own routing of a published command to its partition, the
// same for both families of subjects.
func (ns Namespace) Mapping(p actor.Partitions) *jetstream.SubjectTransformConfig {
	return &jetstream.SubjectTransformConfig{
		Source:      string(ns) + ".*.*.*",
		Destination: fmt.Sprintf("%s.{{wildcard(1)}}.{{partition(%d,2,3)}}.{{wildcard(2)}}.{{wildcard(3)}}", ns, p),
	}
}

// EarlierSubjects and EarlierMapping are those of a stream of a build that knew one
// family of subjects.
func (ns Namespace) EarlierSubjects() []string { return []string{ns.Published()} }

// EarlierMapping is described at [Namespace.EarlierSubjects].
func (ns Namespace) EarlierMapping(p actor.Partitions) *jetstream.SubjectTransformConfig {
	return &jetstream.SubjectTransformConfig{
		Source:      ns.Published(),
		Destination: fmt.Sprintf("%s.cmd.{{partition(%d,1,2)}}.{{wildcard(1)}}.{{wildcard(2)}}", ns, p),
	}
}

// Runs matches the stored commands that nodes have published.
func (ns Namespace) Runs() string { return string(ns) + ".run.>" }

// Run is where nodes publish commands for an aggregate.
func (ns Namespace) Run(to actor.Address) string {
	return string(ns) + ".run." + string(to.Kind) + "." + to.Token()
}

// IsInternal reports whether a stored command or a direct message was published where
// nodes alone may publish.
func (ns Namespace) IsInternal(subject string) bool {
	lane, ok := strings.CutPrefix(subject, string(ns)+".")
	return ok && (strings.HasPrefix(lane, "run.") || strings.HasPrefix(lane, "req."))
}

// Command is where callers publish commands for an aggregate, on the durable lane.
func (ns Namespace) Command(to actor.Address) string {
	return string(ns) + ".cmd." + string(to.Kind) + "." + to.Token()
}

// Ask is where callers ask the owner of an aggregate, on the direct lane.
func (ns Namespace) Ask(p actor.Partition, to actor.Address) string {
	return string(ns) + ".ask." + FormatPartition(p) + "." + string(to.Kind) + "." + to.Token()
}

// Request is where nodes ask the owner of an aggregate, on the direct lane. Owners of
// earlier builds do not listen there.
func (ns Namespace) Request(p actor.Partition, to actor.Address) string {
	return string(ns) + ".req." + FormatPartition(p) + "." + string(to.Kind) + "." + to.Token()
}

// StoredIn matches the stored commands of a partition, of both families.
func (ns Namespace) StoredIn(p actor.Partition) string {
	return string(ns) + ".*." + FormatPartition(p) + ".>"
}

// Stored matches all stored commands.
func (ns Namespace) Stored() string { return string(ns) + ".*.>" }

// StoredPartition reads the partition out of a stored command's subject,
// NAMESPACE.cmd.PARTITION.KIND.TOKEN or .run. for .cmd., of a stream that holds no
// others.
func (ns Namespace) StoredPartition(subject string) (actor.Partition, bool) {
	rest := subject[min(len(ns)+len(".cmd."), len(subject)):]
	var p actor.Partition
	for i := range len(rest) {
		c := rest[i] - '0'
		switch {
		case rest[i] == '.':
			return p, i > 0
		case c > 9 || i > 8:
			return 0, false
		}
		p = 10*p + actor.Partition(c)
	}
	return 0, false
}

// AskedOf matches the direct-lane messages of a partition that callers send.
func (ns Namespace) AskedOf(p actor.Partition) string {
	return string(ns) + ".ask." + FormatPartition(p) + ".>"
}

// RequestedOf matches the direct-lane messages of a partition that nodes send.
func (ns Namespace) RequestedOf(p actor.Partition) string {
	return string(ns) + ".req." + FormatPartition(p) + ".>"
}

// Changed is where nodes tell each other that sessions or claims have changed.
func (ns Namespace) Changed() string { return string(ns) + ".changed" }

// Owned is where a node tells clients that it now serves a partition.
func (ns Namespace) Owned(p actor.Partition) string {
	return string(ns) + ".owned." + FormatPartition(p)
}

// AnyOwned matches Owned of all partitions.
func (ns Namespace) AnyOwned() string { return string(ns) + ".owned.*" }

// OwnedPartition reads the partition out of a subject of Owned.
func (ns Namespace) OwnedPartition(subject string) (actor.Partition, bool) {
	token, ok := strings.CutPrefix(subject, string(ns)+".owned.")
	n, err := strconv.ParseUint(token, 10, 32)
	return actor.Partition(n), ok && err == nil
}

// Target reads the address out of a stored command's or a direct message's
// subject, both NAMESPACE.LANE.PARTITION.KIND.TOKEN. Partition and address are
// checked against each other: a message in the wrong partition must not be
// executed, since another node may own its aggregate.
func (ns Namespace) Target(subject string, in actor.Partition, all actor.Partitions) (actor.Address, error) {
	rest := subject[min(len(ns)+len(".cmd."), len(subject)):]
	partition, rest, _ := strings.Cut(rest, ".")
	kind, token, ok := strings.Cut(rest, ".")
	if !ok || partition != FormatPartition(in) {
		return actor.Address{}, fmt.Errorf("%q: %w", subject, ErrSubject)
	}
	id, err := actor.ParseToken(token)
	if err != nil {
		return actor.Address{}, fmt.Errorf("subject %q: %w", subject, err)
	}
	to := actor.Address{Kind: actor.Kind(kind), ID: id}
	if err := to.Validate(); err != nil {
		return actor.Address{}, fmt.Errorf("subject %q: %w", subject, err)
	}
	if all.Of(to) != in {
		return actor.Address{}, fmt.Errorf("%q belongs to partition %d: %w", subject, all.Of(to), ErrSubject)
	}
	return to, nil
}

// Inboxes returns the prefix of the inboxes of a client with a unique name, of a user of
// NATS that has inboxes of its own; empty: of one that shares them. All are in the
// namespace, so that a node need not be allowed to publish elsewhere.
func (ns Namespace) Inboxes(user, client string) string {
	if user != "" {
		client = user + "." + client
	}
	return string(ns) + ".inbox." + client
}

// Replyable reports whether an owner may publish an outcome to a subject that it
// was given: an inbox for outcomes of some client of this namespace,
// NAMESPACE.inbox.CLIENT.CALL.oTRY or NAMESPACE.inbox.USER.CLIENT.CALL.oTRY.
// Otherwise whoever may send commands could have a node publish where he may not
// publish himself: on the server's API, in streams, to other users of the account.
func (ns Namespace) Replyable(inbox string) bool {
	rest, ok := strings.CutPrefix(inbox, string(ns)+".inbox.")
	if !ok || len(inbox) > maxInboxBytes || strings.ContainsAny(inbox, "*> \t\r\n") {
		return false
	}
	user, client := "", rest
	if strings.Count(rest, ".") == 3 {
		if user, client, _ = strings.Cut(rest, "."); user == "" {
			return false
		}
	}
	if client, _, _ = strings.Cut(client, "."); client == "" {
		return false
	}
	in, ok := ParseInbox(ns.Inboxes(user, client), inbox)
	return ok && in.Purpose == ForOutcome
}

// OfAnotherAccount reports whether a reply subject is one that the NATS server has put in the
// place of another account's, whose caller comes by an import. It lets no client name one
// itself. What a header names is never one: see [Namespace.Replyable].
func OfAnotherAccount(reply string) bool {
	rest, ok := strings.CutPrefix(reply, "_R_.")
	return ok && rest != "" && len(reply) <= maxInboxBytes && !strings.ContainsAny(reply, "*> \t\r\n")
}

// maxInboxBytes is far above what a client's inbox takes.
const maxInboxBytes = 256

// FormatPartition writes a partition as a subject token.
func FormatPartition(p actor.Partition) string { return strconv.FormatUint(uint64(p), 10) }
