package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/term"

	"github.com/ganglion-go/ganglion/examples/trader/load"
)

// errWrong ends the program with 1: some answer was wrong.
var errWrong = errors.New("there were wrong answers")

const progressEvery = 200 * time.Millisecond

// loadCommand is the subcommand load.
type loadCommand struct {
	URLs           []string      `name:"url" default:"http://localhost:8080" help:"Of nodes, separated by commas. Each has its turn; where one does not answer, the next is asked."`
	Users          int           `default:"6" help:"Users; every other one begins with cash, the others with items."`
	Books          int           `default:"3" help:"Order books, each of a company of its own."`
	Clients        int           `default:"16" help:"Transactions at the same time."`
	Rate           float64       `default:"0" help:"Transactions per second; 0: as fast as the clients can."`
	Duration       time.Duration `default:"30s" help:"For how long transactions are started."`
	CancelShare    float64       `default:"0.1" help:"Share of the transactions that are cancelled, 0 to 1."`
	Lane           string        `default:"durable" enum:"durable,direct" help:"Lane of the commands: durable or direct."`
	Seed           uint64        `default:"1" help:"Of the random choices."`
	RequestTimeout time.Duration `default:"15s" help:"Of one attempt."`
	ResolveWithin  time.Duration `default:"60s" help:"For all attempts of one command together."`
	SettleWithin   time.Duration `default:"60s" help:"For which nothing may move, afterwards, before everything has come to rest."`
	SkipSeed       bool          `help:"Do not create users, companies, cash and items first."`
	Verify         bool          `default:"true" negatable:"" help:"Compare all cash and items before and after. Needs to be the only load."`
	Progress       bool          `default:"true" negatable:"" help:"Show progress when standard error is a terminal."`
}

func (c loadCommand) config() load.Config {
	return load.Config{
		URLs: c.URLs, Users: c.Users, Books: c.Books, Clients: c.Clients, Rate: c.Rate, Duration: c.Duration,
		CancelShare: c.CancelShare, Lane: c.Lane, Seed: c.Seed, RequestTimeout: c.RequestTimeout, ResolveWithin: c.ResolveWithin,
		SettleWithin: c.SettleWithin,
	}
}

// Run implements the subcommand.
func (c loadCommand) Run(ctx context.Context) error {
	stop, ok := ctx.Value(stopKey{}).(chan struct{})
	if !ok {
		stop = nil // nobody can ask
	}
	return c.run(ctx, stop, os.Stdout, c.bars())
}

func (c loadCommand) run(ctx context.Context, stop <-chan struct{}, out io.Writer, bars barMaker) error {
	cfg := c.config()
	if err := cfg.Validate(); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	recorder := load.NewRecorder()
	client := load.NewClient(cfg, recorder)
	defer client.Close()
	if !c.SkipSeed {
		hash, err := bcrypt.GenerateFromPassword([]byte("demo"), bcrypt.DefaultCost)
		if err != nil {
			return fmt.Errorf("hash the password of the demonstration users: %w", err)
		}
		cfg.PasswordHash = string(hash)
		bar := bars(cfg.Users+cfg.Books, "seed")
		if err := load.Seed(ctx, client, recorder, cfg, func(done, _ int) { _ = bar.Set(done) }); err != nil {
			return fmt.Errorf("seed: %w", err)
		}
		_ = bar.Finish()
		recorder = load.NewRecorder() // the figures are those of the load
		client = load.NewClient(cfg, recorder)
		defer client.Close()
	}
	began := time.Now()
	driver := load.NewDriver(cfg, client, recorder, began)
	took, err := c.drive(ctx, stop, driver, recorder, bars)
	if err != nil {
		return err
	}
	settling := time.Now()
	settled, unsettled := driver.Settle(ctx)
	rest := time.Since(settling)
	if c.Verify && unsettled == nil {
		driver.Verify(ctx, took.before)
	}
	if err := recorder.WriteReport(out, took.load); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if _, err := fmt.Fprintf(out, "at rest %.1f s later: %d closed, %d waiting for the market\n", rest.Seconds(), settled.Closed, settled.Live); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if recorder.Wrong() > 0 {
		return errWrong
	}
	return ctx.Err()
}

// driven is what there was before a load, and how long it took.
type driven struct {
	before load.Balance
	load   time.Duration
}

// drive runs the load, after a reading of what everybody owns.
func (c loadCommand) drive(ctx context.Context, stop <-chan struct{}, driver *load.Driver, recorder *load.Recorder, bars barMaker) (took driven, err error) {
	if c.Verify {
		if took.before, err = driver.Balance(ctx); err != nil {
			return took, fmt.Errorf("read what everybody owns: %w", err)
		}
	}
	began := time.Now()
	c.watch(recorder, bars, func() { driver.Run(ctx, stop) })
	took.load = time.Since(began)
	return took, nil
}

// watch shows progress while the load runs.
func (c loadCommand) watch(recorder *load.Recorder, bars barMaker, run func()) {
	bar := bars(int(c.Duration/progressEvery), "load")
	done := make(chan struct{})
	go func() {
		defer close(done)
		run()
	}()
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for {
		select {
		case <-done:
			_ = bar.Finish()
			return
		case <-tick.C:
			bar.Describe(fmt.Sprintf("%d transactions, %d wrong answers", recorder.Transactions(), recorder.Wrong()))
			_ = bar.Add(1)
		}
	}
}

type barMaker func(steps int, what string) *progressbar.ProgressBar

// bars returns bars on standard error; silent ones when nobody would see them.
func (c loadCommand) bars() barMaker {
	w := io.Writer(os.Stderr)
	if !c.Progress || !term.IsTerminal(int(os.Stderr.Fd())) {
		w = io.Discard
	}
	return func(steps int, what string) *progressbar.ProgressBar {
		return progressbar.NewOptions(max(steps, 1), progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(what),
			progressbar.OptionFullWidth(), progressbar.OptionSetPredictTime(true), progressbar.OptionShowCount(),
			progressbar.OptionOnCompletion(func() { _, _ = fmt.Fprintln(w) }))
	}
}
