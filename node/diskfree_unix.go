//go:build linux || darwin

package node

import "golang.org/x/sys/unix"

// diskSpace returns what is free for this process on the disk of a folder, and how large
// the disk is, in bytes.
func diskSpace(dir string) (free, total uint64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, 0, err
	}
	size := uint64(s.Bsize) //nolint:gosec // its type differs between systems, and it is not negative
	return s.Bavail * size, s.Blocks * size, nil
}
