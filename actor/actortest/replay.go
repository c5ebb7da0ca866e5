package actortest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/actor"
)

const (
	historySuffix = ".jsonl"
	stateSuffix   = ".state.json"
)

// recordedEvent is a line of a history, as the subcommand events of a node prints it.
type recordedEvent struct {
	Version actor.Version   `json:"version"`
	Type    string          `json:"type"`
	Data    json.RawMessage `json:"data"`
}

// replayed is what a history led to.
type replayed struct {
	Version actor.Version   `json:"version"`
	State   json.RawMessage `json:"state"`
}

// Replay checks that histories which were recorded where they are stored still lead to
// the states that they led to. Where [Golden] looks at one event after another, this
// looks at what handlers of earlier builds made of them together. Below dir there is one
// folder per kind, and in it one file NAME.jsonl for each history, as a node prints it:
//
//	node events account/a-1 > testdata/histories/account/busy.jsonl
//
// and beside it NAME.state.json with the version and the state after it. A history is
// complete, from version 1 on. Timers are no part of it. Replay fails when there is none.
//
// With [UpdateVariable] set, the states are written as they are now; the histories are
// never changed. A state that JSON cannot hold cannot be compared, and fails.
func Replay(t testing.TB, definition actor.Registrable, dir string) {
	t.Helper()
	behavior := definition.Behavior()
	dir = filepath.Join(dir, string(behavior.Kind()))
	histories, err := filepath.Glob(filepath.Join(dir, "*"+historySuffix))
	if err != nil || len(histories) == 0 {
		t.Fatalf("Replay: no history in %s: %v", dir, err)
	}
	for _, path := range histories {
		if err := replayFile(t, behavior, path); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// errNoState is a history without a recorded state.
var errNoState = errors.New("its state is not recorded; run with " + UpdateVariable + "=1 to write it, look at it, and commit it")

func replayFile(t testing.TB, behavior *actor.Behavior, path string) error {
	t.Helper()
	name := strings.TrimSuffix(filepath.Base(path), historySuffix)
	now, err := replay(behavior, name, path)
	if err != nil {
		return err
	}
	statePath := strings.TrimSuffix(path, historySuffix) + stateSuffix
	recorded, err := os.ReadFile(statePath)
	var was replayed
	switch {
	case errors.Is(err, fs.ErrNotExist) && !updating():
		return errNoState
	case err == nil:
		if err := json.Unmarshal(recorded, &was); err != nil {
			return fmt.Errorf("%s: %w", statePath, err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	diff := cmp.Diff(documentOf(was), documentOf(now))
	switch {
	case diff == "":
		return nil
	case !updating():
		return fmt.Errorf("it leads to another state (-recorded +now); if that is intended, run with %s=1:\n%s", UpdateVariable, diff) //nolint:err113 // for people
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(now); err != nil {
		return err
	}
	t.Logf("Replay: wrote %s", statePath)
	return os.WriteFile(statePath, out.Bytes(), 0o644)
}

// replay returns what a history leads to in this build.
func replay(behavior *actor.Behavior, name, path string) (replayed, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return replayed{}, err
	}
	instance := behavior.New(actor.Address{Kind: behavior.Kind(), ID: name})
	lines := json.NewDecoder(bufio.NewReader(bytes.NewReader(data)))
	for {
		var e recordedEvent
		if err := lines.Decode(&e); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return replayed{}, fmt.Errorf("after version %d: %w", instance.Version(), err)
		}
		if e.Version != instance.Version()+1 {
			return replayed{}, fmt.Errorf("version %d follows version %d", e.Version, instance.Version()) //nolint:err113 // for people
		}
		if err := instance.Replay(actor.Event{Name: e.Type, Data: e.Data}); err != nil {
			return replayed{}, err
		}
	}
	if instance.Version() == 0 {
		return replayed{}, errors.New("it has no event") //nolint:err113 // for people
	}
	state, err := instance.Snapshot()
	return replayed{Version: instance.Version(), State: state}, err
}
