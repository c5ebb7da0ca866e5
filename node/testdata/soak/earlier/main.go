// Command earlier is the program of the soak as it was before its decisions asked for
// effects, for builds that have none.
package main

import (
	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/node"
)

type job struct {
	Asked   int   `json:"asked"`
	Done    []int `json:"done"`
	Failed  []int `json:"failed"`
	Touched int   `json:"touched"`
}

// Touch asks for nothing.
type Touch struct{ actor.Replies[int] }

type (
	started struct{ Times int }
	done    struct{ Index int }
	failed  struct{ Index int }
	touched struct{}
)

func main() {
	node.Main(actor.Define("job", func(d *actor.Definition[job]) {
		actor.On(d, func(j *job, ctx *actor.Context, _ Touch) (int, error) {
			ctx.Raise(touched{})
			return j.Touched, nil
		})
		actor.Apply(d, func(j *job, e started) { j.Asked += e.Times })
		actor.Apply(d, func(j *job, e done) { j.Done = append(j.Done, e.Index) })
		actor.Apply(d, func(j *job, e failed) { j.Failed = append(j.Failed, e.Index) })
		actor.Apply(d, func(j *job, _ touched) { j.Touched++ })
	}))
}
