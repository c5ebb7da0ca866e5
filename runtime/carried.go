package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/store"
)

// Earlier builds told a refusal before a commit held it, and left it to the next owner
// in the claim: see docs/adr/0012 and 0017. Whoever takes such a claim makes commits of
// what it carries before it serves the partition. The claim has it until then:
//
//	owner A, an earlier build        store               node B, this build
//	refuses X, saves the carry       X in the claim
//	tells so
//	-- dies --
//	                                                     takes the claim, with X
//	                                 X in a commit <---- appends it
//	                                                     serves the partition
//	                                 the claim is empty <-- saves the watermark
//
// Should B die in between, whoever comes next finds X in the claim and in a commit. An
// earlier build that takes the partition back finds X in the commit.

// carried is one outcome in a claim.
type carried struct {
	Address actor.Address `json:"to"`
	Outcome store.Outcome `json:"outcome"`
}

// recordCarried makes commits of what the claim carries. It fails when the store does
// not take them in time; the claim then still has them, and a later try goes on from
// there. A history may be long: time counts from its last commit that was read. What no
// store will ever take is given up: it must not keep the partition from being served.
func (p *partition) recordCarried() error {
	if p.claim.Carry == "" {
		return nil
	}
	ctx, w := watch(p.ctx, p.cfg.WriteTimeout)
	defer w.stop()
	var all []*carried
	if err := json.Unmarshal([]byte(p.claim.Carry), &all); err != nil {
		p.cfg.Logger.ErrorContext(ctx, "outcomes that an earlier build left in the claim cannot be read", "partition", uint32(p.id), "error", err)
		return nil
	}
	of := map[actor.Address][]store.Outcome{}
	for _, c := range all {
		if c != nil {
			of[c.Address] = append(of[c.Address], c.Outcome)
		}
	}
	for address, outcomes := range of {
		err := p.recordCarriedOf(ctx, store.Aggregate(address.String()), outcomes, w)
		switch {
		case errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrTooLarge):
			p.cfg.Logger.ErrorContext(ctx, "outcomes that an earlier build left in the claim cannot be recorded",
				"aggregate", address.String(), "outcomes", len(outcomes), "error", err)
		case err != nil:
			return fmt.Errorf("record outcomes of %s that an earlier build left in the claim: %w", address, err)
		}
	}
	p.cfg.Logger.InfoContext(ctx, "outcomes of an earlier build recorded", "partition", uint32(p.id), "outcomes", len(all))
	return nil
}

// recordCarriedOf appends a commit that holds outcomes of one aggregate, but for those
// that a commit holds. Another writer may be under way, as always: then it begins anew.
func (p *partition) recordCarriedOf(ctx context.Context, a store.Aggregate, outcomes []store.Outcome, w *watchdog) error {
	progress := w.progress
	for failures := 0; ; failures++ {
		c, err := p.carriedCommit(ctx, a, outcomes, progress)
		if err == nil && c != nil {
			err = p.store.Append(ctx, []store.Commit{*c})[0]
		}
		if err == nil || errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrTooLarge) {
			return err
		}
		progress = func() {} // to read the same again is none
		if pauseErr := pauseBackOff(ctx, failures); pauseErr != nil {
			return errors.Join(err, pauseErr)
		}
	}
}

// carriedCommit returns the commit, or nil when the history has all of it.
func (p *partition) carriedCommit(ctx context.Context, a store.Aggregate, outcomes []store.Outcome, progress func()) (*store.Commit, error) {
	recorded := map[string]bool{}
	c := store.Commit{Aggregate: a, First: 1, Partition: store.Partition(p.id)}
	for earlier, err := range p.store.Load(ctx, a, 0) {
		if err != nil {
			return nil, fmt.Errorf("load: %w", err)
		}
		progress()
		c.First, c.Position, c.Time = earlier.Last()+1, earlier.Position, earlier.Time
		for i := range earlier.Outcomes {
			recorded[earlier.Outcomes[i].CommandID] = true
		}
	}
	c.Outcomes = slices.DeleteFunc(slices.Clone(outcomes), func(o store.Outcome) bool { return recorded[o.CommandID] })
	if len(c.Outcomes) == 0 {
		return nil, nil
	}
	c.Time = p.hybrid.after(c.Time)
	c.Events = []store.Event{{Name: actor.EventOutcome, Data: []byte("{}")}}
	c.Outcomes[0].Events = 1
	for i := range c.Outcomes {
		c.Outcomes[i].Hidden = 1 // as far as is known
	}
	return &c, nil
}
