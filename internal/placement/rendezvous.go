package placement

import "github.com/ganglion-go/ganglion/store"

// Highest returns the member that a partition belongs to: the one whose weight
// for it is the highest (rendezvous hashing: D. Thaler, C. V. Ravishankar, Using
// Name-Based Mappings to Increase Hit Rates, IEEE/ACM Transactions on Networking
// 6(1), 1998). All who know the same members agree, whatever their order, and
// when a member comes or goes, only the partitions that it gets or had change
// hands. Without members it returns "".
func Highest(members []string, p store.Partition) string {
	best, most := "", uint64(0)
	for _, m := range members {
		w := weight(seedOf(m), p)
		if best == "" || w > most || w == most && m < best {
			best, most = m, w
		}
	}
	return best
}

// targets returns the member of each partition.
func targets(members []string, partitions int) []string {
	seeds := make([]uint64, len(members))
	for i, m := range members {
		seeds[i] = seedOf(m)
	}
	all := make([]string, partitions)
	for i := range all {
		most := uint64(0)
		for k, m := range members {
			w := weight(seeds[k], store.Partition(i))
			if k == 0 || w > most || w == most && m < all[i] {
				all[i], most = m, w
			}
		}
	}
	return all
}

// seedOf is 64-bit FNV-1a. Alone it would not do: names that differ in the last
// character have sums that differ in few bits.
func seedOf(name string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 1099511628211
	}
	return mix(h)
}

func weight(seed uint64, p store.Partition) uint64 {
	return mix(seed ^ mix(uint64(p)+0x9e3779b97f4a7c15))
}

// mix is the finalizer of SplitMix64 (Steele, Lea, Flood: Fast Splittable
// Pseudorandom Number Generators, 2014), in which each bit of the input changes
// half of the output's.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
