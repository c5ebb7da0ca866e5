package archtest

// Rules is the import rule of this module:
//
//	cmd  node  examples  testharness  bench    composition roots: wire both sides
//	 |     |       |
//	gateway    natsbus    runtime      store/memory  store/mongo  store/jetstream
//	   |          |        |    \            |            |             |
//	   +-> actor <+--------+     +---------> store <------+-------------+
//	         ^
//	     projection <-- projection/memory, projection/mongo, projection/jetstream
//
// actor and store are vocabularies of the standard library alone. Adapters
// never import each other, and the runtime sees no driver. An embedded NATS
// server is for the node and for tests.
func Rules() []Rule {
	return []Rule{
		{Packages: "actor", Tests: []string{"actor/actortest", "internal/testenv"}},
		{Packages: "actor/actortest", Ours: []string{"actor"}, Libraries: []string{"github.com/google/go-cmp/..."}},

		{Packages: "actor/reservation", Ours: []string{"actor"}, Tests: []string{"actor/actortest"}},

		{Packages: "store", Tests: []string{"store/memory", "store/storetest"}},
		{Packages: "store/storetest", Ours: []string{"store"}, Libraries: []string{"github.com/google/go-cmp/..."}, Tests: []string{"store/memory"}},
		{Packages: "store/memory", Ours: []string{"store"}, Libraries: []string{"github.com/tidwall/btree"}, Tests: storeTests()},
		{Packages: "store/mongo/...", Ours: []string{"store", "store/mongo/...", "internal/jsonbson", "internal/mongotls"}, Libraries: []string{"go.mongodb.org/mongo-driver/v2/..."}, Tests: storeTests()},
		{Packages: "store/jetstream/...", Ours: []string{"store", "store/jetstream/..."}, Libraries: append(natsClient(), "golang.org/x/sync/singleflight"), Tests: storeTests()},

		{Packages: "runtime", Ours: []string{"actor", "store", "internal/placement", "internal/turns"}, Libraries: []string{"golang.org/x/sys/unix"}, Tests: []string{"actor/actortest", "store/memory", "store/storetest", "testharness/...", "internal/testenv"}},
		{Packages: "natsbus/...", Ours: []string{"actor", "natsbus/..."}, Libraries: natsClient(), Tests: []string{"testharness/...", "internal/testenv"}},
		{Packages: "projection", Ours: []string{"actor", "internal/turns"}, Tests: []string{"projection/...", "testharness/...", "internal/testenv"}},
		{Packages: "projection/projectiontest", Ours: []string{"actor", "projection", "projection/memory"}, Libraries: []string{"github.com/google/go-cmp/..."}},
		{Packages: "projection/memory", Ours: []string{"projection"}, Tests: projectionTests()},
		{Packages: "projection/mongo", Ours: []string{"projection", "internal/jsonbson", "internal/mongotls"}, Libraries: []string{"go.mongodb.org/mongo-driver/v2/..."}, Tests: projectionTests()},
		{Packages: "projection/jetstream", Ours: []string{"projection"}, Libraries: natsClient(), Tests: projectionTests()},

		{Packages: "gateway/jwtauth", Ours: []string{"gateway"}, Libraries: []string{"github.com/go-jose/go-jose/v4/..."}, Tests: []string{"actor"}},
		{Packages: "gateway/...", Ours: []string{"actor", "gateway/..."}, Libraries: []string{"github.com/swaggest/jsonschema-go", "github.com/swaggest/refl", "github.com/wI2L/jsondiff"}, Tests: []string{"actor/actortest", "testharness/..."}},

		{Packages: "node/...", Ours: append(production(), "node/...", "internal/placement"), Libraries: []string{"..."}, Tests: []string{"..."}},
		{Packages: "node/nodetest", Ours: append(production(), "node/...", "testharness"), Libraries: []string{"..."}, Tests: []string{"..."}},
		{Packages: "cmd/...", Ours: append(production(), "cmd/...", "examples/..."), Libraries: []string{"..."}, Tests: []string{"..."}},
		{Packages: "examples/...", Ours: append(production(), "examples/..."), Libraries: []string{"..."}, Tests: []string{"..."}},
		// The demonstration finds or fetches a mongod, as tests do, and can cut nodes off.
		{Packages: "examples/trader/demo", Ours: append(production(), "examples/...", "testharness/mongod", "testharness/netproxy"), Libraries: []string{"..."}, Tests: []string{"..."}},
		{Packages: "testharness/...", Ours: append(production(), "testharness/..."), Libraries: []string{"..."}, Tests: []string{"..."}},

		{Packages: "internal/placement", Ours: []string{"store"}, Libraries: []string{"golang.org/x/mod/semver"}, Tests: []string{"internal/testenv"}},
		{Packages: "internal/jsonbson", Libraries: []string{"go.mongodb.org/mongo-driver/v2/..."}, Tests: []string{"internal/testenv"}},
		{Packages: "internal/mongotls", Libraries: []string{"go.mongodb.org/mongo-driver/v2/..."}},
		{Packages: "internal/turns", Libraries: []string{"golang.org/x/sync/semaphore"}},
		{Packages: "internal/testenv"}, // of tests alone
		{Packages: "internal/archtest", Tests: []string{"internal/doccode", "internal/testenv"}},
		{Packages: "internal/doccode", Tests: []string{"internal/testenv"}},
		{Packages: "internal/chromium"},
		{Packages: "internal/check", Ours: []string{"testharness/mongod", "internal/chromium"}, Libraries: []string{"github.com/go-jose/go-jose/v4/..."}},
	}
}

func projectionTests() []string {
	return []string{"actor", "projection/projectiontest", "testharness/..."}
}

func storeTests() []string { return []string{"store/storetest", "testharness/..."} }

func natsClient() []string {
	return []string{"github.com/nats-io/nats.go/...", "github.com/nats-io/nuid", "github.com/nats-io/nkeys"}
}

// production is what a composition root wires.
func production() []string {
	return []string{"actor", "actor/reservation", "store", "store/memory", "store/mongo", "store/jetstream", "projection", "projection/memory", "projection/mongo", "projection/jetstream", "runtime", "natsbus", "gateway", "gateway/jwtauth", "gateway/tlsauth", "node"}
}
