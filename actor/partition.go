package actor

// Partition is one of the P slices of the aggregate keyspace, 0 to P-1.
type Partition uint32

// Partitions is the number P of partitions of a cluster. It is fixed when the
// cluster's command stream is created.
type Partitions uint32

// Bounds of [Partitions].
const (
	DefaultPartitions Partitions = 128
	MaxPartitions     Partitions = 16384
)

// Valid reports whether p is a power of two between 1 and [MaxPartitions].
func (p Partitions) Valid() bool {
	return p > 0 && p <= MaxPartitions && p&(p-1) == 0
}

// Of returns the partition of an aggregate. It computes what the NATS server's
// {{partition(P,1,2)}} subject mapping computes from the tokens of kind and id:
// 32-bit FNV-1a over their bytes without a separator, modulo P
// (nats-server, server/subject_transform.go, getHashPartition).
func (p Partitions) Of(a Address) Partition {
	const offset, prime = 2166136261, 16777619
	h := uint32(offset)
	for i := range len(a.Kind) {
		h = (h ^ uint32(a.Kind[i])) * prime
	}
	token := a.Token()
	for i := range len(token) {
		h = (h ^ uint32(token[i])) * prime
	}
	return Partition(h % uint32(p))
}
