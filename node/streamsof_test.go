package node_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/ganglion-go/ganglion/node"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// TestNode_EmbeddedServer_StreamsAreOfOneStore starts a node on another store, in the same
// folder, and then on the first one again: neither has anything of the other.
func TestNode_EmbeddedServer_StreamsAreOfOneStore(t *testing.T) {
	t.Parallel()
	embedded := node.Config{DataDir: testharness.TempDir(t), Name: "n1"}
	mongo := embedded
	mongo.MongoURI, mongo.MongoDatabase = testharness.SharedMongo(t, 1).URI(), testharness.DatabaseName(t)
	for i, step := range []struct {
		cfg  node.Config
		want string
	}{
		{embedded, `{"version":1,"state":{"Level":1}}`},
		{mongo, `{"version":1,"state":{"Level":10}}`},
		{embedded, `{"version":2,"state":{"Level":101}}`},
		{mongo, `{"version":2,"state":{"Level":1010}}`},
	} {
		n := nodes.Start(t, step.cfg, gauges(nil))
		c := caller{t, n.URL()}
		c.expect("a command", c.post("/v1/gauge/a/Raise", fmt.Sprintf(`{"by":%d}`, int(math.Pow10(i)))), 200, "")
		if got := c.do("GET", "/v1/gauge/a", ""); string(got.body) != step.want {
			t.Errorf("step %d: %s, want %s", i, got.body, step.want)
		}
		n.Stop(t)
	}
}
