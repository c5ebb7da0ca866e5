package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"reflect"
	"regexp"
	"slices"
	"syscall"

	"github.com/alecthomas/kong"
)

// Command is a subcommand of an application, beside the node's own.
type Command struct {
	Name string // as it is typed: lower-case letters, digits and '-'
	Help string // one line of --help
	// Args is a pointer to a struct. Its fields are the flags and arguments of the
	// subcommand, by the tags of package kong, and its method Run does the work. Run may
	// have parameters of the types context.Context, which ends with SIGTERM or SIGINT,
	// and io.Writer, which is standard output. An error of Run that wraps [ErrConfig]
	// ends the process with status 2, another one with 1.
	Args any
}

var commandPattern = regexp.MustCompile(`^[a-z][a-z0-9-]{0,63}$`)

// ownCommands adds the application's flags to the command line, and returns its
// subcommands, or all faults of the two.
func (c *Config) ownCommands(line *commandLine) (own []kong.Option, err error) {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf(format+": %w", append(args, ErrConfig)...))
	}
	if c.Flags != nil {
		checkOwn(fault, "Config.Flags", c.Flags)
		line.Serve.Own = kong.Plugins{c.Flags}
	}
	for _, command := range c.Commands {
		what := fmt.Sprintf("Config.Commands: %q", command.Name)
		if !commandPattern.MatchString(command.Name) {
			fault("%s: a name has 1 to 64 lower-case letters, digits and '-'", what)
		}
		if checkOwn(fault, what, command.Args) {
			if _, ok := reflect.TypeOf(command.Args).MethodByName("Run"); !ok {
				fault("%s: %T has no method Run", what, command.Args)
			}
			own = append(own, kong.DynamicCommand(command.Name, command.Help, "", command.Args))
		}
	}
	return own, errors.Join(faults...)
}

// checkOwn reports whether args can hold flags: it is a pointer to a struct.
func checkOwn(fault faultFunc, what string, args any) bool {
	v := reflect.ValueOf(args)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		fault("%s: %T is no pointer to a struct", what, args)
		return false
	}
	return true
}

// What kong does not find.
var (
	errVariable = errors.New("two flags have one variable")
	errHelp     = errors.New("--help and -h are taken")
	errCommand  = errors.New("there is another subcommand of that name")
)

// checkFlags finds two subcommands of one name, an environment variable that sets two flags
// of one subcommand, and a flag that hides --help.
func checkFlags(model *kong.Application) error {
	commands := map[string]bool{}
	for _, command := range model.Children {
		if commands[command.Name] {
			return fmt.Errorf("%q: %w", command.Name, errCommand)
		}
		commands[command.Name] = true
		seen := map[string]string{}
		for _, f := range command.Flags {
			if f.Name == "help" || f.Short == 'h' || slices.Contains(f.Aliases, "help") {
				return fmt.Errorf("subcommand %s: %w", command.Name, errHelp)
			}
			for _, env := range f.Tag.Envs {
				if other := seen[env]; other != "" {
					return fmt.Errorf("--%s and --%s, %s: %w", other, f.Name, env, errVariable)
				}
				seen[env] = f.Name
			}
		}
	}
	return nil
}

// passOverEmpty has variables that are set and empty say nothing, whatever the type of
// their flag.
func passOverEmpty(model *kong.Application) {
	for _, command := range model.Children {
		for _, f := range command.Flags {
			f.Tag.Envs = slices.DeleteFunc(f.Tag.Envs, func(env string) bool {
				text, ok := os.LookupEnv(env)
				return ok && text == ""
			})
		}
	}
}

// untilSignal returns a context that ends with a signal, for a subcommand. A second signal
// ends the process, as ever.
func untilSignal(ctx context.Context) context.Context {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	context.AfterFunc(ctx, stop)
	return ctx
}
