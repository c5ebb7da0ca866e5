package node

import (
	"net"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
)

// machine is what this one is called.
type machine struct {
	hostname  string
	addresses []netip.Addr
}

// thisMachine knows nothing of what it cannot find out.
func thisMachine() machine {
	var m machine
	m.hostname, _ = os.Hostname()
	interfaces, err := net.InterfaceAddrs()
	if err != nil {
		return m
	}
	for _, a := range interfaces {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil {
			m.addresses = append(m.addresses, prefix.Addr().Unmap())
		}
	}
	return m
}

// routeList is Config.NATSRoutes as this node has it. The list may name all nodes, this one
// included, so that all of them can have the same.
type routeList struct {
	addresses []string // to connect to, each once
	others    int      // nodes among them
	faulty    []string // what is no address
}

// parseRouteList reads a list for a server that listens on an address. An address that is
// this server's for certain is left out. One with the name of this machine is not counted,
// and connected to: there may be another machine of that name elsewhere, and a server finds
// out for itself that it has reached itself.
func parseRouteList(list []string, listen string, here machine) routeList {
	var l routeList
	seen, named := map[string]bool{}, false
	for _, text := range list {
		text = strings.TrimSpace(text)
		if text == "" {
			continue
		}
		host, port, err := net.SplitHostPort(strings.TrimPrefix(strings.TrimPrefix(text, "nats-route://"), "nats://"))
		if n, numErr := strconv.ParseUint(port, 10, 16); err != nil || numErr != nil || host == "" || n == 0 {
			l.faulty = append(l.faulty, text)
			continue
		}
		address := net.JoinHostPort(sameHost(host), port)
		if seen[address] || here.listens(listen, host, port) {
			continue
		}
		seen[address] = true
		l.addresses = append(l.addresses, net.JoinHostPort(host, port))
		if !named && here.named(listen, host, port) {
			named = true
			continue
		}
		l.others++
	}
	return l
}

// sameHost is one form for all that mean the same host.
func sameHost(host string) string {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap().String()
	}
	return strings.TrimSuffix(strings.ToLower(host), ".")
}

// listens reports whether a server of this machine that listens on an address is the one
// at host and port.
func (m machine) listens(listen, host, port string) bool {
	own, ownPort, err := net.SplitHostPort(listen)
	switch {
	case err != nil || port != ownPort:
		return false
	case own != "" && sameHost(own) == sameHost(host):
		return true
	case own != "" && !unspecified(own):
		return false
	case sameHost(host) == "localhost" || unspecified(host):
		return true
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	for _, a := range m.addresses {
		if a.WithZone("") == addr.Unmap().WithZone("") {
			return true
		}
	}
	return addr.Unmap().IsLoopback()
}

// named reports whether host is what this machine is called, or that with a domain.
func (m machine) named(listen, host, port string) bool {
	_, ownPort, err := net.SplitHostPort(listen)
	if err != nil || port != ownPort || m.hostname == "" {
		return false
	}
	own, host := sameHost(m.hostname), sameHost(host)
	return host == own || strings.HasPrefix(host, own+".") || strings.HasPrefix(own, host+".")
}

func unspecified(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsUnspecified()
}

// parseRoutes returns the addresses of the other servers, as URLs that carry the
// secret, and how many they are.
func (s *settings) parseRoutes(fault faultFunc) (routes []*url.URL, others int) {
	list := parseRouteList(s.NATSRoutes, s.NATSClusterAddr, thisMachine())
	for _, text := range list.faulty {
		fault("${NATSRoutes}: %q is not host:port", text)
	}
	for _, address := range list.addresses {
		route := &url.URL{Scheme: "nats-route", Host: address}
		if s.secret != "" {
			route.User = url.UserPassword(routeUser, s.secret)
		}
		routes = append(routes, route)
	}
	return routes, list.others
}
