package chaos

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Report is the result of [Run].
type Report struct {
	Seed     uint64
	Duration time.Duration
	Faults   int           // that took place
	Recovery time.Duration // from the end of the last fault until every node served

	Done, Refused, Accepted, NotExecuted, Unknown int // commands, by what was known in the end
	Settled, Lost                                 int // of those unknown: in the store, and not in it
	Reads                                         int // that were answered
	Attempts                                      int
	Parked                                        int           // commands and events that two killed processes had named, and that were tried again
	Longest                                       time.Duration // without a command that was told done

	Violations []string // broken promises
	Kept       string   // folder with the evidence, where there are violations

	findings *Findings
	history  *History
}

// take fills the report from a record and its check.
func (r *Report) take(h *History, rec *Recorder, f *Findings) {
	r.history, r.findings = h, f
	r.Settled, r.Lost, r.Longest = f.Settled, f.Lost, rec.LongestGap()
	r.Violations = append(rec.Complaints(), f.Violations...)
	for _, op := range h.Operations {
		r.Attempts += len(op.Attempts)
		switch {
		case op.IsRead():
			if op.Fate == FateDone {
				r.Reads++
			}
		case op.Fate == FateDone:
			r.Done++
		case op.Fate == FateRefused:
			r.Refused++
		case op.Fate == FateAccepted:
			r.Accepted++
		case op.Fate == FateNotExecuted:
			r.NotExecuted++
		default:
			r.Unknown++
		}
	}
	if r.Done == 0 {
		r.Violations = append(r.Violations, "no command succeeded: nothing was tested")
	}
}

// Err is nil if no promise was broken.
func (r *Report) Err() error {
	if len(r.Violations) == 0 {
		return nil
	}
	return fmt.Errorf("seed %d: %d broken promises, kept in %s:\n%s", r.Seed, len(r.Violations), r.Kept, strings.Join(r.Violations[:min(len(r.Violations), 20)], "\n"))
}

// String tells the figures.
func (r *Report) String() string {
	return fmt.Sprintf("seed %d: %d faults in %v, all served again after %v; commands: %d done, %d refused, %d accepted, %d not executed, %d unknown (%d in the store, %d not); "+
		"%d parked and tried again; %d reads; %d attempts; longest pause %v; %d broken promises",
		r.Seed, r.Faults, r.Duration, r.Recovery.Round(time.Millisecond), r.Done, r.Refused, r.Accepted, r.NotExecuted, r.Unknown, r.Settled, r.Lost,
		r.Parked, r.Reads, r.Attempts, r.Longest.Round(time.Millisecond), len(r.Violations))
}

// keep leaves the evidence in a new folder: what is wrong, what was broken when,
// the calls of the aggregates concerned with porcupine's picture of each, what
// the store has of them, and the logs of all processes.
func (r *Report) keep(parent, log string, c *Cluster) (string, error) {
	dir, err := c.Keep(parent, r.Seed, map[string]string{
		"violations.txt": strings.Join(r.Violations, "\n") + "\n", "schedule.txt": log,
	})
	errs := []error{err}
	if r.findings != nil && dir != "" {
		for target, picture := range r.findings.pictures {
			errs = append(errs, picture(filepath.Join(dir, string(target.Kind)+"-"+target.ID+".html")))
		}
		errs = append(errs, r.keepHistory(dir))
	}
	return dir, errors.Join(errs...)
}

// keepHistory writes all operations, one in a line, and all commits.
func (r *Report) keepHistory(dir string) (err error) {
	for name, each := range map[string]func(*json.Encoder) error{
		"operations.jsonl": func(e *json.Encoder) error {
			for _, op := range r.history.Operations {
				if err := e.Encode(op); err != nil {
					return err
				}
			}
			return nil
		},
		"commits.jsonl": func(e *json.Encoder) error {
			for _, commits := range r.history.Commits {
				for i := range commits {
					if err := e.Encode(describeCommit(&commits[i])); err != nil {
						return err
					}
				}
			}
			return nil
		},
	} {
		file, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		if err := errors.Join(each(json.NewEncoder(file)), file.Close()); err != nil {
			return err
		}
	}
	return nil
}
