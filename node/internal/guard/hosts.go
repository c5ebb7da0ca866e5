package guard

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// Hosts are the names under which a server may be addressed, besides localhost, what
// is below it, and IP addresses: none of those can be made to be a page's own name.
// The zero value allows no others.
type Hosts struct {
	names    map[string]bool
	suffixes []string // of "*.example.com": ".example.com"
}

// maxHostBytes is the longest name that DNS has.
const maxHostBytes = 253

// ParseHosts reads host names. "*.example.com" allows all
// names below example.com. An entry may not have a port.
func ParseHosts(list []string) (Hosts, error) {
	h := Hosts{names: map[string]bool{}}
	for _, entry := range list {
		entry = strings.TrimSpace(entry)
		if entry == "" {
			continue
		}
		name, below := strings.CutPrefix(entry, "*.")
		name = canonical(name)
		if !isName(name) {
			return Hosts{}, fmt.Errorf("%q is not a host name", entry)
		}
		if below {
			h.suffixes = append(h.suffixes, "."+name)
		} else {
			h.names[name] = true
		}
	}
	return h, nil
}

// Allow reports whether a Host header names the server.
func (h Hosts) Allow(header string) bool {
	host, ok := hostOf(header)
	if !ok {
		return false
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	name := canonical(host)
	if !isName(name) {
		return false
	}
	if name == "localhost" || strings.HasSuffix(name, ".localhost") || h.names[name] {
		return true
	}
	for _, suffix := range h.suffixes {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}

// hostOf takes the port from a Host header, and the brackets from an IPv6 address. A
// header with anything else than a host and a number as its port is refused.
func hostOf(header string) (string, bool) {
	if inner, ok := strings.CutPrefix(header, "["); ok {
		address, rest, closed := strings.Cut(inner, "]")
		_, err := netip.ParseAddr(address)
		return address, closed && err == nil && strings.Contains(address, ":") && isPort(rest)
	}
	host, port, hasPort := strings.Cut(header, ":")
	if hasPort {
		port = ":" + port
	}
	return host, host != "" && isPort(port)
}

// isPort takes what may follow a host: nothing, or a colon and digits, or none.
func isPort(s string) bool {
	digits, ok := strings.CutPrefix(s, ":")
	if !ok {
		return s == ""
	}
	return len(digits) <= 5 && strings.Trim(digits, "0123456789") == ""
}

// canonical makes one name of all that mean the same: case does not matter, nor does the
// dot of the root.
func canonical(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

func isName(s string) bool {
	if len(s) == 0 || len(s) > maxHostBytes {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}

// Loopback reports whether only this machine reaches an address to listen on:
// host:port with a host of the loopback interface. One without a host is every
// interface.
func Loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if canonical(host) == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
