package node

import (
	"errors"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/ganglion-go/ganglion/node/internal/guard"
)

// checkNATS finds the faults in how the node and NATS come together.
func (s *settings) checkNATS(fault faultFunc) {
	files := map[string]string{
		"nats-creds": s.NATSCreds, "nats-tls-ca": s.NATSTLSCA, "nats-tls-cert": s.NATSTLSCert, "nats-tls-key": s.NATSTLSKey,
		"nats-secret-file": s.NATSSecretFile,
	}
	s.checkURLs(fault)
	for flag, file := range files {
		if file == "" {
			continue
		}
		if _, err := os.Stat(file); err != nil {
			fault("--%s: %v", flag, err)
		}
	}
	if (s.NATSTLSCert == "") != (s.NATSTLSKey == "") {
		fault("--nats-tls-cert and --nats-tls-key: give both or none")
	}
	if s.embeddedNATS() {
		s.checkEmbedded(fault, files)
	} else {
		s.checkExternal(fault)
	}
}

// checkURLs finds what nats.go would quote, with the password, in its own error. A password
// with a comma ends up in two servers of the list: neither is shown.
func (s *settings) checkURLs(fault faultFunc) {
	if s.NATSURL == "" || s.NATSURL == unknownSecret {
		return
	}
	for i, text := range strings.Split(s.NATSURL, ",") {
		text = strings.TrimSpace(text)
		if !strings.Contains(text, "://") {
			text = "nats://" + text // as nats.go takes it
		}
		if u, err := url.Parse(text); err != nil || u.Hostname() == "" {
			fault("--nats-url: number %d of the list is not the URL of a server (in a password, percent-encode all but letters and digits)", i+1)
		}
	}
}

// checkExternal finds the flags that say how to be a server where there is none.
func (s *settings) checkExternal(fault faultFunc) {
	for flag, value := range map[string]string{
		"nats-cluster-addr": s.NATSClusterAddr, "nats-routes": s.NATSRoutes,
		"nats-secret-file": s.NATSSecretFile, "nats-client-addr": s.NATSClientAddr,
	} {
		if value != "" {
			fault("--%s: of no use with --nats-url", flag)
		}
	}
}

func (s *settings) checkEmbedded(fault faultFunc, files map[string]string) {
	if s.NATSCreds != "" {
		fault("--nats-creds: of no use without --nats-url")
	}
	listens := s.NATSClusterAddr != "" || s.NATSClientAddr != ""
	for _, flag := range []string{"nats-tls-ca", "nats-tls-cert", "nats-tls-key", "nats-secret-file"} {
		if files[flag] != "" && !listens {
			fault("--%s: of no use without --nats-url, --nats-cluster-addr or --nats-client-addr", flag)
		}
	}
	if s.tlsFlags() && !s.tlsComplete() {
		fault("--nats-tls-ca, --nats-tls-cert and --nats-tls-key: an embedded server needs all three or none")
	}
	s.checkSecret(fault)
	for flag, addr := range map[string]string{"nats-cluster-addr": s.NATSClusterAddr, "nats-client-addr": s.NATSClientAddr} {
		switch {
		case addr == "" || s.NATSSecretFile != "":
		case !isLoopback(addr):
			fault("--%s=%s: other machines reach it; give --nats-secret-file", flag, addr)
		case s.tlsComplete():
			fault("--%s=%s: give --nats-secret-file: certificates say who somebody is, not that they belong to the cluster", flag, addr)
		}
	}
	s.checkCluster(fault)
}

// checkCluster compares the routes with what they are for.
func (s *settings) checkCluster(fault faultFunc) {
	switch {
	case !s.clustered() && s.NATSRoutes != "":
		fault("--nats-routes: of no use without --nats-cluster-addr")
	case !s.clustered() && s.replicas > 1:
		fault("--replicas=%s: an embedded server alone has no replicas; give --nats-cluster-addr and --nats-routes, or --nats-url", s.Replicas)
	case s.clustered():
		s.routes, s.others = s.parseRoutes(fault)
		if _, port, err := net.SplitHostPort(s.NATSClusterAddr); err == nil && port == "0" {
			fault("--nats-cluster-addr=%s: the others must know the port", s.NATSClusterAddr)
		}
		if n := s.others; n == 0 || n < s.replicas-1 {
			fault("--nats-routes: %d other nodes are named, --replicas=%s needs at least %d", n, s.Replicas, max(s.replicas-1, 1))
		}
	}
	if s.ClusterTimeout < 0 {
		fault("negative cluster timeout %v", s.ClusterTimeout)
	}
}

func (s *settings) checkSecret(fault faultFunc) {
	if s.NATSSecretFile == "" {
		return
	}
	secret, err := readSecret(s.NATSSecretFile)
	switch {
	case errors.Is(err, errSecretFile):
		fault("--nats-secret-file: %v", err)
	case err != nil: // told already, with the other files
	case len(secret) < minSecret:
		fault("--nats-secret-file: a secret of %d bytes, at least %d are required", len(secret), minSecret)
	}
	s.secret = secret
}

// tlsFlags reports whether any of the TLS flags is given, tlsComplete whether all are.
func (s *settings) tlsFlags() bool { return s.NATSTLSCA+s.NATSTLSCert+s.NATSTLSKey != "" }

func (s *settings) tlsComplete() bool {
	return s.NATSTLSCA != "" && s.NATSTLSCert != "" && s.NATSTLSKey != ""
}

// isLoopback reports whether only this machine reaches an address.
func isLoopback(addr string) bool {
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return true // told already, with the other addresses
	}
	return guard.Loopback(addr)
}
