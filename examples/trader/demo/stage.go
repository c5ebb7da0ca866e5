package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"

	"github.com/ganglion-go/ganglion/examples/trader/stage"
	"github.com/ganglion-go/ganglion/testharness/netproxy"
)

// Unrouted is the subcommand that runs a web server of the other way.
type Unrouted struct {
	Addr     string `default:"127.0.0.1:8080" help:"Address to listen on; of the loopback interface, as it asks nobody who they are." placeholder:"HOST:PORT"`
	MongoURI string `name:"mongo-uri" required:"" help:"Of the replica set." placeholder:"URI"`
	Database string `default:"unrouted" help:"Database in it."`
}

var errUnroutedAddr = errors.New("--addr is of the loopback interface")

// Run serves until ctx ends.
func (c *Unrouted) Run(ctx context.Context) error {
	if !isLoopback(c.Addr) || c.Addr == "" {
		return fmt.Errorf("%w: %w", ErrUsage, errUnroutedAddr)
	}
	return stage.ServeUnrouted(ctx, c.Addr, c.MongoURI, c.Database)
}

// cuttable gives a node a way out of its own.
func (d *demo) cuttable(node *part, others []string) error {
	egress, err := netproxy.NewEgress()
	if err != nil {
		return err
	}
	node.egress, node.others = egress, others
	node.env = append(node.env, envEgress+"="+egress.Addr())
	return nil
}

// openStage serves the stage until the demonstration ends.
func (d *demo) openStage(ctx context.Context) error {
	cfg := stage.Config{
		Machine: &machine{d}, Balancer: "http://" + d.plan.Addresses["balancer-api"], Market: d.balancer.where,
		Store: "JetStream", Users: d.Users, Books: d.Books, Started: d.started,
	}
	for i, one := range d.nodes {
		cfg.Nodes = append(cfg.Nodes, stage.Node{Name: one.name, Admin: d.bases("admin")[i]})
	}
	for i, one := range d.nats {
		cfg.NATS = append(cfg.NATS, stage.Server{Name: one.name, Where: one.where, Admin: "http://" + d.plan.Addresses[fmt.Sprintf("nats-monitor-%d", i+1)]})
	}
	for i, addr := range d.mongoMembers() {
		cfg.Mongo = append(cfg.Mongo, stage.Server{Name: d.mongo[i].name, Where: addr})
	}
	if d.plan.Store == StoreMongo {
		cfg.Store, cfg.MongoURI = "MongoDB", mongoURI(d.mongoMembers())
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", d.plan.Addresses["stage"])
	if err != nil {
		return err
	}
	engine := stage.New(cfg)
	living, stop := context.WithCancel(context.WithoutCancel(ctx))
	var parts sync.WaitGroup
	parts.Go(func() { engine.Run(living) })
	parts.Go(func() {
		if err := stage.Serve(living, l, engine); err != nil {
			d.say("the stage has ended: %v", err)
		}
	})
	d.endStage = func() { stop(); parts.Wait() }
	return nil
}

// stageURL is where the stage is served.
func (d *demo) stageURL() string { return "http://" + d.plan.Addresses["stage"] }

// release ends what belongs to the parts and is of this process.
func (d *demo) release() {
	for _, one := range d.nodes {
		if one.egress != nil {
			_ = one.egress.Close()
		}
	}
}

// addresses returns those of URLs.
func addresses(urls []string) (addrs []string) {
	for _, one := range urls {
		_, addr, _ := strings.Cut(one, "://")
		addrs = append(addrs, addr)
	}
	return addrs
}
