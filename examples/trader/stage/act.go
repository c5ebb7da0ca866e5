package stage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/ganglion-go/ganglion/examples/trader/stage/page"
)

const actMax = 40 * time.Second

// refused is why an action was not carried out.
type refusedError struct{ why string }

func (r *refusedError) Error() string { return r.why }

func refuse(format string, args ...any) error { return &refusedError{fmt.Sprintf(format, args...)} }

var errEnding = &refusedError{"The demonstration is about to end."}

// Act implements [page.Engine].
func (e *Engine) Act(ctx context.Context, name string, form url.Values) page.Outcome {
	target := form.Get("target")
	o := page.Outcome{Time: time.Now(), Action: name, Target: target}
	e.mu.Lock()
	life := e.life
	e.mu.Unlock()
	if life == nil {
		o.Text = errEnding.why
		return o
	}
	ctx, cancel := context.WithTimeout(ctx, actMax)
	defer cancel()
	text, err := e.act(ctx, name, target, form)
	o.Done, o.Text = err == nil, text
	if err != nil {
		o.Text = err.Error()
		if why, ok := errors.AsType[*refusedError](err); !ok {
			e.journal.note(kindWrong, "%s %s failed: %v", name, target, err)
		} else {
			o.Text = why.why
		}
	}
	e.mu.Lock()
	e.outcome = &o
	e.mu.Unlock()
	e.refresh(life)
	return o
}

// act carries an action out, unless it makes no sense.
func (e *Engine) act(ctx context.Context, name, target string, form url.Values) (string, error) {
	if !e.acting.TryLock() {
		return "", refuse("Another action is being carried out. Nothing was done.")
	}
	defer e.acting.Unlock()
	if why := e.lookedAt(ctx).why(name, target); why != "" {
		return "", refuse("%s", why)
	}
	return e.do(ctx, name, target, form)
}

func (e *Engine) do(ctx context.Context, name, target string, form url.Values) (string, error) {
	switch name {
	case page.ActLoad:
		rate, err := number(form, "rate", RateMax)
		if err != nil {
			return "", err
		}
		return e.startLoad(ctx, rate)
	case page.ActStop:
		e.trading.stop()
		e.journal.note(kindPlain, "the load is stopped")
		return "The load is stopped. What has begun is finished.", nil
	case page.ActKill, page.ActPause, page.ActCut, page.ActDrain, page.ActStepDown:
		return e.breakPart(ctx, name, target)
	case page.ActBack:
		return e.bringBack(target)
	case page.ActCheck:
		return e.startCheck()
	case page.ActAudit:
		return e.startAudit()
	case page.ActCompare:
		accounts, err := number(form, "accounts", AccountsMax)
		if err != nil {
			return "", err
		}
		return e.startComparison(accounts)
	case page.ActCompareStop:
		e.rivals.stop()
		return "The comparison is stopped.", nil
	case page.ActTour:
		return e.tour.act(ctx, e)
	case page.ActTourSkip:
		e.tour.skip(time.Now(), e.evidence.live())
		return "The step is skipped.", nil
	case page.ActTourAgain:
		e.tour.begin(time.Now(), e.evidence.live())
		return "The tour begins anew.", nil
	}
	return "", refuse("%s", whyUnknown)
}

// number reads a whole number from 1 on.
func number(form url.Values, field string, most int) (int, error) {
	n, err := strconv.Atoi(form.Get(field))
	if err != nil || n < 1 || n > most {
		return 0, refuse("The %s is a whole number from 1 to %d. Nothing was changed.", field, most)
	}
	return n, nil
}

func (e *Engine) startLoad(ctx context.Context, rate int) (string, error) {
	if err := e.follow(ctx); err != nil {
		return "", err
	}
	e.mu.Lock()
	owners := e.sample.owners
	e.mu.Unlock()
	e.evidence.beginWaitsOnce(time.Now(), owners)
	if !e.trading.start(rate) {
		return "", errEnding
	}
	orders := fmt.Sprintf("%d orders", rate)
	if rate == 1 {
		orders = "1 order"
	}
	e.journal.note(kindPlain, "users trade, %s a second", orders)
	return fmt.Sprintf("Users make %s a second, through the balancer to both web servers.", orders), nil
}

// breakPart breaks something, and has what follows be watched and checked.
func (e *Engine) breakPart(ctx context.Context, name, target string) (string, error) {
	f, err := e.newFault(ctx, name, target)
	if err != nil {
		return "", err
	}
	m := e.cfg.Machine
	switch name {
	case page.ActKill:
		err = m.Kill(target)
	case page.ActPause:
		e.bound(target)
		err = m.Pause(target)
	case page.ActCut:
		e.bound(target)
		err = m.Cut(target, true)
	case page.ActDrain:
		err = e.drain(ctx, target)
	case page.ActStepDown:
		err = e.set.stepDown(ctx)
	}
	if err != nil {
		return "", err
	}
	e.journal.note(kindFault, "%s", f.what)
	if !e.watchFault(f) {
		return "", errEnding
	}
	return f.say, nil
}

// bound has a pause or a cut end by itself.
func (e *Engine) bound(target string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.until[target] = time.Now().Add(FaultMax)
}

// drain asks a node to hand over and to end.
func (e *Engine) drain(ctx context.Context, target string) error {
	p := e.part(target)
	for _, n := range e.cfg.Nodes {
		if n.Name != target {
			continue
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, n.Admin+"/drain", nil)
		if err != nil {
			return err
		}
		answer, err := e.sampler.http.Do(r)
		if err != nil {
			return fmt.Errorf("drain %s: %w", target, err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusAccepted {
			return fmt.Errorf("drain %s: %w %s", target, errStatus, answer.Status)
		}
	}
	e.mu.Lock()
	e.drains[target] = p.PID
	e.mu.Unlock()
	return e.cfg.Machine.Expect(target)
}

// bringBack ends whatever keeps a part from its work.
func (e *Engine) bringBack(target string) (string, error) {
	p := e.part(target)
	e.restore(p, "brought back")
	if p.PID == 0 {
		if err := e.cfg.Machine.Start(target); err != nil {
			return "", err
		}
		e.journal.note(kindPlain, "%s starts again, brought back", target)
		return target + " starts again.", nil
	}
	return target + " is back.", nil
}
