package node_test

import (
	"crypto/rand"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// secretFile makes a secret of embedded servers.
func secretFile(t *testing.T) (file, secret string) {
	t.Helper()
	file, secret = filepath.Join(t.TempDir(), "secret"), rand.Text()
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, secret
}

// clusterConfigs are those of nodes whose servers form a cluster.
func clusterConfigs(t *testing.T, names ...string) []node.Config {
	t.Helper()
	addresses := make([]string, len(names))
	for i := range names {
		addresses[i] = nodes.FreeAddress(t)
	}
	cfgs := make([]node.Config, len(names))
	for i, name := range names {
		others := slices.Delete(slices.Clone(addresses), i, i+1)
		cfgs[i] = node.Config{
			Name: name, DataDir: t.TempDir(), HTTPAddr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0",
			NATSClusterAddr: addresses[i], NATSRoutes: others,
			Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError})),
		}
	}
	return cfgs
}

// openTogether opens nodes that wait for each other.
func openTogether(t *testing.T, cfgs []node.Config) ([]*node.Node, []error) {
	t.Helper()
	opened, errs := make([]*node.Node, len(cfgs)), make([]error, len(cfgs))
	var opening sync.WaitGroup
	for i, cfg := range cfgs {
		opening.Go(func() { opened[i], errs[i] = node.Open(t.Context(), cfg, gauges(nil)) })
	}
	opening.Wait()
	for _, n := range opened {
		if n != nil {
			t.Cleanup(func() { _ = n.Close() })
		}
	}
	return opened, errs
}

// TestNode_EmbeddedCluster_Secured has nodes with a secret and certificates find
// together, refuses clients that have not both, and sees a client with both go to
// another server when its own ends.
func TestNode_EmbeddedCluster_Secured(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t, "cluster")
	file, secret := secretFile(t)
	cfgs := clusterConfigs(t, "n1", "n2", "n3")
	var urls []string
	for i := range cfgs {
		id := ca.issue(cfgs[i].Name, time.Now().Add(time.Hour))
		cfgs[i].NATSTLSCA, cfgs[i].NATSTLSCert, cfgs[i].NATSTLSKey, cfgs[i].NATSSecretFile = ca.file, id.cert, id.key, file
		cfgs[i].NATSClientAddr = nodes.FreeAddress(t)
		urls = append(urls, "nats://"+cfgs[i].NATSClientAddr)
	}
	opened, ended := runTogether(t, cfgs)
	id := ca.issue("client", time.Now().Add(time.Hour))
	for name, opts := range map[string][]nats.Option{
		"no token":       {nats.RootCAs(ca.file), nats.ClientCert(id.cert, id.key)},
		"wrong token":    {nats.RootCAs(ca.file), nats.ClientCert(id.cert, id.key), nats.Token(rand.Text())},
		"no certificate": {nats.RootCAs(ca.file), nats.Token(secret)},
	} {
		if nc, err := nats.Connect(urls[0], opts...); err == nil {
			nc.Close()
			t.Errorf("%s: it was let in", name)
		}
	}
	ducks := make(chan string, 1)
	nc, err := nats.Connect(urls[0], nats.RootCAs(ca.file), nats.ClientCert(id.cert, id.key), nats.Token(secret),
		nats.MaxReconnects(-1), nats.LameDuckModeHandler(func(nc *nats.Conn) { ducks <- nc.ConnectedServerName() }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if err := opened[0].Shutdown(t.Context()); err != nil {
		t.Errorf("shutdown: %v", err)
	}
	if err := <-ended; err != nil {
		t.Errorf("run: %v", err)
	}
	select {
	case name := <-ducks:
		if name != "n1" {
			t.Errorf("server %q has announced its end", name)
		}
	default:
		t.Error("the client was not told that its server ends")
	}
	testharness.Eventually(t, 20*time.Second, func() bool {
		return nc.IsConnected() && slices.Contains([]string{"n2", "n3"}, nc.ConnectedServerName())
	})
}

// TestNode_EmbeddedCluster_Stranger is a node that is alone, or that the others must
// not let in: it says so when its time is over, and takes no part.
func TestNode_EmbeddedCluster_Stranger(t *testing.T) {
	t.Parallel()
	ours, theirs := newAuthority(t, "ours"), newAuthority(t, "theirs")
	file, _ := secretFile(t)
	with := func(cfg *node.Config, ca *authority, secret string) {
		id := ca.issue(cfg.Name, time.Now().Add(time.Hour))
		cfg.NATSTLSCA, cfg.NATSTLSCert, cfg.NATSTLSKey, cfg.NATSSecretFile = ca.file, id.cert, id.key, secret
		cfg.ClusterTimeout = 4 * time.Second
	}
	for name, stranger := range map[string]func(cfg *node.Config){
		"alone": nil,
		"other secret": func(cfg *node.Config) {
			other, _ := secretFile(t)
			with(cfg, ours, other)
		},
		"other authority": func(cfg *node.Config) { with(cfg, theirs, file) },
		"other namespace": func(cfg *node.Config) { cfg.Namespace = "other" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfgs := clusterConfigs(t, "n1", "n2", "n3")
			for i := range cfgs {
				with(&cfgs[i], ours, file)
			}
			if stranger == nil {
				cfgs = cfgs[:1]
			} else {
				// Two that trust each other are a majority, and wait for a third.
				stranger(&cfgs[0])
			}
			start := time.Now()
			opened, errs := openTogether(t, cfgs)
			for i, err := range errs {
				if !errors.Is(err, node.ErrNoQuorum) || opened[i] != nil {
					t.Errorf("node %d: error %v, want %v", i, err, node.ErrNoQuorum)
				}
			}
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// TestNode_EmbeddedCluster_KeepsOtherStreams begins with a server alone, which a
// cluster would relieve of its streams.
func TestNode_EmbeddedCluster_KeepsOtherStreams(t *testing.T) {
	t.Parallel()
	cfg := clusterConfigs(t, "n1", "n2", "n3")[0]
	alone := node.Config{DataDir: cfg.DataDir, Name: "n1"}
	n := nodes.Start(t, alone, gauges(nil))
	c := caller{t, n.URL()}
	c.expect("before", c.post("/v1/gauge/a/Raise", `{"by":3}`), 200, "")
	n.Stop(t)
	if _, err := node.Open(t.Context(), cfg, gauges(nil)); !errors.Is(err, node.ErrOtherServer) || !errors.Is(err, node.ErrConfig) {
		t.Errorf("a cluster in the folder of a server alone: %v", err)
	}
	n = nodes.Start(t, alone, gauges(nil))
	c = caller{t, n.URL()}
	if got := c.do("GET", "/v1/gauge/a", ""); string(got.body) != `{"version":1,"state":{"Level":3}}` {
		t.Errorf("after the refusal: %s", got.body)
	}
}

// runTogether opens nodes at once and runs them. ended has the outcome of each run.
func runTogether(t *testing.T, cfgs []node.Config) (opened []*node.Node, ended chan error) {
	t.Helper()
	opened, errs := openTogether(t, cfgs)
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	ended = make(chan error, len(opened))
	for _, n := range opened {
		go func() { ended <- n.Run(t.Context()) }()
	}
	for _, n := range opened {
		if err := n.AwaitServing(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
	}
	return opened, ended
}
