// Command soak is a node of jobs, each of which asks a provider outside for something, many
// times.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/node"
)

type job struct {
	Asked   int   `json:"asked"`
	Done    []int `json:"done"`
	Failed  []int `json:"failed"`
	Touched int   `json:"touched"`
}

// Start asks for so many things.
type Start struct {
	actor.Replies[int]
	Times int `json:"times"`
}

// Touch asks for nothing.
type Touch struct{ actor.Replies[int] }

// Charged is the result of one of them.
type Charged struct {
	actor.Replies[actor.None]
	actor.Performed[bill]
	Index int `json:"index"`
}

// NotCharged says that one was given up.
type NotCharged struct {
	actor.Replies[actor.None]
	actor.GivenUp
	Index int `json:"index"`
}

type (
	charge struct {
		Job   string `json:"job"`
		Index int    `json:"index"`
	}
	bill    struct{ Number string }
	started struct{ Times int }
	done    struct{ Index int }
	failed  struct{ Index int }
	touched struct{}
)

// provider is who is asked.
type provider struct {
	url    string
	client *http.Client
}

func (p *provider) charge(ctx context.Context, call actor.Call, c charge) (bill, error) {
	body, err := json.Marshal(map[string]any{"key": call.Key, "attempt": call.Attempt, "job": c.Job, "index": c.Index, "pid": os.Getpid()})
	if err != nil {
		return bill{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(body))
	if err != nil {
		return bill{}, err
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return bill{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return bill{}, fmt.Errorf("provider: %s", resp.Status)
	}
	return bill{Number: call.Key}, nil
}

func main() {
	retry, badRetry := time.ParseDuration(os.Getenv("SOAK_RETRY"))
	parallel, badParallel := strconv.Atoi(os.Getenv("SOAK_PARALLEL"))
	if err := errors.Join(badRetry, badParallel); err != nil {
		log.Fatal(err)
	}
	charges := actor.DefineEffect[charge, bill]("charge", actor.EffectPolicy{
		Timeout: 30 * time.Second, FirstRetry: retry, MaxRetry: 20 * retry, Parallel: parallel,
	})
	jobs := actor.Define("job", func(d *actor.Definition[job]) {
		d.Effects(charges)
		actor.On(d, func(_ *job, ctx *actor.Context, s Start) (int, error) {
			ctx.Raise(started{Times: s.Times})
			for i := range s.Times {
				charges.Perform(ctx, charge{Job: ctx.Address().ID, Index: i}, Charged{Index: i}, NotCharged{Index: i})
			}
			return s.Times, nil
		})
		actor.On(d, func(_ *job, ctx *actor.Context, c Charged) (actor.None, error) {
			ctx.Raise(done{Index: c.Index})
			return actor.None{}, nil
		})
		actor.On(d, func(_ *job, ctx *actor.Context, c NotCharged) (actor.None, error) {
			ctx.Raise(failed{Index: c.Index})
			return actor.None{}, nil
		})
		actor.On(d, func(j *job, ctx *actor.Context, _ Touch) (int, error) {
			ctx.Raise(touched{})
			return j.Touched, nil
		})
		actor.Apply(d, func(j *job, _ touched) { j.Touched++ })
		actor.Apply(d, func(j *job, e started) { j.Asked += e.Times })
		actor.Apply(d, func(j *job, e done) { j.Done = append(j.Done, e.Index) })
		actor.Apply(d, func(j *job, e failed) { j.Failed = append(j.Failed, e.Index) })
	})
	p := &provider{url: os.Getenv("SOAK_PROVIDER"), client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 128}}}
	node.MainWith(node.Config{Effects: []*actor.Performer{charges.By(p.charge)}}, jobs)
}
