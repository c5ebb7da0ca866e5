//go:build !unix

package demo

import "errors"

func (*process) pause() error { return errors.ErrUnsupported }

func (*process) resume() error { return errors.ErrUnsupported }
