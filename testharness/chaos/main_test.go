package chaos_test

import (
	"testing"

	"github.com/ganglion-go/ganglion/examples/trader/domain"
	"github.com/ganglion-go/ganglion/testharness/chaos"
)

func TestMain(m *testing.M) { chaos.Main(m, append(domain.Definitions(), accounts)...) }
