package memory

import (
	"bytes"
	"slices"

	"github.com/ganglion-go/ganglion/store"
)

func cloneCommit(c *store.Commit) store.Commit {
	k := *c
	k.Events = slices.Clone(c.Events)
	for i := range k.Events {
		k.Events[i].Data = bytes.Clone(k.Events[i].Data)
	}
	k.Outcomes = slices.Clone(c.Outcomes)
	for i := range k.Outcomes {
		k.Outcomes[i] = cloneOutcome(&k.Outcomes[i])
	}
	k.Out = slices.Clone(c.Out)
	for i := range k.Out {
		k.Out[i].Data = bytes.Clone(k.Out[i].Data)
		k.Out[i].OnRefusalData = bytes.Clone(k.Out[i].OnRefusalData)
	}
	return k
}

func cloneOutcome(o *store.Outcome) store.Outcome {
	k := *o
	k.Reply, k.Rejection = bytes.Clone(o.Reply), bytes.Clone(o.Rejection)
	return k
}

func cloneSnapshot(s store.Snapshot) store.Snapshot {
	s.State, s.Ring = bytes.Clone(s.State), bytes.Clone(s.Ring)
	return s
}

func cloneSession(s store.Session) store.Session {
	s.Kinds, s.Lacks = slices.Clone(s.Kinds), slices.Clone(s.Lacks)
	return s
}

func cloneParked(p store.Parked) store.Parked {
	p.Message = bytes.Clone(p.Message)
	return p
}
