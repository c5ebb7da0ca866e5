package actor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"time"
)

// Bounds of what a decision may ask of the world, and of what comes back.
const (
	MaxEffectName        = 64       // bytes of an effect's name
	MaxEffects           = 256      // that one aggregate has asked for and that are not over
	MaxEffectInputBytes  = 64 << 10 // bytes of the input of one effect, as JSON
	MaxEffectResultBytes = 64 << 10 // bytes of the result of one effect, as JSON
	MaxEffectErrorBytes  = 1 << 10  // bytes of the text of an error that is kept of an attempt
)

// EffectPolicy says how an effect is carried out. The zero value of each field means the
// default that its comment names.
type EffectPolicy struct {
	// Timeout bounds one attempt, up to 24 h: 30 s.
	Timeout time.Duration
	// FirstRetry is the pause after the first attempt that failed: 1 s. Each later pause
	// is Factor times the one before, up to MaxRetry.
	FirstRetry time.Duration
	MaxRetry   time.Duration // 5 min
	Factor     float64       // at least 1: 2
	// Jitter is the share of a pause by which chance makes it shorter or longer, up to 1;
	// less than 0: none. The default is 0.2.
	Jitter float64
	// GiveUpAfter is for how long after the beginning of its first attempt the effect is
	// tried: 24 h. The last attempt begins at its end, if nothing keeps it from that.
	GiveUpAfter time.Duration
	// MaxAttempts is after how many failed attempts the effect is given up; 0: only
	// GiveUpAfter counts. An attempt that a hand-over cut off has not failed.
	MaxAttempts int
	// Parallel is how many attempts of the effect one node makes at once: 16.
	Parallel int
}

// WithDefaults returns the policy with each default in its place.
func (p EffectPolicy) WithDefaults() EffectPolicy {
	orElse(&p.Timeout, 30*time.Second)
	orElse(&p.FirstRetry, time.Second)
	orElse(&p.MaxRetry, max(5*time.Minute, p.FirstRetry))
	orElse(&p.Factor, 2)
	orElse(&p.Jitter, 0.2)
	orElse(&p.GiveUpAfter, 24*time.Hour)
	orElse(&p.Parallel, 16)
	return p
}

func orElse[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

const (
	maxEffectTimeout  = 24 * time.Hour
	maxEffectGiveUp   = 10 * 365 * 24 * time.Hour
	maxEffectParallel = 10_000
)

// validate reports all faults at once.
func (p EffectPolicy) validate() error {
	var faults []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	fault(p.Timeout < 0 || p.Timeout > maxEffectTimeout, "timeout %v is not up to %v", p.Timeout, maxEffectTimeout)
	fault(p.FirstRetry < 0 || p.MaxRetry < 0 || p.MaxRetry > 0 && p.MaxRetry < p.FirstRetry, "retries after %v up to %v", p.FirstRetry, p.MaxRetry)
	fault(p.FirstRetry > maxEffectGiveUp || p.MaxRetry > maxEffectGiveUp, "retries after more than %v", maxEffectGiveUp)
	fault(math.IsNaN(p.Factor) || math.IsInf(p.Factor, 0) || p.Factor != 0 && p.Factor < 1, "factor %v is less than 1", p.Factor)
	fault(math.IsNaN(p.Jitter) || p.Jitter > 1, "jitter %v is more than 1", p.Jitter)
	fault(p.GiveUpAfter < 0 || p.GiveUpAfter > maxEffectGiveUp, "given up after %v, up to %v is allowed", p.GiveUpAfter, maxEffectGiveUp)
	fault(p.MaxAttempts < 0, "%d attempts", p.MaxAttempts)
	fault(p.Parallel < 0 || p.Parallel > maxEffectParallel, "%d attempts at once, up to %d are allowed", p.Parallel, maxEffectParallel)
	return errors.Join(faults...)
}

// Pause returns for how long to wait after so many failed attempts. random is a number
// of chance, from 0 to 1.
func (p EffectPolicy) Pause(failures int, random float64) time.Duration {
	p = p.WithDefaults()
	pause := min(float64(p.FirstRetry)*math.Pow(p.Factor, float64(max(failures-1, 0))), float64(p.MaxRetry))
	return max(time.Duration(pause*(1+max(p.Jitter, 0)*(2*random-1))), time.Millisecond)
}

// Effect is something that aggregates ask of the world outside: to charge a card, to
// send a mail. It is what decisions name ([Effect.Perform]); the code that carries it out
// is given to a node apart from it ([Effect.By]), with whatever that needs. It is
// immutable and may be shared.
type Effect[I, R any] struct {
	name   string
	policy EffectPolicy
}

// DefineEffect returns the definition of an effect with input I and result R. Its name
// has up to [MaxEffectName] ASCII letters, digits, '-', '_' and '.'; it is stored
// with what was asked for, and must not change while that is pending.
//
// It panics for an impossible name or policy, and when I or R does not survive being
// stored as JSON ([CheckJSON]): mistakes of the program, found at its start.
func DefineEffect[I, R any](name string, policy EffectPolicy) *Effect[I, R] {
	if !validName(name) || reserved(name) || len(name) > MaxEffectName {
		panic(fmt.Sprintf("actor: invalid name %q of an effect", name))
	}
	faults := policy.validate()
	for role, t := range map[string]reflect.Type{"input": reflect.TypeFor[I](), "result": reflect.TypeFor[R]()} {
		if err := CheckJSON(t); err != nil {
			faults = errors.Join(faults, fmt.Errorf("%s: %w", role, err))
		}
	}
	if faults != nil {
		panic(fmt.Sprintf("actor: effect %s: %v", name, faults))
	}
	return &Effect[I, R]{name: name, policy: policy.WithDefaults()}
}

// Name returns the effect's name.
func (e *Effect[I, R]) Name() string { return e.name }

// Call is what an attempt knows of itself.
type Call struct {
	// Key is the same for every attempt of what was asked for once, by whichever node,
	// and for nothing else: what the outside service is to know a repetition by. A UUID.
	Key string
	// Attempt is 1 for the first, and grows with each, also from one node to the next.
	Attempt  int
	Effect   string    // the effect's name
	Address  Address   // of the aggregate that asked
	Asked    time.Time // when it asked, by its owner's clock, in UTC
	Deadline time.Time // of this attempt: that of its context
	Metadata Metadata  // trace, correlation and user of the command that asked, which is the causation
}

// Final marks the error of an attempt as one that no other attempt will mend: the effect
// is given up. It returns nil for nil.
func Final(err error) error {
	if err == nil {
		return nil
	}
	return &finalError{err}
}

type finalError struct{ err error }

func (e *finalError) Error() string { return e.err.Error() }
func (e *finalError) Unwrap() error { return e.err }

// IsFinal reports whether an error is, or wraps, one that [Final] has marked.
func IsFinal(err error) bool {
	_, ok := errors.AsType[*finalError](err)
	return ok
}

// Performer is the code that carries an effect out, as a node takes it. It is safe for
// concurrent use if the handler is.
type Performer struct {
	name   string
	policy EffectPolicy
	run    func(ctx context.Context, call Call, input []byte) ([]byte, error)
}

// By returns what carries the effect out with a handler: a function, or, for one with
// dependencies, the method of a value that has them. The handler may do I/O and take its
// time; attempts of different aggregates run at once. It is to return soon once ctx
// ends: at the attempt's timeout, when the node loses or hands over the aggregate, and
// when it is shut down. An error, or a panic, fails the attempt, which is repeated as the
// policy says unless the error is [Final].
//
// An attempt may have been repeated while an earlier one still runs elsewhere, or after it
// succeeded and its result was lost: the outside service is to know that by
// [Call.Key].
func (e *Effect[I, R]) By(handler func(ctx context.Context, call Call, input I) (R, error)) *Performer {
	if handler == nil {
		panic(fmt.Sprintf("actor: effect %s is carried out by nil", e.name))
	}
	return &Performer{name: e.name, policy: e.policy, run: func(ctx context.Context, call Call, data []byte) ([]byte, error) {
		var input I
		if err := json.Unmarshal(data, &input); err != nil {
			return nil, fmt.Errorf("the input cannot be read by this build: %w", err)
		}
		result, err := handler(ctx, call, input)
		if err != nil {
			return nil, err
		}
		encoded, err := json.Marshal(result)
		switch {
		case err != nil:
			return nil, Final(fmt.Errorf("it was carried out, and its result cannot be encoded: %w", err))
		case len(encoded) > MaxEffectResultBytes:
			return nil, Final(fmt.Errorf("it was carried out, and its result has %d bytes, the limit is %d", len(encoded), MaxEffectResultBytes))
		case TooDeep(encoded):
			return nil, Final(errors.New("it was carried out, and " + tooDeep("its result")))
		}
		return encoded, nil
	}}
}

// Name returns the name of the effect that p carries out.
func (p *Performer) Name() string { return p.name }

// Policy returns how the effect is carried out, with its defaults.
func (p *Performer) Policy() EffectPolicy { return p.policy }

// Perform makes one attempt. The result is JSON. It panics as the handler does.
func (p *Performer) Perform(ctx context.Context, call Call, input []byte) (result []byte, err error) {
	return p.run(ctx, call, input)
}
