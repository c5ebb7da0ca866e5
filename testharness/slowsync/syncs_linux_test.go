package slowsync_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/testharness/slowsync"
)

// envFile has the process of a test be one that syncs a file, as often as it is told.
const envFile = "SLOWSYNC_TEST_FILE"

func TestMain(m *testing.M) {
	switch {
	case slowsync.RunChild():
	case os.Getenv(envFile) != "":
		if err := write(os.Getenv(envFile)); err != nil {
			println(err.Error())
			os.Exit(1)
		}
	default:
		m.Run()
	}
}

// write syncs four times, in the ways that there are.
func write(file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	for range 2 {
		if err := f.Sync(); err != nil {
			return err
		}
	}
	if err := f.Close(); err != nil {
		return err
	}
	for _, flags := range []int{os.O_WRONLY | os.O_SYNC, os.O_RDWR | os.O_SYNC | os.O_TRUNC} {
		f, err := os.OpenFile(file, flags, 0o600)
		if err != nil {
			return err
		}
		if _, err := f.WriteString("x"); err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return nil
}

func TestSyncs_Delay(t *testing.T) {
	t.Parallel()
	const delay = 100 * time.Millisecond
	syncs := slowsync.New(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	binary, env := syncs.Command(t, self)
	run := func() time.Duration {
		file := filepath.Join(t.TempDir(), strconv.FormatInt(syncs.Held(), 10))
		cmd := exec.CommandContext(t.Context(), binary)
		cmd.Env = append(append(os.Environ(), env...), envFile+"="+file)
		begin := time.Now()
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		took := time.Since(begin)
		if data, err := os.ReadFile(file); err != nil || string(data) != "x" {
			t.Errorf("the file has %q, %v", data, err)
		}
		return took
	}
	if run(); syncs.Held() != 0 {
		t.Errorf("%d syncs were held without a delay", syncs.Held())
	}
	syncs.Delay(delay)
	if took := run(); took < 4*delay || syncs.Held() != 4 {
		t.Errorf("four syncs of %v took %v, and %d were held", delay, took, syncs.Held())
	}
}
