package main

import (
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"time"
)

// newBalancer sends each request to the next target, in turns, over connections
// that it keeps. It is the same for all ways.
func newBalancer(targets []*url.URL, inFlight int) *httputil.ReverseProxy {
	var next atomic.Uint64
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(targets[next.Add(1)%uint64(len(targets))])
		},
		Transport: newTransport(inFlight),
	}
}

// newTransport keeps as many connections to each host as can be in use at a time.
func newTransport(inFlight int) *http.Transport {
	return &http.Transport{MaxIdleConnsPerHost: inFlight, IdleConnTimeout: 30 * time.Second, DisableCompression: true}
}
