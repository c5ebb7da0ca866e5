package natsd_test

import (
	"context"
	"fmt"
	"time"

	"github.com/ganglion-go/ganglion/testharness/natsd"
)

// A cluster loses the server that leads a stream, and gets it back.
func ExampleStartCluster() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := natsd.StartCluster(ctx, natsd.Config{Servers: 3})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = c.Close() }()
	leader, err := c.StreamLeader(ctx, "ganglion_COMMANDS")
	if err != nil {
		fmt.Println(err)
		return
	}
	leader.Kill()
	// Watch what your application does in the next 10 s.
	if err := leader.Start(ctx); err != nil {
		fmt.Println(err)
	}
}
