//go:build !linux

package slowsync

// RunChild returns false: there are no such children here.
func RunChild() bool { return false }
