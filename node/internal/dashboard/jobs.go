package dashboard

import (
	"context"
	"crypto/rand"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	jobsMax     = 50 // that are remembered
	jobLines    = 200
	jobsRunning = 4
)

// jobs are what goes on after the page that began it.
type jobs struct {
	now func() time.Time

	mu  sync.Mutex
	all []*job // oldest first
}

func newJobs(now func() time.Time) *jobs { return &jobs{now: now} }

// job does the same to many things, one after the other.
type job struct {
	ID    string
	Do    string
	Who   string
	Began time.Time

	stop context.CancelFunc

	mu     sync.Mutex
	total  int
	done   int
	failed int
	ended  time.Time
	cut    bool // it did not get to the end
	lines  []jobLine
}

// jobLine is the result of one.
type jobLine struct {
	Item   ParkedItem
	Result Result
}

// jobBody is a job at one moment.
type jobBody struct {
	ID, Do, Who         string
	Began, Ended        time.Time
	Total, Done, Failed int
	Cut                 bool
	Lines               []jobLine // newest first; those that failed are kept, the others as far as there is room
	Bar                 string
}

// Running reports whether it goes on.
func (b jobBody) Running() bool { return b.Ended.IsZero() }

// Succeeded is how many did.
func (b jobBody) Succeeded() int { return b.Done - b.Failed }

func (j *job) body() jobBody {
	j.mu.Lock()
	defer j.mu.Unlock()
	b := jobBody{
		ID: j.ID, Do: j.Do, Who: j.Who, Began: j.Began, Ended: j.ended, Total: j.total, Done: j.done, Failed: j.failed, Cut: j.cut,
		Bar: barClass(uint64(j.done), uint64(j.total)),
	}
	for _, line := range slices.Backward(j.lines) {
		b.Lines = append(b.Lines, line)
	}
	return b
}

// add counts a result, and keeps its line. Without room, one that succeeded makes some.
func (j *job) add(line jobLine) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.done++
	if !line.Result.OK {
		j.failed++
	}
	if len(j.lines) >= jobLines {
		drop := 0
		for i := range j.lines {
			if j.lines[i].Result.OK {
				drop = i
				break
			}
		}
		j.lines = append(j.lines[:drop], j.lines[drop+1:]...)
	}
	j.lines = append(j.lines, line)
}

// run does it, until ctx ends.
func (j *job) run(ctx context.Context, s Source, by Operator, a *act, now func() time.Time) {
	for _, item := range a.Every {
		if ctx.Err() != nil {
			break
		}
		j.add(jobLine{item, s.Act(ctx, by, a.Each(item))})
	}
	j.end(now())
}

func (j *job) end(now time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ended, j.cut = now, j.done < j.total
}

// begin remembers a job; false: enough of them run.
func (l *jobs) begin(j *job) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	running := 0
	for _, other := range l.all {
		if other.body().Running() {
			running++
		}
	}
	if running >= jobsRunning {
		return false
	}
	if len(l.all) >= jobsMax {
		for i, other := range l.all {
			if !other.body().Running() {
				l.all = append(l.all[:i], l.all[i+1:]...)
				break
			}
		}
	}
	l.all = append(l.all, j)
	return true
}

func (l *jobs) find(id string) *job {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, j := range l.all {
		if j.ID == id {
			return j
		}
	}
	return nil
}

// startJob begins a job, and leads to its page.
func (d *Dashboard) startJob(w http.ResponseWriter, r *http.Request, v visitor, s Source, a *act, by Operator) {
	j := &job{ID: rand.Text(), Do: a.Do, Who: by.Who, Began: d.cfg.Now(), total: len(a.Every)}
	ctx, stop := context.WithCancel(context.WithoutCancel(r.Context())) // it goes on when the browser has gone
	j.stop = stop
	if !d.jobs.begin(j) {
		stop()
		d.problem(w, r, v, http.StatusServiceUnavailable, "It was not begun: this node does enough already.", "Wait until one of the others has ended, and try again.")
		return
	}
	if !s.Start(func(until context.Context) {
		defer stop()
		defer context.AfterFunc(until, stop)()
		j.run(ctx, s, by, a, d.cfg.Now)
	}) {
		stop()
		j.end(d.cfg.Now())
		d.problem(w, r, v, http.StatusServiceUnavailable, "It was not begun: the node ends.", "Do it at another node.")
		return
	}
	http.Redirect(w, r, Path+"jobs/"+j.ID, http.StatusSeeOther)
}

func (d *Dashboard) job(_ context.Context, r *http.Request, _ Source) (string, any, error) {
	j := d.jobs.find(r.PathValue("job"))
	if j == nil {
		return "", nil, &fault{http.StatusNotFound, "This node knows of no such job: it was begun at another one, or is long over.", "The list of what is parked has what is left."}
	}
	body := j.body()
	return body.Do, body, nil
}

// stopJob has a job end after what it does at the moment.
func (d *Dashboard) stopJob(w http.ResponseWriter, r *http.Request, _ visitor, _ Source) {
	if j := d.jobs.find(r.PathValue("job")); j != nil {
		j.stop()
	}
	http.Redirect(w, r, Path+"jobs/"+r.PathValue("job"), http.StatusSeeOther)
}
