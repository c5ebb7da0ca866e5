package loopback

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Host is the address that every port of this package belongs to.
const Host = "127.0.0.1"

const (
	firstPort = 17000
	lastPort  = 31999 // Linux hands out client ports from 32768, others from 49152
	maxTries  = 200
)

// ErrNoPort says that no free port was found in a bounded number of tries.
var ErrNoPort = errors.New("loopback: no free port")

// Port is a TCP port on 127.0.0.1 which this process has set aside.
type Port struct {
	number int
	mark   net.PacketConn
}

// Reserve sets a random free port aside until [Port.Release] or the end of the
// process. It does not block. The error is [ErrNoPort].
func Reserve() (*Port, error) {
	for range maxTries {
		number := firstPort + rand.IntN(lastPort-firstPort+1)
		if port, err := ReserveNumber(number); err == nil {
			return port, nil
		}
	}
	return nil, fmt.Errorf("%w between %d and %d in %d tries", ErrNoPort, firstPort, lastPort, maxTries)
}

// ReserveNumber sets one given port aside, and fails with the error of the
// network when somebody else holds or uses it.
func ReserveNumber(number int) (*Port, error) {
	addr := net.JoinHostPort(Host, strconv.Itoa(number))
	mark, err := net.ListenPacket("udp4", addr) //nolint:noctx // binds a local socket, does not block
	if err != nil {
		return nil, fmt.Errorf("mark port %d: %w", number, err)
	}
	probe, err := net.Listen("tcp4", addr) //nolint:noctx // binds a local socket, does not block
	if err != nil {
		return nil, errors.Join(fmt.Errorf("probe port %d: %w", number, err), mark.Close())
	}
	if err := probe.Close(); err != nil {
		return nil, errors.Join(fmt.Errorf("probe port %d: %w", number, err), mark.Close())
	}
	return &Port{number: number, mark: mark}, nil
}

// Number is the port.
func (p *Port) Number() int { return p.number }

// Addr is the port as "127.0.0.1:port".
func (p *Port) Addr() string { return net.JoinHostPort(Host, strconv.Itoa(p.number)) }

// Release gives the port back. It is idempotent.
func (p *Port) Release() { _ = p.mark.Close() }
