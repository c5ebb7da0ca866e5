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
		"NATSCreds": s.NATSCreds, "NATSTLSCA": s.NATSTLSCA, "NATSTLSCert": s.NATSTLSCert, "NATSTLSKey": s.NATSTLSKey,
		"NATSSecretFile": s.NATSSecretFile,
	}
	s.checkURLs(fault)
	for field, file := range files {
		if file == "" {
			continue
		}
		if _, err := os.Stat(file); err != nil {
			fault("${"+field+"}: %v", err)
		}
	}
	if (s.NATSTLSCert == "") != (s.NATSTLSKey == "") {
		fault("${NATSTLSCert} and ${NATSTLSKey}: give both or none")
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
			fault("${NATSURL}: number %d of the list is not the URL of a server (in a password, percent-encode all but letters and digits)", i+1)
		}
	}
}

// checkExternal finds the flags that say how to be a server where there is none.
func (s *settings) checkExternal(fault faultFunc) {
	for field, value := range map[string]string{
		"NATSClusterAddr": s.NATSClusterAddr, "NATSRoutes": strings.Join(s.NATSRoutes, ","),
		"NATSSecretFile": s.NATSSecretFile, "NATSClientAddr": s.NATSClientAddr,
	} {
		if value != "" {
			fault("${" + field + "}: of no use with ${NATSURL}")
		}
	}
}

func (s *settings) checkEmbedded(fault faultFunc, files map[string]string) {
	if s.NATSCreds != "" {
		fault("${NATSCreds}: of no use without ${NATSURL}")
	}
	listens := s.NATSClusterAddr != "" || s.NATSClientAddr != ""
	for _, field := range []string{"NATSTLSCA", "NATSTLSCert", "NATSTLSKey", "NATSSecretFile"} {
		if files[field] != "" && !listens {
			fault("${" + field + "}: of no use without ${NATSURL}, ${NATSClusterAddr} or ${NATSClientAddr}")
		}
	}
	if s.tlsFlags() && !s.tlsComplete() {
		fault("${NATSTLSCA}, ${NATSTLSCert} and ${NATSTLSKey}: an embedded server needs all three or none")
	}
	s.checkSecret(fault)
	for field, addr := range map[string]string{"NATSClusterAddr": s.NATSClusterAddr, "NATSClientAddr": s.NATSClientAddr} {
		switch {
		case addr == "" || s.NATSSecretFile != "":
		case !isLoopback(addr):
			fault("${"+field+"}=%s: other machines reach it; give ${NATSSecretFile}", addr)
		case s.tlsComplete():
			fault("${"+field+"}=%s: give ${NATSSecretFile}: certificates say who somebody is, not that they belong to the cluster", addr)
		}
	}
	s.checkCluster(fault)
}

// checkCluster compares the routes with what they are for.
func (s *settings) checkCluster(fault faultFunc) {
	switch {
	case !s.clustered() && len(s.NATSRoutes) > 0:
		fault("${NATSRoutes}: of no use without ${NATSClusterAddr}")
	case !s.clustered() && s.Replicas > 1:
		fault("${Replicas}=%d: an embedded server alone has no replicas; give ${NATSClusterAddr} and ${NATSRoutes}, or ${NATSURL}", s.Replicas)
	case s.clustered():
		s.routes, s.others = s.parseRoutes(fault)
		if _, port, err := net.SplitHostPort(s.NATSClusterAddr); err == nil && port == "0" {
			fault("${NATSClusterAddr}=%s: the others must know the port", s.NATSClusterAddr)
		}
		if n := s.others; n == 0 || n < s.Replicas-1 {
			fault("${NATSRoutes}: %d other nodes are named, ${Replicas}=%d needs at least %d", n, s.Replicas, max(s.Replicas-1, 1))
		}
	}
}

func (s *settings) checkSecret(fault faultFunc) {
	if s.NATSSecretFile == "" {
		return
	}
	secret, err := readSecret(s.NATSSecretFile)
	switch {
	case errors.Is(err, errSecretFile):
		fault("${NATSSecretFile}: %v", err)
	case err != nil: // told already, with the other files
	case len(secret) < minSecret:
		fault("${NATSSecretFile}: a secret of %d bytes, at least %d are required", len(secret), minSecret)
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
