package main

import (
	"time"

	"github.com/prometheus/procfs"

	"github.com/ganglion-go/ganglion/testharness/mongod"
)

// processor is how much time of all processors has been used. It says more than
// throughput on a machine whose speed changes from minute to minute.
type processor struct{ bench, servers time.Duration }

// processorTime reads what this process, which has our node in it, and the members of
// the replica set have used since their start. It is zero where there is no /proc, and
// for the servers of a replica set that was not started here.
func processorTime(rs *mongod.ReplicaSet) (p processor) {
	self, err := procfs.Self()
	if err != nil {
		return p
	}
	p.bench = used(self.PID)
	if rs == nil {
		return p
	}
	for _, m := range rs.Members() {
		p.servers += used(m.PID())
	}
	return p
}

func used(pid int) time.Duration {
	process, err := procfs.NewProc(pid)
	if err != nil {
		return 0
	}
	stat, err := process.Stat()
	if err != nil {
		return 0
	}
	return time.Duration(stat.CPUTime() * float64(time.Second))
}

// per returns the time for each of n operations since an earlier reading.
func (p processor) per(n int64, since processor) processor {
	n = max(n, 1)
	return processor{(p.bench - since.bench) / time.Duration(n), (p.servers - since.servers) / time.Duration(n)}
}
