package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/ganglion-go/ganglion/examples/trader/demo"
	"github.com/ganglion-go/ganglion/examples/trader/load"
)

// demoCommand is the subcommand demo.
type demoCommand struct{ demo.Demo }

// What the market of a new demonstration has.
const (
	demoUsers    = 6
	demoBooks    = 3
	demoPassword = "demo"
)

// Run implements the subcommand.
func (c *demoCommand) Run(ctx context.Context) error {
	stop, ok := ctx.Value(stopKey{}).(chan struct{})
	if !ok {
		stop = nil // nobody can ask
	}
	c.Seed, c.Users, c.Books = seedDemo, demoUsers, demoBooks
	return c.Demo.Run(ctx, stop, os.Stdout)
}

// seedDemo gives a new market its companies and users.
func seedDemo(ctx context.Context, bases []string) error {
	hash, err := bcrypt.GenerateFromPassword([]byte(demoPassword), bcrypt.DefaultCost)
	if err != nil {
		return fmt.Errorf("hash the password of the demonstration's users: %w", err)
	}
	cfg := load.Config{
		URLs: bases, Users: demoUsers, Books: demoBooks, Clients: 4, Duration: time.Second, Lane: load.LaneDurable, PasswordHash: string(hash),
		RequestTimeout: 15 * time.Second, ResolveWithin: time.Minute, SettleWithin: time.Minute,
	}
	recorder := load.NewRecorder()
	client := load.NewClient(cfg, recorder)
	defer client.Close()
	return load.Seed(ctx, client, recorder, cfg, func(int, int) {})
}
