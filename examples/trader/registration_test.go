package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/internal/testenv"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// racesAtOnce is how many pairs register at the same time.
const racesAtOnce = 8

// TestCluster_Registrations has two users ask for one name at the same instant, each at
// another node: exactly one gets it, the other is told, and nothing is left claimed.
// GANGLION_REGISTRATIONS sets how often.
func TestCluster_Registrations(t *testing.T) { //nolint:tparallel // one cluster at a time
	t.Parallel()
	binary := nodes.Build(t, "../../cmd/node")
	for _, kind := range []string{"jetstream", "mongo"} {
		t.Run(kind, func(t *testing.T) {
			c := startCluster(t, binary, kind == "mongo")
			var racing sync.WaitGroup
			slots := make(chan struct{}, racesAtOnce)
			for i := range testenv.Times(t, "GANGLION_REGISTRATIONS", 20) {
				slots <- struct{}{}
				racing.Go(func() {
					defer func() { <-slots }()
					c.race(i)
				})
			}
			racing.Wait()
		})
	}
}

// race is one pair.
func (c *cluster) race(i int) {
	var both sync.WaitGroup
	start := make(chan struct{})
	users := [2]string{}
	for n := range users {
		users[n] = fmt.Sprintf("user-%d-%d", i, n)
		both.Go(func() {
			<-start
			c.register(n, users[n], fmt.Sprint("name-", i))
		})
	}
	close(start)
	both.Wait()
	statuses := map[string]int{}
	winner := ""
	for n, id := range users {
		status, reason := c.registered(n, id)
		statuses[status+" "+reason]++
		if status == "active" {
			winner = id
		}
	}
	if statuses["active "] != 1 || statuses["rejected username_taken"] != 1 {
		c.t.Errorf("race %d: %v", i, statuses)
	}
	var name struct {
		State struct {
			Owner     string
			Confirmed bool
		}
	}
	c.show(0, fmt.Sprint("username/name-", i), &name)
	if name.State.Owner != winner || !name.State.Confirmed {
		c.t.Errorf("race %d: the name is %+v, and %q is active", i, name.State, winner)
	}
}

// register asks a node until it accepts.
func (c *cluster) register(at int, id, username string) {
	body := fmt.Sprintf(`{"name":"n","username":%q,"passwordHash":"$2a$10$x"}`, username)
	ctx, cancel := context.WithTimeout(c.t.Context(), 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.nodes[at].URL()+"/v1/user/"+id+"/RegisterUser?timeout=20s", io.NopCloser(strings.NewReader(body)))
	if err != nil {
		c.t.Error(err)
		return
	}
	r.ContentLength = int64(len(body))
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		c.t.Error(err)
		return
	}
	defer func() { _ = answer.Body.Close() }()
	if text, err := io.ReadAll(answer.Body); answer.StatusCode != http.StatusOK {
		c.t.Errorf("register %s: %d %s %v", id, answer.StatusCode, text, err)
	}
}

// registered returns what has become of a registration, once that is decided.
func (c *cluster) registered(at int, id string) (status, reason string) {
	for until := time.Now().Add(time.Minute); time.Now().Before(until); pause(c.t, 20*time.Millisecond) {
		var user struct {
			State struct{ Status, Reason string }
		}
		c.show(at, "user/"+id, &user)
		if status, reason = user.State.Status, user.State.Reason; status != "" && status != "pending" {
			break
		}
	}
	return status, reason
}

// show reads an aggregate at a node; one that is not there leaves into as it is.
func (c *cluster) show(at int, aggregate string, into any) {
	if err := json.Unmarshal([]byte(read(c.t, c.nodes[at].URL()+"/v1/"+aggregate)), into); err != nil {
		c.t.Errorf("read %s: %v", aggregate, err)
	}
}
