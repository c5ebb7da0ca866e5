package main

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/internal/testenv"
	"github.com/ganglion-go/ganglion/testharness"
)

// rollFrom rolls three nodes on three NATS servers from the build of a commit to this one, back,
// and forth again, one node at a time, under load on either lane; some of them are killed
// where others are ended in order. Then all that TestCluster_Faults checks must hold: no
// command is lost or takes effect twice, however often its caller has repeated it at nodes
// of whichever build, and the views are those that all events make from nothing.
func rollFrom(t *testing.T, commit, this string) {
	t.Helper()
	that := testenv.Earlier(t, commit, "cmd/node", nil)
	for _, kind := range []string{"jetstream", "mongo"} {
		for _, lane := range []string{"durable", "direct"} {
			t.Run(kind+"/"+lane, func(t *testing.T) {
				servers := testharness.NATSCluster(t, 3)
				c := &cluster{t: t, lane: lane, natsURL: servers.URL(), nc: servers.Connect(t), replicas: 3}
				c.start(that, kind == "mongo", "one", "two", "three")
				c.asked = c.nodes
				c.trade(8, func(random *rand.Rand) {
					for _, next := range []string{this, that, this} {
						c.roll(random, next)
					}
				})
				c.check()
			})
		}
	}
}

// roll has each node come back as another build.
func (c *cluster) roll(random *rand.Rand, binary string) {
	c.t.Helper()
	for i, n := range c.nodes {
		began, how := time.Now(), "ended in order"
		if random.IntN(3) == 0 {
			how = "killed"
			n.Kill()
		} else {
			n.Terminate(c.t)
		}
		n.Use(binary)
		n.Start(c.t)
		c.t.Logf("%v: node %d was %s, and is back after %v; builds: %s", time.Since(c.began), i, how, time.Since(began), c.builds())
		c.goesOn()
	}
}

// builds are those of all members.
func (c *cluster) builds() string {
	c.t.Helper()
	build := regexp.MustCompile(`"build": ?"[^"]*"`)
	return strings.Join(build.FindAllString(read(c.t, c.nodes[0].URL()+"/v1/cluster"), -1), " ")
}
