package gateway

import "testing"

// TestEndpoints_AreRightsOfTheirOwn: an endpoint is served from its table alone, and an
// entry without an action, a handler or a path cannot be.
func TestEndpoints_AreRightsOfTheirOwn(t *testing.T) {
	t.Parallel()
	if (endpointInfo{}).action != endpointNone.info().action || endpoints < 2 {
		t.Fatal("there is no table")
	}
	g := &Gateway{}
	for e := endpointNone; e <= endpoints; e++ {
		info := e.info()
		if e == endpointNone || e == endpoints {
			if g.has(e) {
				t.Errorf("no endpoint is one: %d", e)
			}
			continue
		}
		if info.action == "" || info.serve == nil || info.template == "" || info.methods == "" {
			t.Errorf("endpoint %d has %+v", e, info)
		}
	}
}
