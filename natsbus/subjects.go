package natsbus

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ganglion-go/ganglion/actor"
)

// errSubject reports a subject that no client of ours publishes to.
var errSubject = errors.New("subject does not name an aggregate")

// namespace makes and reads the names of one cluster's streams and subjects.
type namespace string

func (ns namespace) stream() string { return string(ns) + "_COMMANDS" }

// published is what the command stream listens to, before its own mapping.
func (ns namespace) published() string { return string(ns) + ".cmd.*.*" }

// mapping is the stream's own routing of a published command to its partition.
func (ns namespace) mapping(p actor.Partitions) *jetstream.SubjectTransformConfig {
	return &jetstream.SubjectTransformConfig{
		Source:      ns.published(),
		Destination: fmt.Sprintf("%s.cmd.{{partition(%d,1,2)}}.{{wildcard(1)}}.{{wildcard(2)}}", ns, p),
	}
}

func (ns namespace) command(to actor.Address) string {
	return string(ns) + ".cmd." + string(to.Kind) + "." + to.Token()
}

func (ns namespace) ask(p actor.Partition, to actor.Address) string {
	return string(ns) + ".ask." + formatPartition(p) + "." + string(to.Kind) + "." + to.Token()
}

// storedIn matches the stored commands of a partition.
func (ns namespace) storedIn(p actor.Partition) string {
	return string(ns) + ".cmd." + formatPartition(p) + ".>"
}

// askedOf matches the direct-lane messages of a partition.
func (ns namespace) askedOf(p actor.Partition) string {
	return string(ns) + ".ask." + formatPartition(p) + ".>"
}

// target reads the address out of a stored command's or a direct message's
// subject, both NAMESPACE.LANE.PARTITION.KIND.TOKEN. Partition and address are
// checked against each other: a message in the wrong partition must not be
// executed, since another node may own its aggregate.
func (ns namespace) target(subject string, in actor.Partition, all actor.Partitions) (actor.Address, error) {
	rest := subject[min(len(ns)+len(".cmd."), len(subject)):]
	partition, rest, _ := strings.Cut(rest, ".")
	kind, token, ok := strings.Cut(rest, ".")
	if !ok || partition != formatPartition(in) {
		return actor.Address{}, fmt.Errorf("%q: %w", subject, errSubject)
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
		return actor.Address{}, fmt.Errorf("%q belongs to partition %d: %w", subject, all.Of(to), errSubject)
	}
	return to, nil
}

// replyable reports whether an owner may publish an outcome to a subject that it
// was given: a literal one that is neither the server's API nor our own lanes,
// so that nobody can have an owner do what he may not do himself.
func (ns namespace) replyable(inbox string) bool {
	return inbox != "" && inbox[0] != '$' && !strings.HasPrefix(inbox, string(ns)+".") && !strings.ContainsAny(inbox, "*> \t\r\n")
}

func formatPartition(p actor.Partition) string { return strconv.FormatUint(uint64(p), 10) }
