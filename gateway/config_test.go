package gateway_test

import (
	"strings"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/gateway"
)

func TestNew_TellsAllFaults(t *testing.T) {
	t.Parallel()
	_, err := gateway.New(nil, []actor.Registrable{accounts(), accounts()}, gateway.Config{
		MaxBodyBytes: -1, MaxStreams: -1, DefaultTimeout: -1, MaxTimeout: -1,
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"client", "account", "MaxBodyBytes", "MaxStreams", "DefaultTimeout", "MaxTimeout"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not tell of %s", err, want)
		}
	}
}

func TestNew_Timeouts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cfg  gateway.Config
		want time.Duration // of a request that names none; 0: refused
	}{
		{gateway.Config{}, 10 * time.Second},
		{gateway.Config{MaxTimeout: 2 * time.Second}, 2 * time.Second},
		{gateway.Config{DefaultTimeout: 90 * time.Second}, 90 * time.Second},
		{gateway.Config{DefaultTimeout: time.Second, MaxTimeout: time.Second}, time.Second},
		{gateway.Config{DefaultTimeout: 2 * time.Second, MaxTimeout: time.Second}, 0},
	} {
		f := &client{}
		_, err := gateway.New(f, []actor.Registrable{accounts()}, c.cfg)
		if (err == nil) != (c.want > 0) {
			t.Errorf("%+v: %v", c.cfg, err)
			continue
		}
		if err != nil {
			continue
		}
		served := setup(t, func(cfg *gateway.Config) { *cfg = c.cfg })
		before := time.Now()
		served.do(t, "POST", "/v1/account/a/Close", "")
		givesUpAfter(t, served.client.one(t), before, c.want)
	}
}
