package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	goruntime "runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ganglion-go/ganglion/internal/chromium"
	"github.com/ganglion-go/ganglion/testharness/mongod"
)

// step is one thing that must hold.
type step struct {
	name, about string
	run         func(context.Context) error
}

type checker struct {
	out  io.Writer
	ci   bool
	seed string

	examples string // of schemathesis; empty: a short run from its own seed
}

// faultTests are those that take a seed from step faults: random faults, and random walks
// beside a model.
const faultTests = "_(Faults|Kill9|MongoUnknownOutcomes|Model)"

// childWait is how long a child's children may keep its output open after it.
const childWait = 10 * time.Second

func (c *checker) steps() []step {
	return []step{
		{"format", "gofmt and go fix have nothing to change", c.format},
		{"vet", "go vet", c.vet},
		{"build", "all packages", c.build},
		{"modules", "the other modules of this repository build", c.modules},
		{"lint", "golangci-lint; the first run builds it, which takes minutes", c.lint},
		{"api", "the HTTP API against the document that it serves (schemathesis), and a client made from that (ogen)", c.api},
		{"test", "all tests of all modules, with the race detector and a real mongod; seed of random faults " + c.seedAndHow(), c.test},
		{faultsAlone, "the tests with random faults alone, seed " + c.seedAndHow(), c.faults},
	}
}

// faultsAlone is a part of step test, for those who name it.
const faultsAlone = "faults"

func (c *checker) seedAndHow() string { return c.seed + " (" + envSeed + "=" + c.seed + " repeats it)" }

func (c *checker) format(ctx context.Context) error {
	gofmt, err := c.output(ctx, "go", "env", "GOROOT")
	if err != nil {
		return err
	}
	unformatted, err := c.output(ctx, filepath.Join(gofmt, "bin", "gofmt"), "-l", ".")
	if err != nil {
		return err
	}
	if unformatted != "" {
		return fmt.Errorf("gofmt -w %s", strings.ReplaceAll(unformatted, "\n", " "))
	}
	// That fix changes the JSON that comes out, which a form under test may not want.
	return c.goCommand(ctx, "fix", "-omitzero=false", "-diff", "./...")
}

func (c *checker) vet(ctx context.Context) error { return c.goCommand(ctx, "vet", "./...") }

func (c *checker) build(ctx context.Context) error { return c.goCommand(ctx, "build", "./...") }

// modules builds and vets, tests included, the modules beside the main one. The
// one of tools has no package.
func (c *checker) modules(ctx context.Context) error {
	dirs, err := moduleDirs(".")
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		c.say("%s\n", dir)
		if err := c.goCommand(ctx, "-C", dir, "build", "./..."); err != nil {
			return err
		}
		if err := c.goCommand(ctx, "-C", dir, "vet", "./..."); err != nil {
			return err
		}
	}
	return nil
}

func moduleDirs(root string) (dirs []string, err error) {
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "tools"):
			return filepath.SkipDir
		case d.Name() == "go.mod" && filepath.Dir(path) != root:
			dirs = append(dirs, filepath.Dir(path))
		}
		return nil
	})
	return dirs, err
}

// lint runs in each module: a pattern of packages does not cross their borders.
// Its cache belongs to this checkout: findings are kept with the path in which
// they were made, and a shared cache answers for another checkout with that
// one's paths, to which the exclusions by path do not apply.
func (c *checker) lint(ctx context.Context) error {
	dirs, err := moduleDirs(".")
	if err != nil {
		return err
	}
	cache, err := filepath.Abs(filepath.Join("bin", "lint-cache"))
	if err != nil {
		return err
	}
	for _, dir := range append([]string{"."}, dirs...) {
		up, err := filepath.Rel(dir, ".")
		if err != nil {
			return err
		}
		cmd := c.child(ctx, "go", "-C", dir, "tool", "-modfile="+filepath.Join(up, "tools", "go.mod"),
			"golangci-lint", "run", "--allow-serial-runners", "--config="+filepath.Join(up, ".golangci.yml"), "./...")
		cmd.Env = append(os.Environ(), "GOLANGCI_LINT_CACHE="+cache)
		cmd.Stdout = c.out
		if err := cmd.Run(); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) test(ctx context.Context) error {
	env, err := c.mongod(ctx)
	if err != nil {
		return err
	}
	browser, err := c.chromium(ctx)
	if err != nil {
		return err
	}
	race, err := c.raceFlag(ctx)
	if err != nil {
		return err
	}
	env = append(env, envSeed+"="+c.seed)
	args := append(append([]string{"test", "-json", "-timeout=45m", sideBySide()}, quicker()...), race...)
	if err := c.goTest(ctx, env, append(append(args, longest()...), "./...")...); err != nil {
		return err
	}
	dirs, err := moduleDirs(".")
	if err != nil {
		return err
	}
	return c.atOnce(len(dirs), func(one *checker, i int) error {
		one.say("%s\n", dirs[i])
		return one.goTest(ctx, slices.Concat(env, browser), append(append([]string{"-C", dirs[i]}, args...), "./...")...)
	})
}

// atOnce does so many things side by side, and then says what each has said.
func (c *checker) atOnce(n int, do func(one *checker, i int) error) error {
	said, errs := make([]bytes.Buffer, n), make([]error, n)
	var doing sync.WaitGroup
	for i := range n {
		one := *c
		one.out = &said[i]
		doing.Go(func() { errs[i] = do(&one, i) })
	}
	doing.Wait()
	for i := range n {
		c.say("%s", said[i].Bytes())
	}
	return errors.Join(errs...)
}

// sideBySide is how many tests of a package run at once, half as many again as there are
// processors: most of them wait, for leases and elections. More packages at once than processors
// would take longer: what waits there looks every few milliseconds whether it has come.
func sideBySide() string { return fmt.Sprintf("-parallel=%d", (3*goruntime.NumCPU()+1)/2) }

// longest are the packages that begin first, as nothing would run beside them in the end. The
// first one mostly waits, the others compute.
func longest() []string {
	return []string{"./node", "./runtime", "./store/mongo", "./store/jetstream", "./examples/trader", "./testharness/chaos"}
}

// quicker leaves out what takes minutes over all packages and shows nothing here: vet, which
// is a step, and what debuggers read. Stacks and reports of races have their lines all the same.
func quicker() []string { return []string{"-vet=off", "-gcflags=all=-dwarf=false", "-ldflags=-s -w"} }

// faults runs the tests that take a seed under one that is told, never from the
// cache.
func (c *checker) faults(ctx context.Context) error {
	env, err := c.mongod(ctx)
	if err != nil {
		return err
	}
	race, err := c.raceFlag(ctx)
	if err != nil {
		return err
	}
	packages, err := faultPackages(".")
	if err != nil {
		return err
	}
	args := append(append([]string{"test", "-json", "-timeout=10m", "-count=1", "-run=" + faultTests}, quicker()...), race...)
	return c.goTest(ctx, append(env, envSeed+"="+c.seed), append(args, packages...)...)
}

// faultPackages lists the packages of the main module that have such tests. The others
// would be linked with the race detector, seconds each, to run nothing.
func faultPackages(root string) (packages []string, err error) {
	test := regexp.MustCompile(`(?m)^func Test\w*` + faultTests + `\w*\(`)
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && isOther(path, d):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil || !test.Match(text) {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		if dir = "./" + filepath.ToSlash(dir); err == nil && !slices.Contains(packages, dir) {
			packages = append(packages, dir)
		}
		return err
	})
	if err == nil && len(packages) == 0 {
		err = errors.New("no test takes a seed")
	}
	return packages, err
}

// isOther reports whether a folder is no part of the main module: hidden, of test data, or
// another module.
func isOther(path string, d fs.DirEntry) bool {
	if strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" {
		return true
	}
	_, err := os.Stat(filepath.Join(path, "go.mod"))
	return err == nil
}

// mongod finds or fetches the server before the tests do, so that the progress
// of a download is seen, and names it to them.
func (c *checker) mongod(ctx context.Context) (env []string, err error) {
	binary, err := mongod.Find(ctx, c.out)
	switch {
	case err == nil:
		return []string{mongod.EnvBinary + "=" + binary}, nil
	case c.ci || !errors.Is(err, mongod.ErrNotFound):
		return nil, err
	default:
		c.say("NO MONGOD, the tests that need one are skipped: %v\n", err)
		return nil, nil
	}
}

// chromium finds or installs the browser before the tests do, so that the progress is seen,
// and names it to them.
func (c *checker) chromium(ctx context.Context) (env []string, err error) {
	binary, err := chromium.Find(ctx, c.out)
	switch {
	case err == nil:
		return []string{chromium.EnvBinary + "=" + binary}, nil
	case c.ci || !errors.Is(err, chromium.ErrNotFound):
		return nil, err
	default:
		c.say("NO CHROMIUM, the tests that need one are skipped: %v\n", err)
		return nil, nil
	}
}

// raceFlag is empty where the race detector cannot be linked: it needs cgo.
func (c *checker) raceFlag(ctx context.Context) ([]string, error) {
	cgo, err := c.output(ctx, "go", "env", "CGO_ENABLED")
	switch {
	case err != nil:
		return nil, err
	case cgo == "1":
		return []string{"-race"}, nil
	case c.ci:
		return nil, errors.New("the race detector needs cgo and a C compiler")
	default:
		c.say("NO RACE DETECTOR: it needs cgo and a C compiler\n")
		return nil, nil
	}
}

// goTest runs go test -json and shows what go test alone would show.
func (c *checker) goTest(ctx context.Context, env []string, args ...string) error {
	cmd := c.child(ctx, "go", args...)
	cmd.Env = append(os.Environ(), env...)
	events, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	results, readErr := readResults(events, c.out)
	waitErr := cmd.Wait()
	c.say("%s", results.summary())
	return errors.Join(results.verdict(c.ci), readErr, waitErr)
}

// say writes what is for people. A report that cannot be written changes no result.
func (c *checker) say(format string, args ...any) { _, _ = fmt.Fprintf(c.out, format, args...) }

func (c *checker) goCommand(ctx context.Context, args ...string) error {
	cmd := c.child(ctx, "go", args...)
	cmd.Stdout = c.out
	return cmd.Run()
}

func (c *checker) output(ctx context.Context, name string, args ...string) (string, error) {
	out, err := c.child(ctx, name, args...).Output()
	return string(bytes.TrimSpace(out)), err
}

func (c *checker) child(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = childWait
	cmd.Stderr = os.Stderr
	return cmd
}
