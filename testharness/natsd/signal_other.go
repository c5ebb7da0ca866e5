//go:build !unix

package natsd

import (
	"errors"

	"github.com/ganglion-go/ganglion/testharness/internal/child"
)

// lameDuck is not supported here.
func lameDuck(*child.Process) error { return errors.ErrUnsupported }
