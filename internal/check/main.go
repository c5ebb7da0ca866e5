package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"time"
)

// envSeed hands the seed of the fault run to the tests, and takes one back.
const envSeed = "GANGLION_SEED"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "check:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, args []string) error {
	flags := flag.NewFlagSet("check", flag.ContinueOnError)
	seed := flags.String("seed", os.Getenv(envSeed), "seed of the fault run; empty: a random one")
	examples := flags.String("examples", "", "how many requests of each kind step api makes, from the seed; empty: few, from its own")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *seed == "" {
		*seed = strconv.FormatUint(rand.Uint64N(1<<31), 10)
	}
	c := &checker{out: out, ci: os.Getenv("CI") != "", seed: *seed, examples: *examples}
	chosen, err := choose(c.steps(), flags.Args())
	if err != nil {
		return err
	}
	begin := time.Now()
	for _, s := range chosen {
		c.say("\n== %s: %s\n", s.name, s.about)
		start := time.Now()
		if err := s.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		c.say("== %s took %v\n", s.name, time.Since(start).Round(time.Millisecond))
	}
	c.say("\nAll %d steps passed in %v.\n", len(chosen), time.Since(begin).Round(time.Second))
	return nil
}

// choose returns the named steps in the order in which all of them run; those of no name are
// all but what is a part of another one.
func choose(all []step, names []string) ([]step, error) {
	if len(names) == 0 {
		return slices.DeleteFunc(all, func(s step) bool { return s.name == faultsAlone }), nil
	}
	var chosen []step
	for _, s := range all {
		if i := slices.Index(names, s.name); i >= 0 {
			chosen = append(chosen, s)
			names = slices.Delete(slices.Clone(names), i, i+1)
		}
	}
	if len(names) == 0 {
		return chosen, nil
	}
	known := make([]string, len(all))
	for i, s := range all {
		known[i] = s.name
	}
	return nil, fmt.Errorf("no step %s; there are %s", strings.Join(names, ", "), strings.Join(known, ", "))
}
