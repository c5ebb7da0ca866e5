package domain

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
)

// digest stands for an id: ids are up to 256 bytes, and many are kept.
type digest [16]byte

func digestOf(id string) digest {
	sum := sha256.Sum256([]byte(id))
	return digest(sum[:])
}

// recentIDs remembers the latest of the ids that were added. The zero value is
// empty. In JSON it is the base64 of all digests, the oldest first.
type recentIDs struct {
	ring []digest // the oldest at next, once the ring is full
	next int
	has  map[digest]bool
}

// add remembers an id, and forgets the oldest of limit. limit is the same at
// every call. Adding an id again does not make it younger.
func (r *recentIDs) add(id string, limit int) {
	d := digestOf(id)
	if r.has[d] {
		return
	}
	if r.has == nil {
		r.has = map[digest]bool{}
	}
	r.has[d] = true
	if len(r.ring) < limit {
		r.ring = append(r.ring, d)
		return
	}
	delete(r.has, r.ring[r.next])
	r.ring[r.next] = d
	r.next = (r.next + 1) % limit
}

func (r *recentIDs) contains(id string) bool { return len(r.has) > 0 && r.has[digestOf(id)] }

// MarshalJSON implements [json.Marshaler].
func (r recentIDs) MarshalJSON() ([]byte, error) {
	all := make([]byte, 0, len(r.ring)*len(digest{}))
	for i := range r.ring {
		d := r.ring[(r.next+i)%len(r.ring)]
		all = append(all, d[:]...)
	}
	return json.Marshal(all)
}

var errDigests = errors.New("remembered ids: not a whole number of digests")

// UnmarshalJSON implements [json.Unmarshaler].
func (r *recentIDs) UnmarshalJSON(data []byte) error {
	var all []byte
	if err := json.Unmarshal(data, &all); err != nil {
		return err
	}
	if len(all)%len(digest{}) != 0 {
		return errDigests
	}
	*r = recentIDs{has: map[digest]bool{}}
	for len(all) > 0 {
		d := digest(all[:len(digest{})])
		r.ring = append(r.ring, d)
		r.has[d] = true
		all = all[len(d):]
	}
	return nil
}
