package node

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

var (
	// errNoMember says that the cluster of embedded servers has no member of a name.
	errNoMember = errors.New("no such member")
	// errMemberLives says that a member is there, and not to be replaced.
	errMemberLives = errors.New("the member is there: end its node first, for good")
	// errNoReplacement says that too few members are there to hold all replicas.
	errNoReplacement = errors.New("no replacement: start the new node first, under a new name, with --nats-routes to the others")
	// errNoMembers says that no leader of the cluster answers.
	errNoMembers = errors.New("the cluster of embedded NATS servers has no leader that answers")
)

const (
	// memberAttempt bounds a question to the servers.
	memberAttempt = 2 * time.Second
	// memberLost is for how long a member may be silent, which tells the leader every
	// second that it is there. NATS itself calls it offline much later.
	memberLost = 10 * time.Second
	// memberRemoval bounds the removal of a member, which a majority must agree to.
	memberRemoval = 10 * time.Second

	// unknownMember is how NATS calls a member whose name it has forgotten.
	unknownMember = "Server name unknown"
)

// isLost reads what a leader says of a member. One that it has not heard of since it leads
// has not been seen for no time at all.
func isLost(offline, current bool, seen time.Duration) bool {
	return offline || seen >= memberLost || seen == 0 && !current
}

// serverMember is a member of the group of embedded servers.
type serverMember struct {
	Name string `json:"name"` // empty: the servers that live have never seen it
	ID   string `json:"id"`
	Live bool   `json:"live"`

	leader bool // of the group
}

// memberships is what this node knows and changes of the group of embedded servers. That
// needs NATS's system account, which only this process reaches, through its own server.
type memberships struct {
	server   *embedded
	replicas int
}

// ask makes a request in the system account.
func (m *memberships) ask(ctx context.Context, subject string, request, answer any) error {
	nc, err := nats.Connect("", nats.InProcessServer(m.server), nats.Token(m.server.system), nats.IgnoreDiscoveredServers())
	if err != nil {
		return connectError(err)
	}
	defer nc.Close()
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	reply, err := nc.RequestWithContext(ctx, subject, body)
	if err != nil {
		return fmt.Errorf("%w: %w", errNoMembers, err)
	}
	return json.Unmarshal(reply.Data, answer)
}

// list returns the members of the group, as its leader sees them.
func (m *memberships) list(ctx context.Context) ([]serverMember, error) {
	ctx, cancel := context.WithTimeout(ctx, memberAttempt)
	defer cancel()
	var answer struct {
		Data *server.JSInfo `json:"data"`
	}
	if err := m.ask(ctx, "$SYS.REQ.SERVER.PING.JSZ", server.JSzOptions{LeaderOnly: true}, &answer); err != nil {
		return nil, err
	}
	if answer.Data == nil || answer.Data.Meta == nil {
		return nil, errNoMembers
	}
	meta := answer.Data.Meta
	all := []serverMember{{Name: meta.Leader, ID: meta.Peer, Live: true, leader: true}}
	for _, r := range meta.Replicas {
		member := serverMember{Name: r.Name, ID: r.Peer, Live: !isLost(r.Offline, r.Current, r.Active)}
		if strings.HasPrefix(r.Name, unknownMember) {
			member.Name = ""
		}
		all = append(all, member)
	}
	slices.SortFunc(all, func(a, b serverMember) int { return strings.Compare(a.Name+a.ID, b.Name+b.ID) })
	return all, nil
}

// replace takes a member out of the group that is gone for good. Its replicas go to
// members that have none of the same stream. It is an error while there are too few of
// those: the streams would have fewer replicas for good.
func (m *memberships) replace(ctx context.Context, name string) error {
	members, err := m.list(ctx)
	if err != nil {
		return err
	}
	id, live := memberID(name), 0
	at := slices.IndexFunc(members, func(s serverMember) bool { return s.Name == name || s.ID == id || s.ID == name })
	for _, s := range members {
		if s.Live {
			live++
		}
	}
	switch {
	case at < 0:
		return fmt.Errorf("%q: %w", name, errNoMember)
	case members[at].Live:
		return fmt.Errorf("%q: %w", name, errMemberLives)
	case live < m.replicas:
		return fmt.Errorf("%d members are there, streams have %d replicas: %w", live, m.replicas, errNoReplacement)
	}
	ctx, cancel := context.WithTimeout(ctx, memberRemoval)
	defer cancel()
	var answer server.JSApiMetaServerRemoveResponse
	request := server.JSApiMetaServerRemoveRequest{Peer: members[at].ID}
	if err := m.ask(ctx, server.JSApiRemoveServer, request, &answer); err != nil {
		return err
	}
	if answer.Error != nil {
		return fmt.Errorf("remove member %q: %w", name, answer.Error)
	}
	return nil
}

// memberID is the identity that NATS derives from a server's name, by which those are
// called whose name the others have forgotten.
func memberID(name string) string {
	const (
		digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
		size   = 8
	)
	sum := sha256.Sum256([]byte(name))
	id := make([]byte, size)
	for i := range id {
		id[i] = digits[int(sum[i])%len(digits)]
	}
	return string(id)
}
