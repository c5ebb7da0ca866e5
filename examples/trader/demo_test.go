package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/internal/testenv"
	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// TestDemo runs the demonstration as separate processes: its page is there, from both web
// servers. While users trade, the stage breaks something, and its check finds every
// acknowledged command in the store; of one that the test stores once more it says that it is
// doubled, of one that the test takes out of MongoDB that it is lost, and of one whose answer
// the test changes there that it is changed. Once the launcher is killed, as by kill -9, none of
// its processes is left.
//
// GANGLION_STAGE_FAULTS breaks that many things, at random by GANGLION_SEED, and ends the
// launcher in order then; GANGLION_STAGE_STORE=mongo has the store be MongoDB.
// GANGLION_FOOTPRINT has it rest for that long instead, and measures what it takes.
func TestDemo(t *testing.T) {
	t.Parallel()
	store := os.Getenv("GANGLION_STAGE_STORE")
	if store == "" {
		store = "jetstream"
	}
	data := filepath.Join(t.TempDir(), "demo")
	launcher := exec.Command(nodes.Build(t, "."), "--store="+store, "--data="+data, "--port="+freePort(t))
	launcher.Stderr = os.Stderr
	out, err := launcher.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := launcher.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			logTails(t, data)
		}
		_ = launcher.Process.Kill()
		_ = launcher.Wait()
	})
	began := time.Now()
	d := readDemo(t, out)
	t.Logf("there is a page after %v", time.Since(began))
	if want := map[string]int{"jetstream": 6, "mongo": 9}[store]; len(d.pids) != want {
		t.Fatalf("processes: %v", d.pids)
	}
	served := map[string]bool{}
	for range 4 {
		page := getPage(t, d.market+"/market")
		if !strings.Contains(page, "Philips") {
			t.Fatalf("the market is empty: %s", page)
		}
		served[regexp.MustCompile("served by (node-[12])").FindString(page)] = true
	}
	if len(served) != 2 {
		t.Errorf("pages came from %v", served)
	}
	if rest := testenv.Duration(t, "GANGLION_FOOTPRINT", 0); rest > 0 {
		footprint(t, rest, slices.Concat(d.pids, []int{launcher.Process.Pid}, processesOf(data)))
		return
	}
	s := &stageDriver{t: t, base: d.stage}
	faults := testenv.Times(t, "GANGLION_STAGE_FAULTS", 1)
	s.trade()
	s.breakThings(faults)
	if faults > 1 {
		s.audit()
	}
	pids := append(d.pids, s.pids()...)
	s.tamper()
	if faults > 1 {
		if err := launcher.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if err := launcher.Wait(); err != nil {
			t.Errorf("the launcher: %v", err)
		}
	} else if err := launcher.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	testharness.Eventually(t, 20*time.Second, func() bool {
		return !slices.ContainsFunc(append(pids, processesOf(data)...), alive)
	})
}

// logTails logs the end of what each process has said.
func logTails(t *testing.T, data string) {
	t.Helper()
	logs, _ := filepath.Glob(filepath.Join(data, "*.log"))
	for _, file := range logs {
		if text, err := os.ReadFile(file); err == nil && !strings.HasPrefix(filepath.Base(file), "mongo") {
			t.Logf("%s:\n%s", filepath.Base(file), text[max(0, len(text)-2000):])
		}
	}
}

// processesOf returns the processes that were started with a folder below the given one.
func processesOf(data string) (pids []int) {
	all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range all {
		text, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(text), data+"/") {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil && pid != os.Getpid() {
			pids = append(pids, pid)
		}
	}
	return pids
}

// demonstration is what the launcher says of itself.
type demonstration struct {
	market, stage string // URLs
	pids          []int
}

// readDemo reads what the launcher says until all runs.
func readDemo(t *testing.T, out io.Reader) (d demonstration) {
	t.Helper()
	lines := make(chan string)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			lines <- s.Text()
		}
	}()
	patience := time.NewTimer(2 * time.Minute)
	defer patience.Stop()
	said := ""
	for {
		select {
		case line, more := <-lines:
			if !more {
				t.Fatalf("the launcher has ended:\n%s", said)
			}
			said += line + "\n"
			if pid := regexp.MustCompile(`kill -9 (\d+)`).FindStringSubmatch(line); pid != nil {
				n, err := strconv.Atoi(pid[1])
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Contains(d.pids, n) { // one that had to be started again is told twice
					d.pids = append(d.pids, n)
				}
			}
			if _, rest, ok := strings.Cut(line, "and break it: "); ok {
				d.stage = rest
			}
			if rest, ok := strings.CutPrefix(line, "Open "); ok {
				go func() {
					for line := range lines { // what follows
						_, _ = fmt.Fprintln(t.Output(), line)
					}
				}()
				d.market, _, _ = strings.Cut(rest, " ")
				return d
			}
		case <-patience.C:
			t.Fatalf("the launcher says no more than:\n%s", said)
		}
	}
}

// alive reports whether there is a process. One that nobody has reaped is none.
func alive(pid int) bool {
	if stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat"); err == nil {
		_, state, _ := strings.Cut(string(stat), ") ")
		return !strings.HasPrefix(state, "Z")
	}
	p, err := os.FindProcess(pid)
	return err == nil && p.Signal(syscall.Signal(0)) == nil
}

func freePort(t *testing.T) string {
	t.Helper()
	_, port, _ := strings.Cut(nodes.FreeAddress(t), ":")
	return port
}

func getPage(t *testing.T, url string) string {
	t.Helper()
	text, err := readPage(t, url)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

var errNoPage = errors.New("there is no page")

func readPage(t *testing.T, url string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%w at %s: %s", errNoPage, url, answer.Status)
	}
	return string(text), err
}
