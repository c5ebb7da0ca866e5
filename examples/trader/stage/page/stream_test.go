package page_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ganglion-go/ganglion/examples/trader/stage/page"
)

// browser takes a stream. Its writes wait while it is slow, until their deadline.
type browser struct {
	http.ResponseWriter

	mu       sync.Mutex
	text     strings.Builder
	deadline time.Time
	slow     chan struct{} // nil: it is quick; closed: it is quick again
}

var errLate = errors.New("write deadline")

func (b *browser) Flush() {}

func (b *browser) SetWriteDeadline(at time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.deadline = at
	return nil
}

func (b *browser) Write(data []byte) (int, error) {
	b.mu.Lock()
	slow, deadline := b.slow, b.deadline
	b.mu.Unlock()
	if slow != nil {
		late := time.NewTimer(time.Until(deadline))
		defer late.Stop()
		select {
		case <-slow:
		case <-late.C:
			return 0, errLate
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(data)
}

// taken returns what has come since the last call.
func (b *browser) taken() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	text := b.text.String()
	b.text.Reset()
	return text
}

func (b *browser) slowDown() chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.slow = make(chan struct{})
	return b.slow
}

// follow opens a stream; the channel is closed when it has ended.
func follow(ctx context.Context, p http.Handler) (*browser, chan struct{}) {
	b, ended := &browser{ResponseWriter: httptest.NewRecorder()}, make(chan struct{})
	go func() {
		defer close(ended)
		p.ServeHTTP(b, httptest.NewRequestWithContext(ctx, http.MethodGet, "/events", nil))
	}()
	return b, ended
}

// stream returns what a stream has sent after a second of virtual time.
func stream(t *testing.T, p http.Handler) (text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer cancel()
	b, ended := follow(ctx, p)
	<-ended
	return b.taken()
}

func TestEvents_SendWhatHasChanged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := running(time.Now())
		e := newEngine(s)
		p := page.New(e)
		b, ended := follow(ctx, p)
		synctest.Wait()

		// The stream begins with all fragments, as the page has them.
		whole := get(t, p, "/").text
		first := strings.ReplaceAll(strings.TrimPrefix(b.taken(), "event: show\n"), "data: ", "")
		for _, id := range []string{"pills", "load", "outcome", "say", "verdict", "picture", "controls", "compare", "tour", "views", "log", "parts"} {
			if !strings.Contains(first, `id="`+id+`"`) {
				t.Errorf("the stream has no %s", id)
			}
		}
		for line := range strings.Lines(first) {
			if !strings.Contains(whole, strings.TrimSpace(line)) {
				t.Errorf("the stream has, and the page has not: %s", line)
			}
		}

		// A change sends its fragments alone, however many changes there are in a moment.
		for i := range 50 {
			s.Time = s.Time.Add(time.Millisecond)
			s.Views = []page.View{{Name: strings.Repeat("x", i+1)}}
			e.show(s)
			synctest.Wait()
		}
		advance(500 * time.Millisecond)
		got := b.taken()
		if strings.Count(got, "event: show") > 2 || !strings.Contains(got, strings.Repeat("x", 50)) || strings.Contains(got, `id="picture"`) || strings.Contains(got, `id="say"`) {
			t.Errorf("fifty changes sent: %s", got)
		}

		// Without one there is a sign of life twice a second, and old figures are called so.
		advance(2 * time.Second)
		if got := b.taken(); strings.Count(got, "event: beat") != 4 || strings.Contains(got, "event: show") {
			t.Errorf("two quiet seconds sent: %s", got)
		}
		advance(2 * time.Second)
		if got := b.taken(); !strings.Contains(got, "old</span>") {
			t.Errorf("after four seconds: %s", got)
		}
		cancel()
		<-ended
	})
}

// advance lets virtual time pass.
func advance(d time.Duration) {
	timer := time.NewTimer(d)
	<-timer.C
	synctest.Wait()
}

func TestEvents_ASlowClientGetsTheNewest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := running(time.Now())
		e := newEngine(s)
		p := page.New(e)
		b, ended := follow(t.Context(), p)
		advance(100 * time.Millisecond)
		b.taken()
		slow := b.slowDown()
		for i := range 30 {
			s.Time = s.Time.Add(50 * time.Millisecond)
			s.Views = []page.View{{Name: strings.Repeat("y", i+1) + "!"}}
			e.show(s)
			advance(50 * time.Millisecond)
		}
		close(slow)
		advance(time.Second)
		got := b.taken()
		if n := strings.Count(got, "y!"); n > 3 || !strings.Contains(got, strings.Repeat("y", 30)+"!") {
			t.Errorf("a client that was slow for 1.5 s got %d moments: %s", n, got)
		}

		// One that takes nothing any more is cut off, and holds up nobody else.
		b.slowDown()
		other, otherEnded := follow(t.Context(), p)
		advance(10 * time.Second)
		select {
		case <-ended:
		default:
			t.Error("a client that takes nothing is still followed")
		}
		if got := other.taken(); strings.Count(got, "event: beat") < 18 {
			t.Errorf("the other client got %s", got)
		}
		close(e.stopping)
		<-otherEnded
	})
}

func TestEvents_AreNotForEverybodyAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(idle(time.Now()))
		p := page.New(e)
		var all []chan struct{}
		for range 64 {
			_, ended := follow(t.Context(), p)
			all = append(all, ended)
		}
		synctest.Wait()
		if r := get(t, p, "/events"); r.status != http.StatusServiceUnavailable || r.header.Get("Retry-After") == "" {
			t.Errorf("one too many: %d", r.status)
		}
		close(e.stopping)
		for _, ended := range all {
			<-ended
		}
	})
}
