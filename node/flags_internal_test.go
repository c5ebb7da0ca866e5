package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/ganglion-go/ganglion/runtime"
)

// TestRun_FaultsOfFlags_AllAtOnce: every fault has its flag and its text as it was typed, and
// a zero that was typed is no default.
func TestRun_FaultsOfFlags_AllAtOnce(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	code := run([]string{
		"--name=a b", "--namespace=x.y", "--partitions=0", "--replicas=many", "--lease=0s", "--linger=-1s", "--nats-cut-after=0.5s",
		"--answers=maybe", "--schema-check=no", "--log-level=loud", "--log-format=xml", "--http-addr=here", "--allowed-hosts=a:1",
		"--nats-routes=h:1", "--mongo-uri=postgres://h", "--expose-internal=perhaps",
	}, &out, &out, Config{}, nil)
	if code != exitUsage {
		t.Errorf("exit status %d", code)
	}
	for _, want := range []string{
		`--name="a b": `, `--namespace="x.y": `, "--partitions=0: ", "--replicas=many: ", "--lease=0s: ", "--linger=-1s: ", "--nats-cut-after=0.5s: ",
		"--answers=maybe: ", "--schema-check=no: ", "--log-level=loud: ", "--log-format=xml: ", `--http-addr="here": `, "--allowed-hosts: ",
		"--nats-routes: of no use without --nats-cluster-addr", "--mongo-uri: ", "--expose-internal=perhaps: ",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("nothing of %q in\n%s", want, &out)
		}
	}
	if strings.Contains(out.String(), "Config.") {
		t.Errorf("fields are named where flags were given:\n%s", &out)
	}
}

// TestConfig_Numbers: what a Config made in Go can hold that no text can.
func TestConfig_Numbers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cfg  Config
		want string // empty: it is good
	}{
		"no partitions of a power":  {Config{Partitions: 3}, "Config.Partitions=3"},
		"too many partitions":       {Config{Partitions: math.MaxUint32}, "Config.Partitions=4294967295"},
		"negative replicas":         {Config{Replicas: -1}, "Config.Replicas=-1"},
		"many replicas":             {Config{Replicas: math.MaxInt}, "Config.Replicas="},
		"negative lease":            {Config{Lease: -1}, "Config.Lease=-1ns"},
		"endless lease":             {Config{Lease: math.MaxInt64}, "Config.Lease="},
		"no linger":                 {Config{Linger: -1}, ""},
		"negative beyond all":       {Config{Linger: math.MinInt64}, ""},
		"endless linger":            {Config{Linger: math.MaxInt64}, "Config.Linger="},
		"negative cut":              {Config{CutAfter: -time.Hour}, "Config.CutAfter=-1h0m0s"},
		"answers of another build":  {Config{Answers: runtime.Answers(7)}, "Config.Answers=7"},
		"negative cluster timeout":  {Config{ClusterTimeout: -1}, "Config.ClusterTimeout=-1ns"},
		"negative setup timeout":    {Config{SetupTimeout: -1}, "Config.SetupTimeout=-1ns"},
		"another check":             {Config{SchemaCheck: "maybe"}, "Config.SchemaCheck=maybe"},
		"another format":            {Config{LogFormat: "xml"}, "Config.LogFormat=xml"},
		"both on one address":       {Config{HTTPAddr: "127.0.0.1:1", AdminAddr: "127.0.0.1:1"}, "Config.HTTPAddr and Config.AdminAddr are both 127.0.0.1:1"},
		"a level between the names": {Config{LogLevel: slog.LevelInfo + 1}, ""},
		"empty hosts":               {Config{AllowedHosts: []string{"", " "}}, ""},
	} {
		s, err := c.cfg.check()
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.want != "" && (!errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: error %v, want one of %s", name, err, c.want)
		case c.want == "" && c.cfg.Linger < 0 && s.Linger != 0:
			t.Errorf("%s: linger %v, want none", name, s.Linger)
		}
	}
	s, err := Config{}.check()
	if err != nil || s.Lease != 3*time.Second || s.Linger != time.Second || s.CutAfter != 15*time.Second || s.Replicas != 1 || s.SetupTimeout != 2*time.Minute {
		t.Errorf("defaults %v %v %v %d %v, %v", s.Lease, s.Linger, s.CutAfter, s.Replicas, s.SetupTimeout, err)
	}
}

// parseFlags is what serve would be told.
func parseFlags(t *testing.T, base Config, args ...string) (settings, error) {
	t.Helper()
	var f flags
	parser, err := kong.New(&f, flagDefaults(base))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(args); err != nil {
		t.Fatal(err)
	}
	return f.check(base)
}

// TestFlags_Precedence: a flag, a variable, the program, the default; and what is empty says
// nothing.
func TestFlags_Precedence(t *testing.T) {
	for name, value := range map[string]string{
		"GANGLION_LEASE": "4s", "GANGLION_LINGER": "0s", "GANGLION_HTTP_ADDR": "", "GANGLION_DATA_DIR": "", "GANGLION_PARTITIONS": "",
		"GANGLION_EXPOSE_INTERNAL": "", "GANGLION_ANSWERS": "", "GANGLION_MONGO_URI": "mongodb://env", "GANGLION_ALLOWED_HOSTS": "a.example, b.example", "GANGLION_LOG_LEVEL": "info",
	} {
		t.Setenv(name, value)
	}
	base := Config{
		Lease: 5 * time.Second, Linger: 2 * time.Second, HTTPAddr: "127.0.0.1:9", Partitions: 16, Answers: runtime.AnswersVerified,
		MongoURIFile: "/nowhere", CutAfter: time.Minute, AllowedHosts: []string{"c.example"}, LogLevel: slog.LevelError, Replicas: 2, NATSURL: "nats://h",
	}
	s, err := parseFlags(t, base, "--lease=6s", "--replicas=5", "--nats-creds="+writeFile(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(s.Lease, s.Linger, s.CutAfter, s.HTTPAddr, s.AdminAddr, s.Partitions, s.Answers, s.MongoURI, s.MongoURIFile, s.AllowedHosts, s.LogLevel, s.Replicas, s.DataDir)
	want := fmt.Sprint(6*time.Second, time.Duration(0), time.Minute, "127.0.0.1:9", "127.0.0.1:8081", 16, runtime.AnswersVerified, "mongodb://env", "", []string{"a.example", " b.example"}, slog.LevelInfo, 5, "ganglion-data")
	if got != want {
		t.Errorf("settings %s, want %s", got, want)
	}
}

// TestFlags_NameTheirFields: each flag is of a field of Config, and faults name it.
func TestFlags_NameTheirFields(t *testing.T) {
	t.Parallel()
	var f flags
	parser, err := kong.New(&f, flagDefaults(Config{}))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, flag := range parser.Model.Flags {
		names["--"+flag.Name] = true
	}
	for _, field := range []string{"Name", "DataDir", "NATSURL", "NATSTLSCA", "MongoURIFile", "CutAfter", "SchemaCheck", "HTTPAddr"} {
		if !names[flagName(field)] {
			t.Errorf("%s is %s in faults, which is no flag", field, flagName(field))
		}
	}
	if got := flagName("SetupTimeout"); got != "Config.SetupTimeout" {
		t.Errorf("a field without a flag is %s", got)
	}
}

// greet is a subcommand of an application.
type greet struct {
	Whom string `arg:""`
	Loud bool
}

func (g *greet) Run(ctx context.Context, out io.Writer) error {
	if g.Whom == "nobody" {
		return fmt.Errorf("whom: %w", ErrConfig)
	}
	_, err := fmt.Fprintf(out, "hello %s %t %v", g.Whom, g.Loud, ctx.Err())
	return err
}

// idle is a subcommand without a Run.
type idle struct{}

// TestRun_OwnCommands: subcommands of the application beside the node's, and what cannot be
// one.
func TestRun_OwnCommands(t *testing.T) {
	t.Parallel()
	own := Config{Commands: []Command{{Name: "greet", Help: "Say hello.", Args: &greet{}}}}
	type flagsOf struct {
		Provider string `help:"URL of the provider." env:"HOTEL_PROVIDER"`
	}
	for name, c := range map[string]struct {
		cfg  Config
		args []string
		code int
		want string
	}{
		"it runs":         {own, []string{"greet", "ann", "--loud"}, exitOK, "hello ann true <nil>"},
		"it fails":        {own, []string{"greet", "nobody"}, exitUsage, "whom: "},
		"it is shown":     {own, []string{"--help"}, exitOK, "Say hello."},
		"a flag is shown": {Config{Flags: &flagsOf{}}, []string{"serve", "--help"}, exitOK, "URL of the provider"},
		"a name of ours":  {Config{Commands: []Command{{Name: "check-events", Args: &greet{}}}}, nil, exitUsage, `"check-events": there is another`},
		"a name twice":    {Config{Commands: []Command{own.Commands[0], own.Commands[0]}}, nil, exitUsage, `"greet": there is another`},
		"no name":         {Config{Commands: []Command{{Args: &greet{}}}}, nil, exitUsage, "a name has 1 to 64"},
		"no struct":       {Config{Commands: []Command{{Name: "greet", Args: greet{}}}}, nil, exitUsage, "is no pointer to a struct"},
		"nothing":         {Config{Commands: []Command{{Name: "greet"}}}, nil, exitUsage, "is no pointer to a struct"},
		"no Run":          {Config{Commands: []Command{{Name: "idle", Args: &idle{}}}}, nil, exitUsage, "no method Run"},
		"flags by value":  {Config{Flags: flagsOf{}}, nil, exitUsage, "Config.Flags: node.flagsOf is no pointer to a struct"},
		"flags of nil":    {Config{Flags: (*flagsOf)(nil)}, nil, exitUsage, "Config.Flags"},
		"a flag of ours":  {Config{Flags: &struct{ Lease int }{}}, nil, exitUsage, "duplicate flag --lease"},
		"help is ours": {Config{Flags: &struct {
			Help bool
		}{}}, nil, exitUsage, "--help and -h are taken"},
		"a variable of ours": {Config{Flags: &struct {
			Rent string `env:"GANGLION_LEASE"`
		}{}}, nil, exitUsage, "GANGLION_LEASE"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			if code := run(c.args, &out, &out, c.cfg, nil); code != c.code || !strings.Contains(out.String(), c.want) {
				t.Errorf("exit status %d, want %d, and %q in\n%s", code, c.code, c.want, &out)
			}
		})
	}
}

// TestRun_EmptyVariable_SaysNothing: whatever the type of the flag is, the application's own
// included.
func TestRun_EmptyVariable_SaysNothing(t *testing.T) {
	t.Setenv("HOTEL_WAIT", "")
	t.Setenv("GANGLION_URL", "")
	type wait struct {
		greet
		Wait time.Duration `default:"3s" env:"HOTEL_WAIT"`
	}
	own := &wait{}
	var out bytes.Buffer
	if code := run([]string{"wait", "ann"}, &out, &out, Config{Commands: []Command{{Name: "wait", Args: own}}}, nil); code != exitOK || own.Wait != 3*time.Second {
		t.Errorf("exit status %d, waits %v\n%s", code, own.Wait, &out)
	}
}

// TestFlags_ExposeInternal: what the program says can be taken back.
func TestFlags_ExposeInternal(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		base bool
		args []string
		want bool
	}{
		{false, nil, false},
		{true, nil, true},
		{false, []string{"--expose-internal"}, true},
		{true, []string{"--expose-internal=false"}, false},
	} {
		s, err := parseFlags(t, Config{ExposeInternal: c.base}, c.args...)
		if err != nil || s.ExposeInternal != c.want {
			t.Errorf("%v, %v: %v, %v", c.base, c.args, s.ExposeInternal, err)
		}
	}
}
