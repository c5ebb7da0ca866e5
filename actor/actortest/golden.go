package actortest

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/actor"
)

// UpdateVariable is the environment variable that makes [Golden] write files
// when it is "1". A test binary that declares a boolean flag -update may use
// that instead.
const UpdateVariable = "ACTORTEST_UPDATE"

// goldenFile is one recorded event with what it meant when it was recorded.
type goldenFile struct {
	Name    string          `json:"name"`
	Data    json.RawMessage `json:"data"`
	Given   []goldenEvent   `json:"given,omitempty"` // history before it; written by hand where apply needs one
	Becomes goldenEvent     `json:"becomes"`         // in the present form
	State   json.RawMessage `json:"state,omitempty"` // after given and the event; absent where a state has no JSON
}

type goldenEvent struct {
	Name string          `json:"name"`
	Data json.RawMessage `json:"data"`
}

// Golden checks that events which earlier builds have stored can be read by
// this one and still mean the same. Below dir there is one folder per kind, and
// in it one file <event name>.json for every form of every event, older forms
// included. For each file it compares what upcasters make of the data, and the
// state after applying it, with what was recorded. It fails for a form of an
// event that has no file, and for a file that the definition cannot read.
//
// With [UpdateVariable] set, missing files of present events are written, from
// the sample of that type if there is one, else with every field filled in;
// and what existing files record as meaning is brought up to date. Their name,
// data and given are never changed: they are what is stored somewhere.
// A missing file of an older form must be taken from where it is stored.
func Golden(t testing.TB, definition actor.Registrable, dir string, samples ...any) {
	t.Helper()
	g := golden{t: t, behavior: definition.Behavior(), update: updating(), samples: map[reflect.Type]any{}}
	g.dir = filepath.Join(dir, string(g.behavior.Kind()))
	for _, sample := range samples {
		g.samples[reflect.TypeOf(sample)] = sample
	}
	recorded := g.list()
	for _, name := range recorded {
		g.check(name)
	}
	for form := range g.behavior.Events() {
		if !slices.Contains(recorded, form.Name) {
			g.missing(form)
		}
	}
}

type golden struct {
	t        testing.TB
	behavior *actor.Behavior
	dir      string
	update   bool
	samples  map[reflect.Type]any
}

func updating() bool {
	if os.Getenv(UpdateVariable) == "1" {
		return true
	}
	f := flag.Lookup("update")
	return f != nil && f.Value.String() == "true"
}

// list returns the names of the events that have a file.
func (g *golden) list() []string {
	g.t.Helper()
	entries, err := os.ReadDir(g.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		g.t.Fatalf("Golden: %v", err)
	}
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".json"); ok {
			names = append(names, name)
		}
	}
	return names
}

func (g *golden) path(name string) string { return filepath.Join(g.dir, name+".json") }

func (g *golden) check(name string) {
	g.t.Helper()
	data, err := os.ReadFile(g.path(name))
	if err != nil {
		g.t.Fatalf("Golden: %v", err)
	}
	var recorded goldenFile
	if err := json.Unmarshal(data, &recorded); err != nil {
		g.t.Errorf("%s: %v", g.path(name), err)
		return
	}
	if recorded.Name != name {
		g.t.Errorf("%s: records event %q", g.path(name), recorded.Name)
		return
	}
	present, err := g.read(recorded)
	if err != nil {
		g.t.Errorf("%s: %v", g.path(name), err)
		return
	}
	diff := cmp.Diff(documentOf(recorded), documentOf(present))
	switch {
	case diff == "":
	case g.update:
		g.write(present)
	default:
		g.t.Errorf("%s: an old event means something else now (-recorded +now); if that is intended, run with %s=1:\n%s",
			g.path(name), UpdateVariable, diff)
	}
}

// read returns the file as this build would record it.
func (g *golden) read(f goldenFile) (goldenFile, error) {
	value, err := g.behavior.Decode(actor.Event{Name: f.Name, Data: f.Data})
	if err != nil {
		return f, err
	}
	present, err := g.behavior.Encode(value)
	if err != nil {
		return f, err
	}
	f.Becomes = goldenEvent{Name: present.Name, Data: present.Data}
	instance := g.behavior.New(actor.Address{Kind: g.behavior.Kind(), ID: "golden"})
	for _, e := range append(slices.Clone(f.Given), goldenEvent{Name: f.Name, Data: f.Data}) {
		if err := instance.Replay(e.stored()); err != nil {
			return f, fmt.Errorf("%w\n(does apply need earlier events? write them into \"given\")", err)
		}
	}
	f.State = nil
	if state, err := instance.Snapshot(); err == nil {
		f.State = state
	}
	return f, nil
}

func (e goldenEvent) stored() actor.Event { return actor.Event{Name: e.Name, Data: e.Data} }

func (g *golden) missing(form actor.EventInfo) {
	g.t.Helper()
	switch {
	case form.Becomes != form.Name:
		g.t.Errorf("%s: no golden file for the older form %s; record one from where it is stored", g.path(form.Name), form.Name)
		return
	case !g.update:
		g.t.Errorf("%s: no golden file for event %s; run with %s=1 to write it, and commit it", g.path(form.Name), form.Name, UpdateVariable)
		return
	}
	value, ok := g.samples[form.Stored]
	if !ok {
		value = sample(form.Stored)
	}
	e, err := g.behavior.Encode(value)
	if err != nil {
		g.t.Errorf("%s: %v", g.path(form.Name), err)
		return
	}
	f := goldenFile{Name: e.Name, Data: e.Data}
	present, err := g.read(f)
	if err != nil {
		g.t.Errorf("%s: %v", g.path(form.Name), err)
		present = f // kept, so that "given" can be written into it
	}
	g.write(present)
}

func (g *golden) write(f goldenFile) {
	g.t.Helper()
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetIndent("", "  ")
	if f.Becomes.Data == nil {
		f.Becomes = goldenEvent{Name: f.Name, Data: f.Data}
	}
	if err := encoder.Encode(f); err != nil {
		g.t.Fatalf("Golden: encode %s: %v", f.Name, err)
	}
	if err := os.MkdirAll(g.dir, 0o755); err != nil {
		g.t.Fatalf("Golden: %v", err)
	}
	if err := os.WriteFile(g.path(f.Name), out.Bytes(), 0o644); err != nil {
		g.t.Fatalf("Golden: %v", err)
	}
	g.t.Logf("Golden: wrote %s", g.path(f.Name))
}
