// Command bench measures Ganglion against raw MongoDB inserts, in one run, on
// one replica set. Absolute figures belong to the machine; the ratios are what
// it is for.
//
// Every scenario runs in several rounds, and the rounds of all scenarios take
// turns, so that a slow minute of the machine falls on all of them; the median
// of the rounds counts, of a ratio that of each round's.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"time"

	"github.com/alecthomas/kong"
)

type flags struct {
	Duration time.Duration  `help:"Length of one round of one scenario." default:"4s"`
	Warmup   time.Duration  `help:"Unmeasured start of each round." default:"1s"`
	Rounds   int            `help:"Rounds of each scenario." default:"5"`
	Members  int            `help:"Members of the replica set: 1 or 3." default:"3"`
	CacheMB  int            `name:"cache-mb" help:"WiredTiger's cache of each member in MiB. Too small a one makes both sides measure eviction." default:"1024"`
	MongoURI string         `name:"mongo-uri" help:"A replica set that runs already; its databases ganglion_bench* are dropped."`
	Only     *regexp.Regexp `help:"Run only scenarios whose name this regular expression matches. Ratios that lack a side are left out."`
	Answers  string         `help:"What lets our node answer: lease or verified." enum:"lease,verified" default:"lease"`
	JSON     string         `name:"json" help:"Also write the report as JSON to this file." placeholder:"FILE"`
	Profile  string         `help:"Write a CPU profile of our scenarios to this file." placeholder:"FILE"`
}

func main() {
	var f flags
	kong.Parse(&f, kong.Description("Measure Ganglion against raw MongoDB inserts on the same replica set."))
	if err := run(context.Background(), f); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, f flags) error {
	env, err := open(ctx, f)
	if err != nil {
		return err
	}
	defer env.close(ctx)
	report, err := measure(ctx, f, env, scenarios(env))
	if err != nil {
		return err
	}
	report.print(os.Stdout)
	if f.JSON == "" {
		return nil
	}
	data, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(f.JSON, append(data, '\n'), 0o600)
}
