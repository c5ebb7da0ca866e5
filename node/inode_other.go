//go:build !linux && !darwin

package node

// inodeOf knows nothing here: a copy is told by its path and its host.
func inodeOf(string) (uint64, error) { return 0, nil }
