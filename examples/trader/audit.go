package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/ganglion-go/ganglion/examples/trader/audit"
	"github.com/ganglion-go/ganglion/node"
)

// The ends of an audit that are no success.
var (
	errViolated = errors.New("invariants do not hold")
	errNothing  = errors.New("the store has no commit of the application")
)

// auditCommand is the subcommand audit.
type auditCommand struct {
	MongoURI      string        `name:"mongo-uri" help:"Of the store. Default: the store is JetStream." env:"GANGLION_MONGO_URI" placeholder:"URI"`
	MongoURIFile  string        `name:"mongo-uri-file" help:"File with what --mongo-uri would say." env:"GANGLION_MONGO_URI_FILE" placeholder:"FILE"`
	MongoDatabase string        `name:"mongo-database" help:"Database in it." default:"ganglion" env:"GANGLION_MONGO_DATABASE"`
	NATSURL       string        `name:"nats-url" help:"Comma-separated NATS servers of a JetStream store. Default: that of the data folder." env:"GANGLION_NATS_URL" placeholder:"URL,..."`
	NATSURLFile   string        `name:"nats-url-file" help:"File with what --nats-url would say." env:"GANGLION_NATS_URL_FILE" placeholder:"FILE"`
	NATSCreds     string        `name:"nats-creds" help:"NATS credentials file." env:"GANGLION_NATS_CREDS" placeholder:"FILE"`
	DataDir       string        `help:"Data folder of a node that is not running." default:"ganglion-data" env:"GANGLION_DATA_DIR" type:"path"`
	Namespace     string        `help:"Prefix of the streams." default:"ganglion" env:"GANGLION_NAMESPACE"`
	Replicas      string        `help:"Replicas of the streams of a JetStream store. Default: 1." env:"GANGLION_REPLICAS" placeholder:"N"`
	Quiet         time.Duration `help:"Time without a commit after which the store counts as read to its end." default:"3s"`
	Timeout       time.Duration `help:"For all of it." default:"30m"`
}

// Run implements the subcommand.
func (c auditCommand) Run(ctx context.Context) error { return c.run(ctx, os.Stdout) }

func (c auditCommand) run(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.Timeout, fmt.Errorf("not done within %v", c.Timeout))
	defer cancel()
	cfg, err := c.node()
	if err != nil {
		return err
	}
	s, closing, err := node.OpenStore(ctx, cfg)
	switch {
	case errors.Is(err, node.ErrConfig):
		return fmt.Errorf("%w: %w", errUsage, err)
	case err != nil:
		return err
	}
	defer closing()
	ledger, err := audit.Read(ctx, s, c.Quiet, nil)
	switch {
	case err != nil:
		return err
	case ledger.Commits == 0:
		return errNothing
	}
	return report(out, ledger)
}

// node is what a node is told to use the same store.
func (c auditCommand) node() (node.Config, error) {
	cfg := node.Config{
		MongoURI: c.MongoURI, MongoURIFile: c.MongoURIFile, MongoDatabase: c.MongoDatabase, NATSURL: c.NATSURL, NATSURLFile: c.NATSURLFile, NATSCreds: c.NATSCreds, DataDir: c.DataDir,
		Namespace: c.Namespace,
	}
	if c.Replicas == "" {
		return cfg, nil
	}
	n, err := strconv.Atoi(c.Replicas)
	if cfg.Replicas = n; err != nil || n == 0 {
		return cfg, fmt.Errorf("%w: --replicas=%s: 1 to 5 is required", errUsage, c.Replicas)
	}
	return cfg, nil
}

// report writes what was found.
func report(out io.Writer, ledger *audit.Ledger) error {
	found := ledger.Check()
	for _, v := range found {
		if _, err := fmt.Fprintln(out, v); err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
	}
	s := ledger.Summary()
	if _, err := fmt.Fprintf(out, "%d commits with %d events: %d portfolios, %d transactions, %d trades, %d live orders; %d sagas ended, %d open, %d of all were overdue\n%d violations\n",
		ledger.Commits, ledger.Events, s.Portfolios, s.Transactions, s.Trades, s.LiveOrders, s.Ended, s.Open, s.Overdue, len(found)); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if len(found) > 0 {
		return fmt.Errorf("%d violations: %w", len(found), errViolated)
	}
	return nil
}
