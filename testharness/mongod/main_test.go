package mongod_test

import (
	"testing"

	"github.com/ganglion-go/ganglion/testharness"
)

func TestMain(m *testing.M) {
	if runChild() {
		return
	}
	testharness.Main(m)
}
