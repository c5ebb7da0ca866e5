package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Bounds of the demonstration at rest.
const (
	memoryMax = 3 << 30 // bytes
	coresMax  = 0.5
)

// clockTicks are those of a second in /proc/PID/stat, on all that Linux runs on.
const clockTicks = 100

// footprint measures what processes take while nobody wants anything of them.
func footprint(t *testing.T, rest time.Duration, pids []int) {
	t.Helper()
	slices.Sort(pids)
	pids = slices.Compact(pids)
	began, before := time.Now(), map[int]float64{}
	for _, pid := range pids {
		before[pid] = cpuSeconds(t, pid)
	}
	select {
	case <-time.After(rest):
	case <-t.Context().Done():
	}
	took := time.Since(began).Seconds()
	memory, cores := 0, 0.0
	for _, pid := range pids {
		pss, cpu := pssOf(t, pid), (cpuSeconds(t, pid)-before[pid])/took
		t.Logf("%8.1f MiB  %.3f cores  %s", float64(pss)/(1<<20), cpu, commandOf(pid))
		memory, cores = memory+pss, cores+cpu
	}
	t.Logf("%8.1f MiB  %.3f cores  in all, of %d processes", float64(memory)/(1<<20), cores, len(pids))
	if memory > memoryMax || cores > coresMax {
		t.Errorf("more than %d bytes or %v cores", memoryMax, coresMax)
	}
}

func procFile(t *testing.T, pid int, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func cpuSeconds(t *testing.T, pid int) float64 {
	t.Helper()
	_, rest, _ := strings.Cut(procFile(t, pid, "stat"), ") ")
	fields := strings.Fields(rest) // from the third on
	ticks := 0
	for _, at := range []int{11, 12} {
		n, err := strconv.Atoi(fields[at])
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return float64(ticks) / clockTicks
}

func pssOf(t *testing.T, pid int) int {
	t.Helper()
	for line := range strings.Lines(procFile(t, pid, "smaps_rollup")) {
		var kB int
		if n, err := fmt.Sscanf(line, "Pss: %d kB", &kB); n == 1 && err == nil {
			return kB << 10
		}
	}
	t.Fatalf("%d has no memory", pid)
	return 0
}

func commandOf(pid int) string {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	if err != nil {
		return "gone"
	}
	args := strings.Split(string(text), "\x00")
	return strings.Join(args[:min(3, len(args))], " ")
}
