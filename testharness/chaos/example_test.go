package chaos_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/ganglion-go/ganglion/testharness/chaos"
)

// One fault of one's own, with the owner of a partition as its victim, under load.
func ExampleRun() {
	freeze := chaos.Fault{
		Name: "freeze the owner", At: 2 * time.Second, For: 10 * time.Second,
		Inject: func(ctx context.Context, c *chaos.Cluster) (string, func(context.Context) error, error) {
			owner := c.Owner(ctx, 0)
			if owner == nil {
				return "", nil, chaos.ErrBusy
			}
			return owner.URL(), func(context.Context) error { return owner.Resume() }, owner.Pause()
		},
	}
	report, err := chaos.Run(context.Background(), chaos.Trial[portfolio]{
		Model: portfolios(), Settled: conserved, Plan: []chaos.Fault{freeze}, Out: os.Stderr,
	})
	if err != nil {
		fmt.Println("the cluster did not come up:", err)
		return
	}
	fmt.Println(report, report.Err())
}
