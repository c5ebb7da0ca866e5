package stage

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ganglion-go/ganglion/examples/trader/audit"
	"github.com/ganglion-go/ganglion/examples/trader/stage/page"
	"github.com/ganglion-go/ganglion/store"
)

// Bounds of checks.
const (
	checkMax   = 2 * time.Minute
	auditMax   = 10 * time.Minute
	auditQuiet = 2 * time.Second
	auditTries = 3 // a system that has just come to rest may have something left to do
	auditPause = 5 * time.Second
)

// follow has the evidence see every commit from now on. It begins once.
func (e *Engine) follow(ctx context.Context) error {
	e.mu.Lock()
	follows := e.follows
	e.mu.Unlock()
	if follows {
		return nil
	}
	s, err := e.opened(ctx)
	if err != nil {
		return err
	}
	from, err := s.Now(ctx)
	if err != nil {
		return fmt.Errorf("find the end of the store's feed: %w", err)
	}
	e.mu.Lock()
	e.follows = true
	e.mu.Unlock()
	if !e.begun(func(ctx context.Context) { e.followFrom(ctx, s, from) }) {
		return errEnding
	}
	return nil
}

const followPause = time.Second

// followFrom follows the feed, over interruptions. Where the store has forgotten the place,
// it goes on at the end: what was missed is looked up by the next check.
func (e *Engine) followFrom(ctx context.Context, s store.Store, from store.Token) {
	for ctx.Err() == nil {
		for item, err := range s.Follow(ctx, from) {
			if err != nil {
				e.journal.note(kindPlain, "the store's feed is interrupted: %v", err)
				if errors.Is(err, store.ErrTokenExpired) {
					if now, nowErr := s.Now(ctx); nowErr == nil {
						from = now
					}
				}
				break
			}
			from = item.Token
			if item.Unreadable != nil {
				e.evidence.takeUnreadable(&item.Commit, item.Unreadable)
				continue
			}
			e.evidence.take(&item.Commit)
		}
		e.await(ctx, followPause, func() bool { return false })
	}
}

// startCheck checks what was acknowledged.
func (e *Engine) startCheck() (string, error) {
	if !e.begun(func(ctx context.Context) { e.verify(ctx, "", false) }) {
		return "", errEnding
	}
	return "The store is compared with what users were told.", nil
}

// verify makes a check and says what it has found. after is the fault that it follows;
// empty: the one before, if any. It reports whether everything was right.
func (e *Engine) verify(ctx context.Context, after string, all bool) bool {
	e.checking.Lock()
	defer e.checking.Unlock()
	e.mu.Lock()
	before := e.verdict
	if after == "" {
		after = before.After
	}
	e.verdict.State = page.Checking
	e.mu.Unlock()
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, checkMax)
	defer cancel()
	f, err := e.check(ctx, all)
	v := page.Verdict{
		State: page.Right, Checked: time.Now(), Took: time.Since(began), After: after,
		Acknowledged: f.acknowledged, Stored: f.stored, Lost: f.lost, Doubled: f.doubled, Changed: f.changed, Broken: f.broken, Unknown: f.unknown,
		How: how(f, all), Audit: before.Audit, Audited: before.Audited,
	}
	v.LongestWait, v.Gaps = e.evidence.noticed(time.Now(), e.trading.running())
	switch {
	case err != nil:
		v.State, v.Problem = page.Failed, "The check could not be carried out, so that nothing is known: "+err.Error()
		v.Acknowledged, v.Stored, v.Lost, v.Doubled, v.Changed, v.Broken = before.Acknowledged, before.Stored, before.Lost, before.Doubled, before.Changed, before.Broken
		e.journal.note(kindWrong, "the check could not be carried out: %v", err)
	case !f.right():
		v.State, v.Problem = page.Wrong, strings.Join(f.examples, "\n")
		e.journal.note(kindWrong, "check: %d acknowledged, %s", f.acknowledged, f.faults())
	default:
		e.journal.note(kindRight, "check: %d acknowledged = %d stored, none lost, none doubled", f.acknowledged, f.stored)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.verdict = v
	return v.State == page.Right
}

// check sends commands of unknown outcome again and compares then.
func (e *Engine) check(ctx context.Context, all bool) (found, error) {
	s, err := e.opened(ctx)
	if err != nil {
		return found{}, err
	}
	e.resolve(ctx)
	return e.evidence.check(ctx, s, all)
}

// resolve sends commands whose outcome is unknown again, with their keys.
func (e *Engine) resolve(ctx context.Context) {
	some := e.evidence.open(resolveMost)
	if len(some) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, resolveMax)
	defer cancel()
	client := e.trading.client(resolveMax)
	defer client.Close()
	_ = each(ctx, some, func(ctx context.Context, r record) error {
		_, _ = client.Command(ctx, r.to, actorID(r.id), r.name, r.command) // the evidence knows
		return nil
	})
}

func how(f found, all bool) string {
	if all {
		return fmt.Sprintf("Each acknowledged command was looked for in the store by its id, in the feed of all commits; %d of them, all that are kept one by one, were read again at their place.", f.reread)
	}
	return fmt.Sprintf("Each acknowledged command was looked for in the store by its id, in the feed of all commits; the commits of %d were read again at their place.", f.reread)
}

// startAudit stops the load, waits for rest and checks everything.
func (e *Engine) startAudit() (string, error) {
	e.mu.Lock()
	e.auditing = true
	e.mu.Unlock()
	ok := e.begun(func(ctx context.Context) {
		defer func() {
			e.mu.Lock()
			e.auditing = false
			e.mu.Unlock()
		}()
		e.audit(ctx)
	})
	if !ok {
		return "", errEnding
	}
	return "The load is stopped. Once everything is at rest, all commits are read.", nil
}

// audit checks the domain's rules and every command, at rest.
func (e *Engine) audit(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, auditMax)
	defer cancel()
	e.mu.Lock()
	e.verdict.State = page.Checking
	e.mu.Unlock()
	unsettled := e.trading.settle(ctx)
	var text string
	var right bool
	for try := 1; ; try++ {
		text, right = e.auditOnce(ctx)
		if right || try == auditTries || !e.rest(ctx, auditPause) {
			break
		}
	}
	if right && unsettled != nil {
		text, right = "Not everything came to rest: "+unsettled.Error(), false
	}
	checked := e.verify(ctx, "", true)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.verdict.Audit, e.verdict.Audited = text, time.Now()
	if !right && checked {
		e.verdict.State, e.verdict.Problem = page.Wrong, text
	}
	if right && checked {
		e.tour.audited = time.Now()
	}
	kind := kindRight
	if !right {
		kind = kindWrong
	}
	e.journal.note(kind, "audit: %s", text)
}

// rest waits; false: ctx has ended.
func (e *Engine) rest(ctx context.Context, d time.Duration) bool {
	e.await(ctx, d, func() bool { return false })
	return ctx.Err() == nil
}

// auditOnce reads all commits once.
func (e *Engine) auditOnce(ctx context.Context) (text string, right bool) {
	s, err := e.opened(ctx)
	if err != nil {
		return "The audit could not be made: " + err.Error(), false
	}
	ledger, err := audit.Read(ctx, s, auditQuiet, e.evidence.see)
	if err != nil {
		return "The audit could not be made: " + err.Error(), false
	}
	violations := ledger.Check()
	sum := ledger.Summary()
	text = fmt.Sprintf("%d commits of %d portfolios, %d transactions and %d trades: every cent and every share is where it belongs.", ledger.Commits, sum.Portfolios, sum.Transactions, sum.Trades)
	if len(violations) > 0 {
		text = fmt.Sprintf("%d of the market's rules do not hold, the first: %v", len(violations), violations[0])
	}
	return text, len(violations) == 0
}
