package load

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// errWrong ends a walk after an answer that has been counted as wrong.
var errWrong = errors.New("wrong answer")

// stepper makes the commands of one walk, each under a key of its own.
type stepper struct {
	client   *Client
	recorder *Recorder
	keys     func(step string) actor.CommandID
}

// step is a command with the refusals that are answers like any other.
type step struct {
	to      actor.Address
	name    string // of the intention, unique in its walk
	command any
	allowed []string // codes
}

// do makes a step. refused is the code of an allowed refusal.
func (s *stepper) do(ctx context.Context, st step) (refused string, err error) {
	began := time.Now()
	command := reflect.TypeOf(st.command).Name()
	_, err = s.client.Command(ctx, st.to, s.keys(st.name), command, st.command)
	s.recorder.command(time.Since(began))
	if err == nil {
		return "", nil
	}
	if r, ok := errors.AsType[*RefusalError](err); ok && slices.Contains(st.allowed, r.Code) {
		s.recorder.refused(r.Code)
		return r.Code, nil
	}
	s.recorder.fault(fmt.Sprintf("%s to %s: %v", command, st.to, err))
	return "", fmt.Errorf("%s to %s: %w: %w", command, st.to, errWrong, err)
}

// all makes steps one after another, up to the first wrong answer.
func (s *stepper) all(ctx context.Context, steps ...step) error {
	for _, st := range steps {
		if _, err := s.do(ctx, st); err != nil {
			return err
		}
	}
	return nil
}

// read reads a state; a failure counts as a wrong answer.
func (s *stepper) read(ctx context.Context, of actor.Address, into any) error {
	if err := s.client.State(ctx, of, into); err != nil {
		s.recorder.fault(fmt.Sprintf("read %s: %v", of, err))
		return fmt.Errorf("read %s: %w: %w", of, errWrong, err)
	}
	return nil
}

// missingFrom returns the answer that the aggregate has no history, if it was that.
func missingFrom(err error) (*RefusalError, bool) {
	r, ok := errors.AsType[*RefusalError](err)
	return r, ok && r.Status == http.StatusNotFound && actor.Code(r.Code) == actor.CodeDoesNotExist
}

// awaitPause is how long await waits before it reads again.
const awaitPause = 20 * time.Millisecond

// await reads a state until there is one that will do, for as long as a command may
// take to be resolved.
func (s *stepper) await(ctx context.Context, of actor.Address, into any, will func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, s.client.within, errUndecided)
	defer cancel()
	for {
		err := s.client.State(ctx, of, into)
		missing, isMissing := missingFrom(err)
		switch {
		case err == nil && will():
			return nil
		case isMissing:
			s.recorder.early(of.Kind, missing)
		case err != nil:
			s.recorder.fault(fmt.Sprintf("read %s: %v", of, err))
			return fmt.Errorf("read %s: %w: %w", of, errWrong, err)
		}
		pause := time.NewTimer(awaitPause)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			s.recorder.fault(fmt.Sprintf("%s did not come about: %v", of, context.Cause(ctx)))
			return fmt.Errorf("wait for %s: %w: %w", of, errWrong, context.Cause(ctx))
		}
	}
}
