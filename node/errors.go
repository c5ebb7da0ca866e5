package node

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"github.com/nats-io/nats.go"
)

var (
	// ErrNATSRefused says that NATS does not accept this process's credentials.
	ErrNATSRefused = errors.New("NATS refuses the credentials")

	// ErrNATSUntrusted says that there is no TLS connection with the NATS server: its
	// certificate is not one of the authority, or it does not take this process's.
	ErrNATSUntrusted = errors.New("no trust between NATS and the node")

	// ErrNATSUnreachable says that no NATS server of the list answers.
	ErrNATSUnreachable = errors.New("no NATS server answers")

	// ErrNATSClosed says that a connection to NATS is closed for good while the node runs.
	ErrNATSClosed = errors.New("the connection to NATS is closed for good")

	// ErrEarlierNodes says that nodes of a build are at work that this one cannot run
	// beside. The error is an [*EarlierNodesError].
	ErrEarlierNodes = errors.New("nodes of an earlier build are at work")

	// ErrNoQuorum says that not enough of the embedded NATS servers found together in
	// time: a majority, or, where there are no streams yet, as many as each stream is to
	// have replicas.
	ErrNoQuorum = errors.New("too few of the embedded NATS servers are there")
)

// connectError says why there is no connection, keeping the cause.
func connectError(err error) error {
	kind := ErrNATSUnreachable
	switch {
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked),
		errors.Is(err, nats.ErrAccountAuthExpired):
		kind = ErrNATSRefused
	case isTLSFailure(err):
		kind = ErrNATSUntrusted
	}
	return fmt.Errorf("connect to NATS: %w: %w", kind, err)
}

func isTLSFailure(err error) bool {
	_, badCertificate := errors.AsType[*tls.CertificateVerificationError](err)
	_, plain := errors.AsType[tls.RecordHeaderError](err)
	// crypto/tls has no exported type for what the other side says is wrong.
	op, isOp := errors.AsType[*net.OpError](err)
	return badCertificate || plain || isOp && op.Op == "remote error" ||
		errors.Is(err, nats.ErrTLS) || errors.Is(err, nats.ErrSecureConnRequired) || errors.Is(err, nats.ErrSecureConnWanted)
}
