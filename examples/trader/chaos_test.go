package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/internal/testenv"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/chaos"
)

const (
	chaosNamespace = "trader"
	chaosStart     = 90 * time.Second
	chaosLoadMax   = 24 * time.Hour
)

// TestCluster_Chaos trades, with cancels, through the gateways of three nodes, while
// these, three NATS servers and three mongods are killed, paused, cut off and slowed down
// on a schedule made from a seed, the node with the relay among them. Once all is healed
// and what has begun is at rest, everything that TestCluster_Faults checks must hold.
// GANGLION_CHAOS sets for how long things break; GANGLION_CHAOS_STORE=jetstream leaves
// the mongods away; GANGLION_CHAOS_DIR gets the evidence of a failure.
func TestCluster_Chaos(t *testing.T) { //nolint:paralleltest // nine processes and their load
	seed := testenv.Seed(t)
	duration := testenv.Duration(t, "GANGLION_CHAOS", 10*time.Second)
	cfg := chaos.ClusterConfig{Namespace: chaosNamespace, NoMongo: os.Getenv("GANGLION_CHAOS_STORE") == "jetstream"}
	if !cfg.NoMongo {
		cfg.Mongod = testharness.Mongod(t)
	}
	starting, cancel := context.WithTimeout(t.Context(), chaosStart)
	defer cancel()
	c, err := chaos.StartCluster(starting, cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := &ordeal{t: t, seed: seed, cluster: c}
	defer r.end() // before the context of the test ends
	r.trade(chaos.Plan(seed, duration))
	for _, crash := range c.Crashes() {
		t.Error(crash)
	}
	r.atRest().check()
}

// ordeal is a cluster that breaks while it trades.
type ordeal struct {
	t       *testing.T
	seed    uint64
	cluster *chaos.Cluster
	journal strings.Builder // of what was broken
	report  strings.Builder // of the load
}

// trade runs the load while the cluster breaks, until all that was begun is at rest.
func (r *ordeal) trade(plan []chaos.Fault) {
	r.t.Helper()
	var urls []string
	for _, n := range r.cluster.Nodes {
		urls = append(urls, n.URL())
	}
	load := parse(r.t, "--url", strings.Join(urls, ","), "--duration", chaosLoadMax.String(), "--clients", "16", "--rate", "20",
		"--cancel-share", "0.3", "--seed", fmt.Sprint(r.seed%1000), "--request-timeout", "2s", "--resolve-within", "3m", "--settle-within", "3m")
	ctx, cancel := context.WithCancel(r.t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	ended, stop := make(chan error, 1), make(chan struct{})
	running.Go(func() { ended <- load.run(ctx, stop, &r.report, silent) })
	testharness.Eventually(r.t, time.Minute, func() bool { return tradesAt(r.t, urls[0]) > 0 })
	out := io.MultiWriter(r.t.Output(), &r.journal)
	_, _ = fmt.Fprintf(out, "from %s on, as planned:\n%sas it was:\n", time.Now().UTC().Format(time.RFC3339Nano), chaos.Describe(plan))
	done, err := r.cluster.Disturb(r.t.Context(), plan, out)
	if err != nil {
		r.t.Error(err)
	}
	before := tradesAt(r.t, urls[0])
	testharness.Eventually(r.t, tradingWithin, func() bool { return tradesAt(r.t, urls[0]) > before })
	r.t.Logf("%d faults; it trades %v after the last one", done.Faults, time.Since(done.Ended).Round(time.Millisecond))
	close(stop)
	err = <-ended
	r.t.Logf("at rest %v after the last fault:\n%s", time.Since(done.Ended).Round(time.Millisecond), r.report.String())
	if done.Faults == 0 {
		r.t.Error("nothing was broken")
	}
	if err != nil {
		r.t.Fatal(err) // what is not at rest has nothing to be audited
	}
}

func (r *ordeal) atRest() *atRest {
	r.t.Helper()
	nc, err := r.cluster.NATS.Connect()
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(nc.Close)
	at := &atRest{
		t: r.t, url: r.cluster.Nodes[0].URL(), nc: nc, replicas: len(r.cluster.NATS.Servers()),
		store: auditCommand{NATSURL: r.cluster.NATS.URL(), Namespace: chaosNamespace, Replicas: fmt.Sprint(len(r.cluster.NATS.Servers()))},
	}
	if r.cluster.Mongo != nil {
		at.store.MongoURI, at.store.MongoDatabase = r.cluster.Mongo.URI(), chaosNamespace
	}
	return at
}

// end ends all processes, and keeps the evidence of a failure.
func (r *ordeal) end() {
	if r.t.Failed() {
		dir, err := r.cluster.Keep(os.Getenv("GANGLION_CHAOS_DIR"), r.seed, map[string]string{
			"schedule.txt": r.journal.String(), "load.txt": r.report.String(), "projections.json": r.projections(),
		})
		if err == nil {
			err = r.keepCommits(dir)
		}
		r.t.Logf("the evidence is in %s (%v)", dir, err)
	}
	if err := r.cluster.Close(); err != nil {
		r.t.Error(err)
	}
}

func (r *ordeal) keepCommits(dir string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.t.Context()), time.Minute)
	defer cancel()
	file, err := os.Create(filepath.Join(dir, "commits.jsonl"))
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	return r.cluster.WriteCommits(ctx, file)
}

// projections is what each node says of its views and routers.
func (r *ordeal) projections() string {
	var all strings.Builder
	for _, n := range r.cluster.Nodes {
		for _, page := range []string{n.AdminURL() + "/projections", n.URL() + "/v1/cluster"} {
			_, _ = fmt.Fprintf(&all, "%s: %s\n", page, read(r.t, page))
		}
	}
	return all.String()
}
