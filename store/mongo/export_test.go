package mongo

import "github.com/ganglion-go/ganglion/store"

// What tests of the package see of its inside.

// WriteError is writeError.
func WriteError(err error) error { return writeError("test", err) }

// AppendErrors is appendErrors for n documents.
func AppendErrors(err error, n int) []error {
	errs := make([]error, n)
	appendErrors(err, func(i int, err error) { errs[i] = err }, n)
	return errs
}

// SeeWhat makes s as far-seeing as other, as if s had made other's writes.
func (s *Store) SeeWhat(other *Store) {
	t, _ := other.seen.now()
	s.seen.advance(&t)
}

// EncodeCommit is appendCommit to an empty buffer.
func EncodeCommit(c *store.Commit) ([]byte, bool) { return appendCommit(nil, c) }

// DecodeCommit is decodeCommit.
func DecodeCommit(doc []byte) (store.Commit, error) { return decodeCommit(doc) }
