//go:build linux || darwin

package node

import "golang.org/x/sys/unix"

// inodeOf returns what tells a folder from a copy of it under the same path.
func inodeOf(dir string) (uint64, error) {
	var s unix.Stat_t
	if err := unix.Stat(dir, &s); err != nil {
		return 0, err
	}
	return s.Ino, nil
}
