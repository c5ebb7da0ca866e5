package runtime

import (
	"bufio"
	"bytes"
	"io/fs"
	"math"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
)

// The default of Config.MaxBytes. The collector lets the heap grow to twice what lives,
// and there is more in a process than aggregates.
const (
	budgetShare     = 3       // of a limit of memory, one part in so many
	budgetUnlimited = 1 << 30 // without any
)

// defaultBudget is a share of the lower one of GOMEMLIMIT and the container's limit.
func defaultBudget() int64 {
	return budgetOf(debug.SetMemoryLimit(-1), containerLimit(os.DirFS("/")))
}

// budgetOf takes limits that are math.MaxInt64 if there is none.
func budgetOf(goLimit, container int64) int64 {
	limit := min(goLimit, container)
	if limit == math.MaxInt64 {
		return budgetUnlimited
	}
	return max(limit/budgetShare, 1<<20)
}

// unlimitedAbove is less than what cgroup v1 says for "no limit".
const unlimitedAbove = math.MaxInt64 / 2

// containerLimit returns the limit of memory of the process's control group, of version
// 1 or 2, or of a group above it, whichever is lowest; math.MaxInt64 when there is none,
// or none that can be read.
func containerLimit(root fs.FS) int64 {
	limit := int64(math.MaxInt64)
	groups := lines(root, "proc/self/cgroup")
	for _, mount := range lines(root, "proc/self/mountinfo") {
		m, ok := parseMount(mount)
		if !ok {
			continue
		}
		for _, group := range groups {
			if of, isOf := m.group(group); isOf {
				limit = min(limit, m.lowest(root, of))
			}
		}
	}
	return limit
}

// cgroupMount is where the file system shows control groups that limit memory.
type cgroupMount struct {
	point string // without the leading slash
	root  string // the group that is shown there
	file  string // with the limit of a group
}

// parseMount reads a line of mountinfo: ID PARENT DEV ROOT POINT OPTIONS [TAGS] - TYPE
// SOURCE SUPEROPTIONS. ok is false unless control groups that limit memory are there.
func parseMount(line string) (m cgroupMount, ok bool) {
	before, after, found := strings.Cut(line, " - ")
	where, what := strings.Fields(before), strings.Fields(after)
	if !found || len(where) < 5 || len(what) < 3 {
		return m, false
	}
	m.root, m.point = where[3], strings.TrimPrefix(where[4], "/")
	switch {
	case what[0] == "cgroup2":
		m.file = "memory.max"
	case what[0] == "cgroup" && strings.Contains(","+what[2]+",", ",memory,"):
		m.file = "memory.limit_in_bytes"
	default:
		return m, false
	}
	return m, true
}

// group returns the path below the mount of a group, as a line of proc/self/cgroup names
// it, ID:CONTROLLERS:PATH. In a container, what is shown may begin at the group itself.
func (m *cgroupMount) group(line string) (below string, ok bool) {
	parts := strings.SplitN(line, ":", 3)
	if len(parts) < 3 {
		return "", false
	}
	if m.file == "memory.max" {
		ok = parts[1] == ""
	} else {
		ok = strings.Contains(","+parts[1]+",", ",memory,")
	}
	below = parts[2]
	if m.root != "/" {
		below = strings.TrimPrefix(below, m.root)
	}
	return path.Clean("/" + below), ok
}

// lowest returns the lowest limit of a group and those above it.
func (m *cgroupMount) lowest(root fs.FS, group string) int64 {
	limit := int64(math.MaxInt64)
	for {
		limit = min(limit, readLimit(root, path.Join(m.point, group, m.file)))
		if group == "/" {
			return limit
		}
		group = path.Dir(group)
	}
}

func readLimit(root fs.FS, name string) int64 {
	data, err := fs.ReadFile(root, name)
	if err != nil {
		return math.MaxInt64
	}
	n, err := strconv.ParseInt(string(bytes.TrimSpace(data)), 10, 64)
	if err != nil || n <= 0 || n > unlimitedAbove { // "max" for one
		return math.MaxInt64
	}
	return n
}

func lines(root fs.FS, name string) []string {
	data, err := fs.ReadFile(root, name)
	if err != nil {
		return nil
	}
	var all []string
	for s := bufio.NewScanner(bytes.NewReader(data)); s.Scan(); {
		all = append(all, s.Text())
	}
	return all
}
