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

	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// TestDemo runs the demonstration as separate processes: its page is there, from both web
// servers, and once it is killed, as by kill -9, none of its processes is left.
func TestDemo(t *testing.T) {
	t.Parallel()
	launcher := exec.Command(nodes.Build(t, "."), "--store=jetstream", "--data="+filepath.Join(t.TempDir(), "demo"), "--port="+freePort(t))
	launcher.Stderr = os.Stderr
	out, err := launcher.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := launcher.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = launcher.Process.Kill(); _ = launcher.Wait() })
	began := time.Now()
	base, pids := readDemo(t, out)
	t.Logf("there is a page after %v", time.Since(began))
	if len(pids) != 6 {
		t.Fatalf("processes: %v", pids)
	}
	served := map[string]bool{}
	for range 4 {
		page := getPage(t, base+"/market")
		if !strings.Contains(page, "Philips") {
			t.Fatalf("the market is empty: %s", page)
		}
		served[regexp.MustCompile("served by (node-[12])").FindString(page)] = true
	}
	if len(served) != 2 {
		t.Errorf("pages came from %v", served)
	}
	if err := launcher.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	testharness.Eventually(t, 20*time.Second, func() bool {
		return !slices.ContainsFunc(pids, alive)
	})
}

// readDemo reads what the launcher says until all runs.
func readDemo(t *testing.T, out io.Reader) (base string, pids []int) {
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
				if !slices.Contains(pids, n) { // one that had to be started again is told twice
					pids = append(pids, n)
				}
			}
			if rest, ok := strings.CutPrefix(line, "Open "); ok {
				go func() {
					for range lines { // what follows
					}
				}()
				base, _, _ = strings.Cut(rest, " ")
				return base, pids
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
