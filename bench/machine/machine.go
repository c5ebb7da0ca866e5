// Package machine names what a report was made on: the machine, and the versions of
// what was measured. What the system does not tell is "unknown". All functions are
// safe for concurrent use.
package machine

import (
	"os"
	goruntime "runtime"
	"runtime/debug"
	"strings"
)

const unknown = "unknown"

// Machine is the machine that a report was made on.
type Machine struct {
	OS     string `json:"os"`
	Arch   string `json:"arch"`
	CPUs   int    `json:"cpus"`
	Model  string `json:"model"`  // of the first processor
	Kernel string `json:"kernel"` // its release
}

// This returns the machine that runs the program.
func This() Machine {
	return Machine{OS: goruntime.GOOS, Arch: goruntime.GOARCH, CPUs: goruntime.NumCPU(), Model: model(), Kernel: kernel()}
}

// Versions returns those of Go, of the mongod that is named, and of the libraries
// that carry and store what is measured.
func Versions(mongod string) map[string]string {
	versions := map[string]string{"go": goruntime.Version(), "mongod": mongod}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if strings.Contains(m.Path, "nats-io/nats") || strings.Contains(m.Path, "mongo-driver") {
				versions[m.Path] = m.Version
			}
		}
	}
	return versions
}

func model() string {
	data, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return unknown
	}
	for line := range strings.Lines(string(data)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return strings.TrimSpace(strings.TrimLeft(name, "\t :"))
		}
	}
	return unknown
}

func kernel() string {
	out, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return unknown
	}
	return strings.TrimSpace(string(out))
}
