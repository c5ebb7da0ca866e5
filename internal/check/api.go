package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// api is a program whose HTTP API is tried against the document that it serves.
type api struct {
	name  string
	pkg   string
	flags []string
	kind  string    // of aggregates, which its views follow
	seed  []request // what there is before it is tried, under ids and keys of seeded in config.toml

	tokens bool    // it asks for tokens, and is shown one of its staff
	beside *beside // nil: it needs nothing
}

// beside is a subcommand that serves what the program itself asks, at an address.
type beside struct {
	args []string // a flag --addr is added
	flag string   // of the program, for the URL
}

func apis() []api {
	return []api{
		{name: "trader", pkg: "./cmd/node", flags: []string{"--partitions=4"}, kind: "portfolio", seed: []request{
			{"/v1/company/seed/CreateCompany", `{"name":"Seed","value":1000,"shares":10000}`},
			{"/v1/user/seed/RegisterUser", `{"name":"Seed","username":"seed","passwordHash":"$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA"}`},
			{"/v1/portfolio/seed", ""},
			{"/v1/portfolio/seed/DepositCash", `{"amount":1000000}`},
			{"/v1/orderbook/seed", ""},
			{"/v1/portfolio/seed/AddItems", `{"orderBookId":"seed","count":1000}`},
			{"/v1/transaction/seed/StartBuyTransaction", `{"orderBookId":"seed","portfolioId":"seed","count":1,"price":10}`},
			{"/v1/views/market/books/seed", ""},
			{"/v1/views/portfolios/portfolios/seed", ""},
		}},
		{
			name: "hotel", pkg: "./examples/hotel", flags: []string{"--partitions=4"}, kind: "booking", tokens: true,
			seed: []request{
				{"/v1/room/seed/OpenRoom", `{"name":"Garden","cents":12000}`},
				{"/v1/guest/seed/RegisterGuest", `{"name":"Ann","email":"ann@example.com"}`},
				{"/v1/booking/seed/RequestBooking", `{"room":"seed","from":"2026-12-24","nights":2}`},
				{"/v1/views/calendar/nights/seed%202026-12-24", ""},
				{"/v1/views/stays/bookings/seed%20seed", ""},
			},
			beside: &beside{[]string{"provider", "--delay=0s", "--failing=0"}, "--payments-url"},
		},
	}
}

const (
	// shortExamples is how many requests of each kind a short run makes, from one seed.
	shortExamples, shortSeed = "4", "12"

	apiReadyWithin = 2 * time.Minute
	apiPoll        = 200 * time.Millisecond
)

// api starts each program, makes a client from the document that it serves, and has
// schemathesis look for requests whose answers are not what the document says. All side by
// side, as each waits for an answer most of the time; what they say comes one after the other.
func (c *checker) api(ctx context.Context) error {
	python, err := c.schemathesis(ctx)
	if err != nil {
		return err
	}
	all := apis()
	return c.atOnce(len(all), func(one *checker, i int) error {
		one.say("%s\n", all[i].name)
		if err := one.tryAPI(ctx, &all[i], python); err != nil {
			return fmt.Errorf("%s: %w", all[i].name, err)
		}
		return nil
	})
}

func (c *checker) tryAPI(ctx context.Context, a *api, schemathesis string) (err error) {
	dir, err := os.MkdirTemp("", "ganglion-api-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	serving, stop := context.WithCancel(ctx)
	s := &served{log: filepath.Join(dir, "log")}
	defer func() {
		stop()
		s.awaitEnd()
		if err != nil {
			text, _ := os.ReadFile(s.log)
			c.say("%s", text[max(0, len(text)-16<<10):])
		}
	}()
	if err := c.serve(serving, s, a, dir); err != nil {
		return err
	}
	document, err := s.ask(ctx, request{path: documentPath})
	if err != nil {
		return err
	}
	if err := c.generateClient(ctx, filepath.Join(dir, "client"), document); err != nil {
		return err
	}
	if schemathesis == "" {
		return nil
	}
	for _, r := range a.seed {
		if _, err := s.ask(ctx, r); err != nil {
			return err
		}
	}
	return c.fuzz(ctx, schemathesis, dir, a, s)
}

// generateClient has ogen make a client from a document, and compiles it. What ogen does
// not know how to make is an error. The client's module is tools/openapi.
func (c *checker) generateClient(ctx context.Context, dir string, document []byte) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	for _, name := range []string{"go.mod", "go.sum", "ogen.yml"} {
		data, err := os.ReadFile(filepath.Join("tools", "openapi", name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "openapi.json"), document, 0o600); err != nil {
		return err
	}
	generate := c.child(ctx, "go", "-C", dir, "tool", "ogen", "--target=.", "--package=client", "--config=ogen.yml", "openapi.json")
	if out, err := capture(generate); err != nil {
		return fmt.Errorf("generate a client: %w\n%s", err, out)
	}
	if files, err := filepath.Glob(filepath.Join(dir, "*_client_gen.go")); err != nil || len(files) == 0 {
		return fmt.Errorf("no client was generated: %w", err)
	}
	return c.goCommand(ctx, "-C", dir, "vet", "./...")
}

// capture runs a command that says much when nothing is wrong.
func capture(cmd *exec.Cmd) ([]byte, error) {
	cmd.Stderr = nil
	return cmd.CombinedOutput()
}

// schemathesis installs it, once for each version of its requirements, and returns its
// path, or "" where there is no Python to run it.
func (c *checker) schemathesis(ctx context.Context) (string, error) {
	requirements := filepath.Join("internal", "check", "schemathesis", "requirements.txt")
	text, err := os.ReadFile(requirements)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	dir, err := filepath.Abs(filepath.Join("bin", "schemathesis-"+hex.EncodeToString(sum[:4])))
	if err != nil {
		return "", err
	}
	binary, done := filepath.Join(dir, "bin", "schemathesis"), filepath.Join(dir, "installed")
	if _, err := os.Stat(done); err == nil {
		return binary, nil
	}
	if _, err := exec.LookPath("python3"); err != nil {
		if c.ci {
			return "", fmt.Errorf("schemathesis needs Python: %w", err)
		}
		c.say("NO PYTHON, the API is not tried: %v\n", err)
		return "", nil
	}
	for _, args := range [][]string{
		{"python3", "-m", "venv", "--clear", dir},
		{filepath.Join(dir, "bin", "pip"), "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r", requirements},
	} {
		if err := c.child(ctx, args[0], args[1:]...).Run(); err != nil {
			return "", fmt.Errorf("%s: %w", filepath.Base(args[0]), err)
		}
	}
	return binary, os.WriteFile(done, nil, 0o600)
}

// fuzz sends requests that the document allows, and such that it forbids, and compares
// the answers with it.
func (c *checker) fuzz(ctx context.Context, schemathesis, dir string, a *api, s *served) error {
	settings, err := filepath.Abs(filepath.Join("internal", "check", "schemathesis"))
	if err != nil {
		return err
	}
	examples, seed := shortExamples, shortSeed
	if c.examples != "" {
		examples, seed = c.examples, c.seed
		c.say("%s examples, seed %s (%s=%s repeats it)\n", examples, seed, envSeed, seed)
	}
	args := []string{
		"--config-file=" + filepath.Join(settings, "config.toml"), "run", "--no-color", "--generation-database=none",
		"--max-examples=" + examples, "--seed=" + seed,
	}
	if s.token != "" {
		args = append(args, "--header=Authorization: Bearer "+s.token)
	}
	cmd := c.child(ctx, schemathesis, append(args, s.url+documentPath)...)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+settings, "PYTHONDONTWRITEBYTECODE=1", "SCHEMATHESIS_HOOKS=hooks", "API_KIND="+a.kind)
	cmd.Dir, cmd.Stdout = dir, c.out
	return cmd.Run()
}
