package testharness_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/mongod"
)

// envSkipChild makes TestMongo_WithoutBinary the test that has no mongod.
const envSkipChild = "GANGLION_TEST_WITHOUT_MONGOD"

// It runs itself in a process whose environment names a binary that is not there.
func TestMongo_WithoutBinary(t *testing.T) {
	t.Parallel()
	if os.Getenv(envSkipChild) != "" {
		testharness.Mongo(t, 1)
		return
	}
	tests := map[string]struct {
		ci, want string
		passes   bool
	}{
		"on a laptop": {ci: "", want: "--- SKIP: TestMongo_WithoutBinary", passes: true},
		"in CI":       {ci: "true", want: "--- FAIL: TestMongo_WithoutBinary", passes: false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestMongo_WithoutBinary$", "-test.v")
			cmd.Env = append(os.Environ(), envSkipChild+"=1", "CI="+test.ci, mongod.EnvBinary+"="+t.TempDir()+"/mongod")
			out, err := cmd.CombinedOutput()
			if (err == nil) != test.passes || !strings.Contains(string(out), test.want) {
				t.Errorf("%v, want %q:\n%s", err, test.want, out)
			}
			if !strings.Contains(string(out), mongod.EnvBinary+"=") {
				t.Errorf("the output does not say what was tried:\n%s", out)
			}
		})
	}
}
