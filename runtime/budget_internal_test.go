package runtime

import (
	"math"
	"testing"
	"testing/fstest"
)

func TestContainerLimit(t *testing.T) {
	t.Parallel()
	const (
		v2     = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
		v1     = "36 32 0:33 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n37 32 0:34 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
		inside = "36 32 0:33 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
		none   = int64(math.MaxInt64)
	)
	for name, c := range map[string]struct {
		mounts, groups string
		files          map[string]string
		want           int64
	}{
		"nothing can be read": {want: none},
		"v2":                  {v2, "0::/pod/app\n", map[string]string{"pod/app/memory.max": "536870912\n"}, 512 << 20},
		"v2, in a namespace":  {v2, "0::/\n", map[string]string{"memory.max": "1073741824\n"}, 1 << 30},
		"v2, no limit":        {v2, "0::/app\n", map[string]string{"app/memory.max": "max\n"}, none},
		"v2, of the parent":   {v2, "0::/pod/app\n", map[string]string{"pod/app/memory.max": "max\n", "pod/memory.max": "1000000\n"}, 1_000_000},
		"v2, the lowest":      {v2, "0::/pod/app\n", map[string]string{"pod/app/memory.max": "3000000\n", "pod/memory.max": "2000000\n"}, 2_000_000},
		"v1":                  {v1, "4:memory:/app\n3:cpu:/other\n", map[string]string{"memory/app/memory.limit_in_bytes": "268435456\n"}, 256 << 20},
		"v1, no limit":        {v1, "4:memory:/app\n", map[string]string{"memory/app/memory.limit_in_bytes": "9223372036854771712\n"}, none},
		"v1, with others":     {"36 32 0:33 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,cpu,memory\n", "4:cpu,memory:/app\n", map[string]string{"memory/app/memory.limit_in_bytes": "77\n"}, 77},
		"v1, in a container":  {inside, "4:memory:/docker/abc\n", map[string]string{"memory/memory.limit_in_bytes": "268435456\n"}, 256 << 20},
		"both":                {v1 + v2, "4:memory:/app\n0::/app\n", map[string]string{"memory/app/memory.limit_in_bytes": "5000\n"}, 5000},
		"nonsense":            {v2 + "\nx\n - \n", "0::/app\nfoo\n:::\n", map[string]string{"app/memory.max": "-5\n"}, none},
	} {
		root := fstest.MapFS{
			"proc/self/mountinfo": {Data: []byte(c.mounts)},
			"proc/self/cgroup":    {Data: []byte(c.groups)},
		}
		for at, data := range c.files {
			root["sys/fs/cgroup/"+at] = &fstest.MapFile{Data: []byte(data)}
		}
		if got := containerLimit(root); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
	if got := containerLimit(fstest.MapFS{}); got != none {
		t.Errorf("without a file: %d", got)
	}
}

func TestBudget_FollowsTheLimits(t *testing.T) {
	t.Parallel()
	const none = int64(math.MaxInt64)
	for _, c := range []struct{ goLimit, container, want int64 }{
		{none, none, 1 << 30},
		{3 << 30, none, 1 << 30},
		{none, 300 << 20, 100 << 20},
		{600 << 20, 300 << 20, 100 << 20},
		{150 << 20, 300 << 20, 50 << 20},
		{none, 30 << 30, 10 << 30},
		{1, none, 1 << 20},
	} {
		if got := budgetOf(c.goLimit, c.container); got != c.want {
			t.Errorf("GOMEMLIMIT %d, container %d: %d, want %d", c.goLimit, c.container, got, c.want)
		}
	}
	if got := (Config{}).withDefaults().MaxBytes; got != defaultBudget() {
		t.Errorf("the default is %d, not %d", got, defaultBudget())
	}
	if got := (Config{MaxBytes: 7}).withDefaults().MaxBytes; got != 7 {
		t.Errorf("what was configured became %d", got)
	}
}
