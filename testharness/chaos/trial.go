package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/runtime"
)

// Trial says what [Run] does. Only Model is required.
type Trial[S comparable] struct {
	Model   Model[S]
	Cluster ClusterConfig
	Load    Load

	// Seed makes calls and faults. The same seed makes the same schedule; what comes
	// of it differs from run to run.
	Seed uint64

	// Duration is for how long things break: 30 s. Start, repair and check take
	// some 20 s more.
	Duration time.Duration

	// Plan are the faults. nil: what [Plan] makes of Seed and Duration, or
	// [PlanWithClocks] where answers are verified.
	Plan []Fault

	// Settled checks what holds over all aggregates, at the end and at rest.
	Settled func(h *History) error

	// Keep is the folder in which the evidence of a broken promise is left: a new
	// folder in it. Empty: the system's temporary directory.
	Keep string

	// Out gets the schedule and what happens. nil: nothing is written.
	Out io.Writer
}

const (
	defaultDuration = 30 * time.Second
	startTimeout    = 90 * time.Second
	recoverTimeout  = time.Minute
	createTimeout   = time.Minute
)

// Run starts a cluster, drives clients against it while it breaks, repairs it,
// waits until every node serves again, and checks what clients were told.
func Run[S comparable](ctx context.Context, t Trial[S]) (_ *Report, err error) {
	t = t.withDefaults()
	report := &Report{Seed: t.Seed, Duration: t.Duration}
	var log strings.Builder
	out := io.MultiWriter(t.Out, &log)
	_, _ = fmt.Fprintf(out, "seed %d, %v\n%s", t.Seed, t.Duration, Describe(t.Plan))

	starting, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	c, err := StartCluster(starting, t.Cluster)
	if err != nil {
		return nil, err
	}
	defer func() {
		if report != nil && len(report.Violations) > 0 {
			kept, keepErr := report.keep(t.Keep, log.String(), c)
			if report.Kept = kept; keepErr != nil {
				report.Violations = append(report.Violations, "not all of the evidence was kept: "+keepErr.Error())
			}
		}
		err = errors.Join(err, c.Close())
	}()
	r := NewRecorder(ctx, c, t.Model.Kind, t.Model.Next, t.Seed, t.Load)
	defer r.Close()
	if err := t.create(ctx, r); err != nil {
		return nil, err
	}
	stuck := t.breakUnderLoad(ctx, c, r, report, out)
	t.examine(ctx, c, r, report)
	if stuck != nil {
		report.Violations = append(report.Violations, stuck.Error())
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	_, _ = fmt.Fprintln(out, report)
	return report, nil
}

func (t Trial[S]) withDefaults() Trial[S] {
	t.Load = t.Load.withDefaults()
	if t.Duration == 0 {
		t.Duration = defaultDuration
	}
	switch {
	case t.Plan != nil:
	case t.Cluster.Answers == runtime.AnswersVerified:
		t.Plan = PlanWithClocks(t.Seed, t.Duration)
	default:
		t.Plan = Plan(t.Seed, t.Duration)
	}
	if t.Out == nil {
		t.Out = io.Discard
	}
	if t.Keep == "" {
		t.Keep = os.TempDir()
	}
	return t
}

// create makes the first call on each aggregate, while all is well.
func (t *Trial[S]) create(ctx context.Context, r *Recorder) error {
	if t.Model.Create.Command == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, createTimeout)
	defer cancel()
	for i, target := range r.Targets() {
		if op := r.Do(ctx, i%len(r.bases), target, t.Model.Create); op.Fate != FateDone {
			return fmt.Errorf("create: %s", op)
		}
	}
	return nil
}

// breakUnderLoad returns when all is healed and clients have stopped. The error
// is that the cluster does not serve again, which it has promised to.
func (t *Trial[S]) breakUnderLoad(ctx context.Context, c *Cluster, r *Recorder, report *Report, out io.Writer) error {
	var driving sync.WaitGroup
	driving.Go(r.Run)
	defer driving.Wait()
	defer r.Stop()
	done, err := c.Disturb(ctx, t.Plan, out)
	if report.Faults, report.Parked = done.Faults, len(done.Parked); err != nil {
		return err
	}
	serving, cancel := context.WithTimeout(ctx, recoverTimeout)
	defer cancel()
	for node := range c.Nodes {
		if op := r.Do(serving, node, r.Targets()[0], Call{}); op.Fate != FateDone {
			return fmt.Errorf("node %d does not serve after all was healed: %s\n%s", node, op, c.Nodes[node].Log())
		}
	}
	report.Recovery = time.Since(done.Ended)
	sleep(ctx, time.Second) // of load in peace
	return nil
}

// examine reads every aggregate once more, through different nodes, and then
// checks the record against the store.
func (t *Trial[S]) examine(ctx context.Context, c *Cluster, r *Recorder, report *Report) {
	violated := func(err error) {
		if err != nil {
			report.Violations = append(report.Violations, err.Error())
		}
	}
	settling, cancel := context.WithTimeout(ctx, recoverTimeout)
	defer cancel()
	var unsettled error
	for i, target := range r.Targets() {
		if unsettled = t.settle(settling, r, i%len(c.Nodes), target); unsettled != nil {
			break
		}
	}
	reading, cancel := context.WithTimeout(ctx, recoverTimeout)
	defer cancel()
	commits, err := c.Commits(reading, r.Targets())
	h := &History{Begin: r.begin, Operations: r.Operations(), Commits: commits}
	findings := &Findings{}
	if err == nil {
		findings = Check(&t.Model, h)
	}
	report.take(h, r, findings)
	violated(err)
	violated(unsettled)
	if t.Settled != nil && err == nil && unsettled == nil {
		violated(t.Settled(h))
	}
	report.Violations = append(report.Violations, c.Crashes()...)
}

// settle waits until the aggregate has decided on all that was left for it in the
// stream, by a command that comes after it there, and reads it.
func (t *Trial[S]) settle(ctx context.Context, r *Recorder, node int, target actor.Address) error {
	if t.Model.Create.Command != "" {
		if op := r.Do(ctx, node, target, t.Model.Create); op.Fate != FateDone && op.Fate != FateRefused {
			return fmt.Errorf("command at rest: %s", op)
		}
	}
	if op := r.Do(ctx, node, target, Call{}); op.Fate != FateDone {
		return fmt.Errorf("read at rest: %s", op)
	}
	return nil
}

// Crashes are signs in the nodes' logs of what must not happen to a process: a panic, a
// data race, a handler that does not return.
func (c *Cluster) Crashes() []string {
	var found []string
	for _, n := range c.Nodes {
		data, err := os.ReadFile(n.LogPath())
		if err != nil {
			found = append(found, err.Error())
			continue
		}
		for _, sign := range []string{"WARNING: DATA RACE", "\npanic:", "\nfatal error:", "a handler does not return"} {
			if i := strings.Index(string(data), sign); i >= 0 {
				found = append(found, fmt.Sprintf("node %d: %.2000s", n.Index(), string(data)[i:]))
			}
		}
	}
	return found
}

// LastState is the last state of an aggregate that a read has shown, for
// [Trial.Settled]: the reads at rest are the last of all. ok is false for an
// aggregate that no read has shown.
func (h *History) LastState(target actor.Address) (state json.RawMessage, ok bool) {
	var last *Operation
	for _, op := range h.Operations {
		if op.Target == target && op.IsRead() && op.Fate == FateDone && len(op.Answer) > 0 && (last == nil || op.Start > last.Start) {
			last = op
		}
	}
	if last == nil {
		return nil, false
	}
	return last.Answer, true
}

// RandomSeed returns a seed that was not used before.
func RandomSeed() uint64 { return rand.Uint64() >> 1 }
