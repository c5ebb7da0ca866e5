package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/node/internal/redact"
)

// Exit codes of [Main].
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// shutdownTimeout bounds a shutdown in order, see handOverTimeout.
const shutdownTimeout = 30 * time.Second

// commandLine is what the process can be told to do.
type commandLine struct {
	Serve      serveCommand      `cmd:"" default:"withargs" help:"Serve aggregates (the default)."`
	Status     statusCommand     `cmd:"" help:"Show the members of a running cluster."`
	Partitions partitionsCommand `cmd:"" help:"Show who owns which partition."`
	Drain      drainCommand      `cmd:"" help:"Let a node finish, hand back its partitions and stop."`
	Events     eventsCommand     `cmd:"" help:"Show the events of an aggregate, as lines of JSON."`
	Inspect    inspectCommand    `cmd:"" help:"Show the state of an aggregate: of now, of a version or time, or what has changed."`
	List       listCommand       `cmd:"" help:"Show the ids of the aggregates of a kind."`
	Parked     parkedCommand     `cmd:"" help:"Show, retry and skip commands and events that were parked because they failed."`

	ReplaceMember replaceMemberCommand `cmd:"" help:"Of nodes with a NATS server each: give the replicas of a node that is gone for good to the others."`

	CheckEvents checkEventsCommand `cmd:"" help:"Read the whole store, and show what this binary cannot decode. Exit code 1: there is some."`

	Effects     effectsCommand     `cmd:"" help:"Show and operate what aggregates have asked of the world."`
	Projections projectionsCommand `cmd:"" help:"Show and operate projections, sagas' and policies' routers included."`
}

// Main is the whole main function of a node that serves the given definitions.
// It reads flags and GANGLION_ environment variables, and exits the process: 0
// after an orderly end, 1 after a failure, 2 when the configuration is wrong.
func Main(definitions ...actor.Registrable) { MainWith(Config{}, definitions...) }

// MainWith is [Main] with what cfg says. Flags come first, then variables, then cfg, then
// the documented defaults. A flag or variable that is empty says nothing.
func MainWith(cfg Config, definitions ...actor.Registrable) {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr, cfg, definitions))
}

func run(args []string, stdout, stderr io.Writer, cfg Config, definitions []actor.Registrable) int {
	line := commandLine{Serve: serveCommand{base: cfg}, CheckEvents: checkEventsCommand{base: cfg}}
	exited := -1
	own, err := cfg.ownCommands(&line)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, err)
		return exitUsage
	}
	ctx, stop := context.WithCancel(context.Background()) //nolint:forbidigo // the root of the process
	defer stop()
	parser, err := kong.New(&line, append(own,
		kong.Description("A node of a Ganglion cluster."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exited = code }),
		kong.UsageOnError(),
		flagDefaults(cfg),
		kong.Bind(definitions),
		kong.BindTo(stdout, (*io.Writer)(nil)),
		kong.BindSingletonProvider(func() context.Context { return untilSignal(ctx) }),
	)...)
	if err == nil {
		err = checkFlags(parser.Model)
	}
	if err != nil { // a mistake in the declarations above, or in those of cfg
		_, _ = fmt.Fprintf(stderr, "node: Config.Flags or Config.Commands: %v\n", err)
		return exitUsage
	}
	passOverEmpty(parser.Model)
	command, err := parser.Parse(args)
	switch {
	case exited >= 0: // --help
		return exited
	case err != nil:
		_, _ = fmt.Fprintf(stderr, "%s\nRun with --help for the flags.\n", redact.URLs(err.Error()))
		return exitUsage
	}
	switch err := command.Run(); {
	case err == nil:
		return exitOK
	case errors.Is(err, ErrConfig):
		_, _ = fmt.Fprintln(stderr, redact.URLs(err.Error()))
		return exitUsage
	default:
		_, _ = fmt.Fprintln(stderr, redact.URLs(err.Error()))
		return exitFailed
	}
}

type serveCommand struct {
	flags
	Own  kong.Plugins `embed:""` // the application's flags
	base Config       // what no flag and no variable says
}

// Run serves until a signal comes, or the node cannot go on.
func (c *serveCommand) Run(definitions []actor.Registrable) error {
	s, err := c.check(c.base)
	if err != nil {
		return err
	}
	return serve(context.Background(), s, definitions) //nolint:forbidigo // the root of the process
}

func serve(ctx context.Context, s settings, definitions []actor.Registrable) error {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)
	// A terminal that closes, or a habit of other servers, is no reason to end; nor is a
	// log that goes into a pipe which nobody reads any more.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP, syscall.SIGPIPE)
	defer signal.Stop(hangups)

	opening, opened := context.WithCancelCause(ctx)
	stopOpening := make(chan struct{})
	go func() { // a signal while the node is still connecting
		select {
		case s := <-signals:
			opened(&signalError{s})
			signals <- s
		case <-stopOpening:
		}
	}()
	n, err := open(opening, s, definitions)
	close(stopOpening)
	defer opened(nil)
	if _, asked := errors.AsType[*signalError](err); asked {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = n.Close() }()

	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	select {
	case err := <-ended:
		return err
	case s := <-signals:
		n.cfg.Logger.InfoContext(ctx, "shutting down, a second signal stops at once", "signal", s.String())
	case <-n.Drained():
		n.cfg.Logger.InfoContext(ctx, "draining, a signal stops at once")
	}
	return n.end(ctx, signals, ended)
}

// signalError is the cause of the end of a start that a signal ended.
type signalError struct{ signal os.Signal }

// Error returns the signal.
func (e *signalError) Error() string { return "ended by a signal: " + e.signal.String() }

// broken returns why the start ends at a step. What fails after a signal has asked for the
// end fails for that.
func (n *Node) broken(ctx context.Context, what string, err error) error {
	err = n.cfg.hide.Error(err)
	asked, ok := errors.AsType[*signalError](context.Cause(ctx))
	if !ok {
		return err
	}
	log := n.cfg.Logger
	if _, said := errors.AsType[*signalError](err); !said && !errors.Is(err, context.Canceled) {
		log = log.With("error", err)
	}
	log.InfoContext(context.WithoutCancel(ctx), "has ended before it served, as a signal asked for", "signal", asked.signal.String(), "while_it", what)
	return errors.Join(asked, err)
}

// end shuts down in order; a signal cuts that short.
func (n *Node) end(ctx context.Context, signals <-chan os.Signal, ended <-chan error) error {
	ctx, cancel := context.WithTimeout(ctx, shutdownTimeout)
	defer cancel()
	begin, down := time.Now(), make(chan error, 1)
	go func() { down <- n.Shutdown(ctx) }()
	select {
	case err := <-down:
		err = errors.Join(err, <-ended)
		if err != nil {
			n.cfg.Logger.ErrorContext(context.WithoutCancel(ctx), "has ended, but not in order", "after", since(begin), "error", err)
			return err
		}
		n.cfg.Logger.InfoContext(context.WithoutCancel(ctx), "has ended in order", "after", since(begin))
		return nil
	case s := <-signals:
		n.cfg.Logger.WarnContext(ctx, "stopping at once", "signal", s.String())
		cancel()
		_ = n.Close()
		<-down
		return <-ended
	}
}
