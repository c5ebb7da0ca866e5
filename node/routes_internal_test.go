package node

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// TestParseRouteList: a list of all nodes is the same at all of them, whatever a node
// listens on and however it is called there.
func TestParseRouteList(t *testing.T) {
	t.Parallel()
	here := machine{hostname: "N1", addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1")}}
	for name, c := range map[string]struct {
		list, listen string
		connect      []string
		others       int
	}{
		"others alone":           {"10.0.0.2:6222, nats://10.0.0.3:6222", "10.0.0.1:6222", []string{"10.0.0.2:6222", "10.0.0.3:6222"}, 2},
		"all":                    {"10.0.0.1:6222,10.0.0.2:6222,10.0.0.3:6222", "10.0.0.1:6222", []string{"10.0.0.2:6222", "10.0.0.3:6222"}, 2},
		"all, on all interfaces": {"10.0.0.1:6222,10.0.0.2:6222,10.0.0.3:6222", "0.0.0.0:6222", []string{"10.0.0.2:6222", "10.0.0.3:6222"}, 2},
		"all, on any":            {"10.0.0.1:6222,10.0.0.2:6222,10.0.0.3:6222", ":6222", []string{"10.0.0.2:6222", "10.0.0.3:6222"}, 2},
		"all, IPv6":              {"[FD00:0::1]:6222,[fd00::2]:6222", "[::]:6222", []string{"[fd00::2]:6222"}, 1},
		"IPv4 in IPv6":           {"[::ffff:10.0.0.1]:6222,10.0.0.2:6222", "[::]:6222", []string{"10.0.0.2:6222"}, 1},
		"other ports":            {"127.0.0.1:6222,127.0.0.1:6223", "0.0.0.0:6222", []string{"127.0.0.1:6223"}, 1},
		"loopback, one of many":  {"127.0.0.2:6222,127.0.0.1:6222", "127.0.0.1:6222", []string{"127.0.0.2:6222"}, 1},
		"a name":                 {"n1.:6222,n2:6222,n3:6222", ":6222", []string{"n1.:6222", "n2:6222", "n3:6222"}, 2},
		"a name in a domain":     {"n1.ganglion:6222,n2.ganglion:6222,n3.ganglion:6222", "0.0.0.0:6222", []string{"n1.ganglion:6222", "n2.ganglion:6222", "n3.ganglion:6222"}, 2},
		"a name, listens on it":  {"n1.example:6222,n2.example:6222", "N1.example:6222", []string{"n2.example:6222"}, 1},
		"a name, and an address": {"n1:6222,n2:6222,n3:6222", "10.0.0.1:6222", []string{"n1:6222", "n2:6222", "n3:6222"}, 2},
		"this name in two places": {
			"n1.east:6222,n1.west:6222", ":6222", []string{"n1.east:6222", "n1.west:6222"}, 1,
		},
		"a longer name":      {"n10:6222,n2:6222", ":6222", []string{"n10:6222", "n2:6222"}, 2},
		"twice":              {"n2:6222,N2:6222,n2.:6222,10.0.0.2:6222,[::ffff:10.0.0.2]:6222", ":6222", []string{"n2:6222", "10.0.0.2:6222"}, 2},
		"localhost":          {"localhost:6222,localhost:6223", ":6222", []string{"localhost:6223"}, 1},
		"nothing":            {" , ", ":6222", nil, 0},
		"itself":             {"0.0.0.0:6222", ":6222", nil, 0},
		"another's loopback": {"127.0.0.1:6222,n2:6222", "10.0.0.1:6222", []string{"127.0.0.1:6222", "n2:6222"}, 2},
	} {
		l := parseRouteList(strings.Split(c.list, ","), c.listen, here)
		if !slices.Equal(l.addresses, c.connect) || l.others != c.others || len(l.faulty) != 0 {
			t.Errorf("%s: %q on %s is %+v, want %v and %d others", name, c.list, c.listen, l, c.connect, c.others)
		}
	}
	if l := parseRouteList([]string{"a", "b:0", ":1", "c:x", "d:70000", "e:1"}, ":1", here); len(l.faulty) != 5 || l.others != 1 {
		t.Errorf("faulty is %q", l.faulty)
	}
}
