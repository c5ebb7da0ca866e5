package main

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/testharness"
	"github.com/ganglion-go/ganglion/testharness/nodes"
)

// TestTwoMachines runs the commands of docs/two-machines.md, with free addresses of this
// machine in place of the page's, and without MongoDB: pages come from both nodes then.
func TestTwoMachines(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/two-machines.md")
	if err != nil {
		t.Fatal(err)
	}
	p := &twoMachines{t: t, dir: t.TempDir(), addresses: map[string]string{}}
	p.write("secret", "of-the-test")
	p.write("admin-token", "0123456789abcdef0123456789abcdef")
	urls := regexp.MustCompile(`echo "([^"]+)" > nats-urls`).FindStringSubmatch(string(text))
	if urls == nil {
		t.Fatal("the page makes no nats-urls")
	}
	p.write("nats-urls", p.moved("10.0.0.1", strings.ReplaceAll(urls[1], "$(cat secret)", "of-the-test")))
	binary := nodes.Build(t, ".")
	started := map[string]int{}
	balancer, machine := "", "10.0.0.1"
	var servers []string
	for line := range strings.Lines(string(text)) {
		if m := regexp.MustCompile(`^On (10\.0\.0\.[12]):`).FindStringSubmatch(line); m != nil {
			machine = m[1]
		}
		args := strings.Fields(line)
		if len(args) < 3 || args[0] != "trader" || args[1] != "nats" && args[1] != "node" && args[1] != "balancer" || !strings.HasPrefix(args[2], "--") {
			continue
		}
		started[args[1]]++
		args = p.arguments(machine, args[1:])
		switch args[0] {
		case "nats":
			servers = append(servers, strings.TrimPrefix(args[2], "--addr="))
		case "node": // which ends where no server answers; who types is slower than they are
			awaitAll(t, servers)
		case "balancer":
			balancer = "http://" + strings.TrimPrefix(args[1], "--addr=")
		}
		program := nodes.NewProgram(t, binary, nil, args...)
		program.Launch(t)
		t.Cleanup(func() {
			if t.Failed() {
				t.Log(args[0], program.Log())
			}
		})
	}
	if started["nats"] != 3 || started["node"] != 2 || started["balancer"] != 1 {
		t.Fatalf("the page starts %v", started)
	}
	served := map[string]bool{}
	testharness.Eventually(t, 2*time.Minute, func() bool {
		page, err := readPage(t, balancer+"/market")
		if err != nil {
			return false // not yet
		}
		served[regexp.MustCompile("served by (node-[12])").FindString(page)] = true
		return served["served by node-1"] && served["served by node-2"]
	})
}

// awaitAll waits until something listens at each address.
func awaitAll(t *testing.T, addrs []string) {
	t.Helper()
	for _, addr := range addrs {
		testharness.Eventually(t, time.Minute, func() bool {
			conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(t.Context(), "tcp", addr)
			if err == nil {
				_ = conn.Close()
			}
			return err == nil
		})
	}
}

// twoMachines is the page's network on this machine.
type twoMachines struct {
	t         *testing.T
	dir       string
	addresses map[string]string
}

func (p *twoMachines) write(name, text string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// moved puts a free address in the place of each. Those of the loopback interface are of
// the machine that they are used on.
func (p *twoMachines) moved(machine, text string) string {
	p.t.Helper()
	return regexp.MustCompile(`\b(?:10\.0\.0\.[12]|127\.0\.0\.1):\d+`).ReplaceAllStringFunc(text, func(addr string) string {
		key := addr
		if strings.HasPrefix(addr, "127.") {
			key = machine + " " + addr
		}
		if p.addresses[key] == "" {
			p.addresses[key] = nodes.FreeAddress(p.t)
		}
		return p.addresses[key]
	})
}

// arguments returns those of the page, with addresses and files of the test.
func (p *twoMachines) arguments(machine string, args []string) (moved []string) {
	p.t.Helper()
	for _, arg := range args {
		if strings.HasPrefix(arg, `"--mongo-uri=`) {
			continue
		}
		flag, value, _ := strings.Cut(arg, "=")
		switch flag {
		case "--secret-file", "--nats-url-file", "--admin-token-file", "--data-dir":
			moved = append(moved, flag+"="+filepath.Join(p.dir, value))
		default:
			moved = append(moved, p.moved(machine, arg))
		}
	}
	return moved
}
