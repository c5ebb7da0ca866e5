package node

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
	"github.com/ganglion-go/ganglion/store"
)

// Only the owner of a partition knows how many of its durable commands are
// unfinished, so the nodes tell one another. The answers are for people: nothing
// is decided by them.

// standing is what a node tells of itself.
type standing struct {
	Incarnation string                  `json:"incarnation"`
	Lag         map[actor.Partition]int `json:"lag"` // durable commands taken in and unfinished

	// Figures are there if they were asked for. Earlier builds leave them out.
	Figures json.RawMessage `json:"figures,omitempty"`
}

// question is what nodes ask each other. An earlier build sends nothing, and looks at
// nothing.
type question struct {
	Figures bool `json:"figures,omitempty"`
}

func standingOf(s runtime.Status) standing {
	own := standing{Incarnation: s.Incarnation, Lag: make(map[actor.Partition]int, len(s.Partitions))}
	for _, p := range s.Partitions {
		own.Lag[p.Partition] = p.Durable
	}
	return own
}

// peers asks the other nodes of a namespace.
type peers struct {
	conn      *nats.Conn
	namespace string
}

// askTimeout bounds a question to another node. One that is dead and not yet
// declared so does not answer.
const askTimeout = 500 * time.Millisecond

// figuresTimeout bounds it for a page, which has a second for all that it asks.
const figuresTimeout = 400 * time.Millisecond

// subject is where a node answers. Names of nodes are subject tokens.
func (p *peers) subject(node string) string { return p.namespace + ".standing." + node }

// answer answers the others until stop is called. figures returns what the node says of
// itself, as JSON; nothing: it cannot at this moment.
func (p *peers) answer(name string, status func() runtime.Status, figures func() json.RawMessage) (stop func(), err error) {
	sub, err := p.conn.Subscribe(p.subject(name), func(msg *nats.Msg) {
		own := standingOf(status())
		var asked question
		if json.Unmarshal(msg.Data, &asked) == nil && asked.Figures {
			own.Figures = figures()
		}
		if data, err := json.Marshal(own); err == nil {
			_ = msg.Respond(data) // whoever asked has the stream's figures instead
		}
	})
	if err != nil {
		return nil, err
	}
	return func() { _ = sub.Unsubscribe() }, nil
}

// standings asks the owners of all sessions but one, at the same time. Those
// that do not answer are left out.
func (p *peers) standings(ctx context.Context, sessions []store.Session, except string, what question) map[string]standing {
	body, err := json.Marshal(what)
	if err != nil {
		return map[string]standing{}
	}
	patience := askTimeout
	if what.Figures {
		patience = figuresTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var mu sync.Mutex
	var asking sync.WaitGroup
	all := map[string]standing{}
	for _, s := range sessions {
		if s.Dead || s.Name == except || !namePattern.MatchString(s.Name) {
			continue
		}
		asking.Go(func() {
			reply, err := p.conn.RequestWithContext(ctx, p.subject(s.Name), body)
			var got standing
			if err != nil || json.Unmarshal(reply.Data, &got) != nil || got.Incarnation != s.Incarnation {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			all[got.Incarnation] = got
		})
	}
	asking.Wait()
	return all
}
