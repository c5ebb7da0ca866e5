package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/ganglion-go/ganglion/examples/trader/stage"
	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/store"
)

// machine is a demonstration as the stage acts upon it.
type machine struct{ d *demo }

var _ stage.Machine = (*machine)(nil)

var errNoPart = errors.New("there is no such part")

// Parts implements [stage.Machine].
func (m *machine) Parts() []stage.Part {
	var all []stage.Part
	for _, one := range m.d.all() {
		all = append(all, one.view())
	}
	return all
}

// view is the part at one moment.
func (p *part) view() stage.Part {
	p.mu.Lock()
	defer p.mu.Unlock()
	v := stage.Part{
		Name: p.name, Role: p.role, What: p.what, Where: p.where, Cut: p.cut,
		Command: strings.Join(append([]string{p.path}, quoted(p.args)...), " "),
	}
	if p.current == nil {
		return v
	}
	select {
	case <-p.current.exited:
		v.Since = p.current.ended
	default:
		v.PID, v.Since, v.Paused = p.current.pid(), p.current.began, p.paused
	}
	return v
}

// quoted puts what a shell would read otherwise between quotes.
func quoted(args []string) []string {
	all := make([]string, len(args))
	for i, one := range args {
		if all[i] = one; strings.ContainsAny(one, " ?&;'\"$\\*()<>|#~") {
			all[i] = "'" + strings.ReplaceAll(one, "'", `'\''`) + "'"
		}
	}
	return all
}

func (m *machine) part(name string) (*part, error) {
	for _, one := range m.d.all() {
		if one.name == name {
			return one, nil
		}
	}
	return nil, fmt.Errorf("%s: %w", name, errNoPart)
}

func (m *machine) with(name string, do func(*part) error) error {
	one, err := m.part(name)
	if err != nil {
		return err
	}
	if err := do(one); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// Ready implements [stage.Machine].
func (m *machine) Ready(ctx context.Context, name string) error {
	return m.with(name, func(p *part) error {
		if !p.up() {
			return errDown
		}
		return p.ready(ctx)
	})
}

// Kill implements [stage.Machine].
func (m *machine) Kill(name string) error { return m.with(name, (*part).kill) }

// Pause implements [stage.Machine].
func (m *machine) Pause(name string) error { return m.with(name, (*part).pause) }

// Resume implements [stage.Machine].
func (m *machine) Resume(name string) error { return m.with(name, (*part).resume) }

// Cut implements [stage.Machine].
func (m *machine) Cut(name string, cut bool) error {
	return m.with(name, func(p *part) error { return p.setCut(cut) })
}

// Expect implements [stage.Machine].
func (m *machine) Expect(name string) error {
	return m.with(name, func(p *part) error { p.expect(); return nil })
}

// Start implements [stage.Machine].
func (m *machine) Start(name string) error {
	return m.with(name, func(p *part) error { p.startNow(); return nil })
}

var errNeedsMongo = errors.New("the other way needs MongoDB, and the store is JetStream")

// StartOther implements [stage.Machine].
func (m *machine) StartOther(ctx context.Context) (bases []string, stop func(), err error) {
	if m.d.plan.Store != StoreMongo {
		return nil, nil, errNeedsMongo
	}
	var held ports
	defer held.release()
	fresh := &plan{Addresses: map[string]string{}}
	var started []*part
	for i := range nodes {
		name := fmt.Sprintf("other-%d", i+1)
		addr, err := held.address(fresh, name, 0)
		if err != nil {
			return nil, nil, err
		}
		one := m.d.part(name, "web server without routing", "http://"+addr, httpReady("http://"+addr+"/counts"),
			"unrouted", "--addr="+addr, "--mongo-uri="+mongoURI(m.d.mongoMembers()))
		one.role = stage.RoleOther
		started = append(started, one)
		bases = append(bases, one.where)
	}
	held.release()
	if !m.d.attach(started) {
		return nil, nil, errStopped
	}
	stop = func() { m.d.detach(started) }
	for _, one := range started {
		if err = one.begin(); err == nil {
			err = one.await(ctx)
		}
		if err != nil {
			stop()
			return nil, nil, err
		}
	}
	return bases, stop, nil
}

// OpenStore implements [stage.Machine].
func (m *machine) OpenStore(ctx context.Context) (store.Store, func(), error) {
	cfg := node.Config{
		NATSURL: strings.Join(m.d.natsURLs(), ","), Replicas: servers, DataDir: filepath.Join(m.d.dir, "stage"),
		Logger: slog.New(slog.DiscardHandler),
	}
	if m.d.plan.Store == StoreMongo {
		cfg.MongoURI = mongoURI(m.d.mongoMembers())
	}
	return node.OpenStore(ctx, cfg)
}

// all returns the parts there are.
func (d *demo) all() []*part {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := []*part{d.balancer}
	for _, group := range [][]*part{d.nodes, d.nats, d.mongo, d.others} {
		all = append(all, group...)
	}
	return all
}

// attach adds parts for a while; false: everything is about to end.
func (d *demo) attach(some []*part) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ending {
		return false
	}
	d.others = some
	return true
}

// detach ends them.
func (d *demo) detach(some []*part) {
	endAll(some, nil)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.others = nil
}
