//go:build unix

package natsd

import (
	"syscall"

	"github.com/ganglion-go/ganglion/testharness/internal/child"
)

// lameDuck sends what "nats-server --signal ldm" sends.
func lameDuck(p *child.Process) error { return p.Signal(syscall.SIGUSR2) }
