//go:build !unix

package child

import "errors"

// Pause is not supported here.
func (p *Process) Pause() error { return errors.ErrUnsupported }

// Resume is not supported here.
func (p *Process) Resume() error { return errors.ErrUnsupported }
