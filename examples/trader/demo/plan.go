package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
)

const (
	planFile  = "demo.json"
	host      = "127.0.0.1"
	firstPort = 17000
	lastPort  = 31999 // systems give clients higher ones
	portTries = 200
)

// Stores.
const (
	StoreAuto      = "auto"
	StoreMongo     = "mongo"
	StoreJetStream = "jetstream"
)

// plan is what a data folder keeps of a demonstration: members of a replica set know each
// other by their addresses, so these stay.
type plan struct {
	Store     string            `json:"store"`
	Seeded    bool              `json:"seeded"`
	Addresses map[string]string `json:"addresses"`

	path string
}

var errStoreKept = errors.New("the data folder has another store")

// openPlan reads the plan of a data folder; there is an empty one in a new folder.
func openPlan(dir, store string) (*plan, error) {
	p := &plan{path: filepath.Join(dir, planFile), Addresses: map[string]string{}}
	data, err := os.ReadFile(p.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return p, nil
	case err != nil:
		return nil, err
	}
	if err := json.Unmarshal(data, p); err != nil {
		return nil, fmt.Errorf("%s: %w", p.path, err)
	}
	if p.Addresses == nil {
		p.Addresses = map[string]string{}
	}
	if p.Store != "" && store != StoreAuto && store != p.Store {
		return nil, fmt.Errorf("%w: --store=%s, and %s has %s", errStoreKept, store, dir, p.Store)
	}
	return p, nil
}

// save keeps the plan; a crash leaves the former one.
func (p *plan) save() error {
	data, err := json.MarshalIndent(p, "", "\t")
	if err != nil {
		return err
	}
	if err := os.WriteFile(p.path+".new", data, fileMode); err != nil {
		return err
	}
	return os.Rename(p.path+".new", p.path)
}

// ports picks addresses of the loopback interface. It holds them until release, so that it
// gives none twice.
type ports struct{ held []net.Listener }

func (p *ports) release() {
	for _, l := range p.held {
		_ = l.Close()
	}
	p.held = nil
}

func (p *ports) take(addr string) error {
	l, err := net.Listen("tcp", addr) //nolint:noctx // it does not block
	if err == nil {
		p.held = append(p.held, l)
	}
	return err
}

var errNoPort = errors.New("no free port was found")

// address returns the one that a part has had, or a free one; wished is tried first, if it
// is not 0.
func (p *ports) address(of *plan, part string, wished int) (string, error) {
	if kept := of.Addresses[part]; kept != "" {
		if err := p.take(kept); err != nil {
			return "", fmt.Errorf("%s had the address %s, which somebody else has now: %w", part, kept, err)
		}
		return kept, nil
	}
	for range portTries {
		port := wished
		if wished = 0; port == 0 {
			port = firstPort + rand.IntN(lastPort-firstPort+1) //nolint:gosec // no secret
		}
		addr := net.JoinHostPort(host, strconv.Itoa(port))
		if p.take(addr) == nil {
			of.Addresses[part] = addr
			return addr, nil
		}
	}
	return "", errNoPort
}
