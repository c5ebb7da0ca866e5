package node_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/internal/testenv"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// roll has a node of an earlier build, without effects, own all partitions while effects
// are pending that nodes of this build were asked for:
//
//	n1                    n2                    what is pending
//	this build            this build            is carried out, a third of it
//	comes back earlier    this build
//	                      is killed             comes to n1, which knows nothing of it
//	                      comes back            goes on; more is asked for there, and may be
//	comes back as this                          brought out by n1
//
// Commands go on under keys that are repeated at the other build.
func (s *effectSoak) roll(commit string) {
	s.t.Helper()
	program, err := os.ReadFile("testdata/soak/earlier/main.go")
	if err != nil {
		s.t.Fatal(err)
	}
	earlier := testenv.Earlier(s.t, commit, "node/testdata/soak/earlier", map[string][]byte{"main.go": program})
	n1, n2 := s.cluster[0], s.cluster[1]
	third := len(s.ids) * s.size.times / 3
	s.raise(third)
	testharness.Eventually(s.t, time.Minute, func() bool { return s.progress() >= third })
	s.touch(n1, n2)
	n1.Terminate(s.t)
	n1.Use(earlier)
	n1.Start(s.t)
	s.touch(n1, n2)
	n2.Kill()
	s.touch(n1)
	s.awaitParked(n1)
	n2.Start(s.t)
	s.touch(n2, n1)
	s.startBeside(n2)
	s.raise(2 * third)
	testharness.Eventually(s.t, 2*time.Minute, func() bool { return s.progress() > third })
	n1.Terminate(s.t)
	n1.Use(s.binary)
	n1.Start(s.t)
	s.touch(n2, n1)
	admin := caller{s.t, n1.AdminURL()}
	testharness.Eventually(s.t, 2*time.Minute, func() bool {
		return !strings.Contains(string(admin.do(http.MethodGet, "/parked", "").body), "ganglion.")
	})
}

// awaitParked waits until a node of the earlier build has met what it knows nothing of.
func (s *effectSoak) awaitParked(n *nodes.Process) {
	s.t.Helper()
	admin := caller{s.t, n.AdminURL()}
	var performs, results int
	testharness.Eventually(s.t, 2*time.Minute, func() bool {
		list := string(admin.do(http.MethodGet, "/parked", "").body)
		performs, results = strings.Count(list, actor.PerformCommand), strings.Count(list, "Charged")
		return performs > 0
	})
	s.t.Logf("the earlier build has parked %d effects, and %d of their results", performs, results)
}

// startBeside starts jobs at a node of this build. Those whose partitions the earlier build
// has are unknown to it.
func (s *effectSoak) startBeside(n *nodes.Process) {
	s.t.Helper()
	before := len(s.ids)
	for i := range before {
		if status := s.startJob(n, fmt.Sprint("late-", i)); status != http.StatusOK && status != http.StatusNotFound {
			s.t.Errorf("start of late-%d: %d", i, status)
		}
	}
	s.t.Logf("%d jobs more were started beside the earlier build", len(s.ids)-before)
}

// touch sends each job one command, whose key is the same each time, to all nodes of a
// list in turn: it takes effect once.
func (s *effectSoak) touch(all ...*nodes.Process) {
	s.t.Helper()
	for _, id := range s.ids {
		for _, n := range all {
			got := caller{s.t, n.URL()}.post("/v1/job/"+id+"/Touch?timeout=30s", "{}", "Idempotency-Key", "touch")
			if got.status != http.StatusOK || !strings.Contains(string(got.body), `"reply":1`) {
				s.t.Errorf("%s: %d %s", id, got.status, got.body)
			}
		}
	}
}
