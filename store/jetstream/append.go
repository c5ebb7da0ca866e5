package jetstream

import (
	"context"
	"fmt"

	"github.com/ganglion-go/ganglion/store"
)

// Append implements [store.Commits]. A commit that does not start right after
// the history's last event is a conflict, also when it would leave a gap. The
// largest commit is the server's max_payload less about 1 KiB.
func (s *Store) Append(ctx context.Context, commits []store.Commit) []error {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	all := make([]*conditional, len(commits))
	of := make(map[*conditional]*store.Commit, len(commits))
	for i := range commits {
		all[i] = s.prepare(ctx, &commits[i])
		of[all[i]] = &commits[i]
	}
	s.commits.writeAll(ctx, all, func(ctx context.Context, todo []*conditional, round int) error {
		return s.planAppend(ctx, todo, of, round == 0)
	})
	errs := make([]error, len(commits))
	for i, c := range all {
		if c.err != nil {
			errs[i] = fmt.Errorf("append commit: %w", c.err)
			continue
		}
		s.commits.raiseFloor(c.seq)
		s.versions.note(commits[i].Aggregate, lastCommit{seq: c.seq, version: commits[i].Last()})
	}
	return errs
}

func (s *Store) prepare(ctx context.Context, c *store.Commit) *conditional {
	p := &conditional{subject: s.subjects.commits(c.Aggregate), header: versionsHeader(c)}
	if err := writable(ctx); err != nil {
		p.fail(err)
		return p
	}
	if err := checkSubject(p.subject); err != nil {
		p.fail(err)
		return p
	}
	if err := readable(c); err != nil {
		p.fail(err)
		return p
	}
	data, err := encodeCommit(c)
	if err != nil {
		p.fail(unknown(err)) // not JSON: no store could keep it
		return p
	}
	p.data = data
	return p
}

// maxNested is how deep JSON in a commit may nest. The decoder takes 10,000 levels, of
// which the record has three; the encoder counts each part by itself, and would write
// more than can be read.
const maxNested = 9_990

// readable refuses what could be written, and not be read back.
func readable(c *store.Commit) error {
	deep := false
	part := func(json []byte) { deep = deep || nests(json, maxNested) }
	for i := range c.Events {
		part(c.Events[i].Data)
	}
	for i := range c.Outcomes {
		part(c.Outcomes[i].Reply)
		part(c.Outcomes[i].Rejection)
	}
	for i := range c.Out {
		part(c.Out[i].Data)
		part(c.Out[i].OnRefusalData)
	}
	if deep {
		return fmt.Errorf("JSON nested deeper than %d levels: %w", maxNested, store.ErrTooLarge)
	}
	return nil
}

// nests reports whether JSON is nested deeper than so many levels.
func nests(json []byte, most int) bool {
	if len(json) <= 2*most { // each level has two bytes
		return false
	}
	depth, text := 0, false
	for i := 0; i < len(json); i++ {
		switch c := json[i]; {
		case text && c == '\\':
			i++
		case c == '"':
			text = !text
		case text:
		case c == '{', c == '[':
			if depth++; depth > most {
				return true
			}
		case c == '}', c == ']':
			depth--
		}
	}
	return false
}

// planAppend finds out which message each commit must follow. In the first round
// it trusts what it remembers: the server refuses what does not hold any more.
// Later it asks the stream.
func (s *Store) planAppend(ctx context.Context, todo []*conditional, of map[*conditional]*store.Commit, remembered bool) error {
	ask := make([]*conditional, 0, len(todo))
	for _, c := range todo {
		commit := of[c]
		last, known := s.versions.find(commit.Aggregate)
		switch {
		case known && commit.First <= last.version:
			c.fail(conflict(commit, last.version))
		case remembered && known && commit.First == last.version+1:
			c.expected = last.seq
		case remembered && !known && commit.First == 1:
			c.expected = 0
		default:
			ask = append(ask, c)
		}
	}
	found, err := s.lastCommits(ctx, ask)
	if err != nil {
		return err
	}
	for _, c := range ask {
		commit, last := of[c], found[c.subject]
		if last.seq > 0 {
			s.versions.note(commit.Aggregate, last)
		}
		if commit.First != last.version+1 {
			c.fail(conflict(commit, last.version))
			continue
		}
		c.expected = last.seq
	}
	return nil
}

func conflict(c *store.Commit, last store.Version) error {
	return fmt.Errorf("version %d of %q, which is at %d: %w", c.First, c.Aggregate, last, store.ErrConflict)
}

// lastCommits reads the last commit of each subject. Those without one are absent.
func (s *Store) lastCommits(ctx context.Context, of []*conditional) (map[string]lastCommit, error) {
	const most = 500
	found := map[string]lastCommit{}
	for start := 0; start < len(of); start += most {
		var filters []string
		for _, c := range of[start:min(start+most, len(of))] {
			filters = append(filters, c.subject)
		}
		messages, err := s.commits.last(ctx, filters...)
		if err != nil {
			return nil, err
		}
		for subject, m := range messages {
			_, version, err := versionsOf(&m)
			if err != nil {
				return nil, err
			}
			found[subject] = lastCommit{seq: m.seq, version: version}
		}
	}
	return found, nil
}
