// Command routing answers the question that every forum asks: why not just put
// web servers behind a load balancer, in front of a clustered MongoDB? It runs
// both, over real HTTP, behind the same round-robin balancer, on the same replica
// set, under the same clients, and checks after each round that the history holds
// exactly what was acknowledged.
//
// # Concurrency
//
// Clients, balancer, servers or nodes and the NATS server share this process, so
// that they share the machine's cores in the same way whichever side is measured;
// the mongods are processes of their own. Rounds of all scenarios take turns, so
// that a slow minute falls on all of them.
//
// # Failures
//
// A round fails the whole run when a history disagrees with what was
// acknowledged, or when a way that promises fresh reads gave a stale one. Requests
// that fail are counted, not hidden.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/ganglion-go/ganglion/examples/trader/unrouted"
)

type flags struct {
	Servers    []int         `help:"Numbers of servers behind the balancer." default:"2,4"`
	Aggregates []int         `help:"Numbers of aggregates that the commands go to." default:"1,10,1000"`
	Ways       []string      `help:"Which ways to run: plain, cache, turns, durable, direct." default:"plain,cache,turns,durable,direct"`
	InFlight   int           `help:"Clients, each with one request in flight." default:"64"`
	ReadEvery  int           `help:"After so many commands a client reads the aggregate that it has just changed." default:"4"`
	Duration   time.Duration `help:"Length of one round of one scenario." default:"4s"`
	Warmup     time.Duration `help:"Unmeasured start of each round." default:"1s"`
	Rounds     int           `help:"Rounds of each scenario." default:"3"`
	Members    int           `help:"Members of the replica set: 1 or 3." default:"3"`
	CacheMB    int           `name:"cache-mb" help:"WiredTiger's cache of each member in MiB." default:"512"`
	MongoURI   string        `name:"mongo-uri" help:"A replica set that runs already; its database ganglion_routing is dropped."`

	Attempts   int           `help:"Saves that a server without routing tries for a command." default:"10"`
	Backoff    time.Duration `help:"Bound of the random pause after a first conflict, doubled by each further one." default:"5ms"`
	BackoffMax time.Duration `help:"Where the doubling ends." default:"250ms"`
	CacheTTL   time.Duration `name:"cache-ttl" help:"How long a server uses what it has in its cache." default:"1s"`

	JSON    string `name:"json" help:"Write the report as JSON to this file." placeholder:"FILE"`
	Publish string `help:"Root of the repository: write docs/why-routing.json and .svg, and the figures in docs/why-routing.md and README.md." placeholder:"DIR"`
	Merge   bool   `help:"With --publish: keep the published results of scenarios that this run leaves out."`
	Render  bool   `help:"With --publish: measure nothing, make chart and tables anew from docs/why-routing.json."`
}

func (f *flags) webapp() unrouted.Config {
	return unrouted.Config{Attempts: f.Attempts, Backoff: f.Backoff, BackoffMax: f.BackoffMax, CacheTTL: f.CacheTTL}
}

// Validate is called by kong.
func (f *flags) Validate() error {
	for _, w := range f.Ways {
		if !slices.ContainsFunc(ways(), func(known way) bool { return known.Name == w }) {
			return fmt.Errorf("--ways: %q is not known", w)
		}
	}
	for _, n := range slices.Concat(f.Servers, f.Aggregates, []int{f.InFlight, f.ReadEvery, f.Rounds}) {
		if n < 1 {
			return fmt.Errorf("%d: at least 1 is required", n)
		}
	}
	if f.Duration <= 0 || f.Warmup < 0 {
		return fmt.Errorf("--duration=%v --warmup=%v: positive times are required", f.Duration, f.Warmup)
	}
	if (f.Merge || f.Render) && f.Publish == "" {
		return fmt.Errorf("--merge and --render: of no use without --publish")
	}
	return nil
}

func main() {
	var f flags
	kong.Parse(&f, kong.Description("Measure what routing each aggregate to one owner is worth, against web servers without it."))
	// An interrupted run leaves nothing behind: it ends as a failed one does.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, &f)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "routing:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, f *flags) error {
	var r *report
	var err error
	if f.Render {
		r, err = readReport(publishedJSON(f.Publish))
	} else {
		r, err = measure(ctx, f)
	}
	if err != nil {
		return err
	}
	r.print(os.Stdout)
	if f.JSON != "" {
		if err := r.write(f.JSON); err != nil {
			return err
		}
	}
	if f.Publish == "" {
		return nil
	}
	if f.Merge && !f.Render {
		if err := r.merge(publishedJSON(f.Publish)); err != nil {
			return err
		}
	}
	return publish(f.Publish, r)
}
