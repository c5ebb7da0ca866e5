package web

import (
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// limiter allows each key some tries at once, and then one now and then. What it remembers
// is bounded: when it knows too many keys it forgets those that it has not met since it
// last forgot some, and a key that is forgotten has its first tries again.
type limiter struct {
	every time.Duration
	burst int

	mu        sync.Mutex
	now, then map[string]*rate.Limiter
}

const keysMax = 20_000

func newLimiter(every time.Duration, burst int) *limiter {
	return &limiter{every: every, burst: burst, now: map[string]*rate.Limiter{}, then: map[string]*rate.Limiter{}}
}

// allow reports whether there is a try left, and takes it.
func (l *limiter) allow(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	one := l.now[key]
	if one == nil {
		if one = l.then[key]; one == nil {
			one = rate.NewLimiter(rate.Every(l.every), l.burst)
		}
		if len(l.now) >= keysMax {
			l.then, l.now = l.now, map[string]*rate.Limiter{}
		}
		l.now[key] = one
	}
	return one.Allow()
}

// address returns whose request it is, for limits. Behind a balancer that is what the
// balancer says, which is the last of what there is.
func (s *site) address(r *http.Request) string {
	if s.app.BehindProxy {
		said := r.Header.Values("X-Forwarded-For")
		if len(said) > 0 {
			all := strings.Split(said[len(said)-1], ",")
			return strings.TrimSpace(all[len(all)-1])
		}
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
