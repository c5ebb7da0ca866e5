package node_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/node"
)

// TestConfig_NATS_Faults has every fault of the flags of NATS told, and all of one
// configuration at once.
func TestConfig_NATS_Faults(t *testing.T) {
	t.Parallel()
	short := filepath.Join(t.TempDir(), "short")
	if err := os.WriteFile(short, []byte("hush\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	secret, _ := secretFile(t)
	id := newAuthority(t, "ours")
	cluster := node.Config{NATSClusterAddr: "127.0.0.1:6222", NATSRoutes: []string{"127.0.0.1:6223", "127.0.0.1:6224"}}
	for name, c := range map[string]struct {
		cfg  func(cfg *node.Config)
		want []string
	}{
		"replicas alone": {func(cfg *node.Config) { *cfg = node.Config{Replicas: 3} }, []string{"Config.Replicas=3"}},
		"no routes":      {func(cfg *node.Config) { cfg.NATSRoutes = nil }, []string{"Config.NATSRoutes: 0 other nodes"}},
		"too few routes": {func(cfg *node.Config) { cfg.NATSRoutes = []string{"127.0.0.1:6223"} }, []string{"1 other nodes", "Config.Replicas=3"}},
		"itself is no other": {
			func(cfg *node.Config) { cfg.NATSRoutes = []string{"127.0.0.1:6222", "127.0.0.1:6223"} },
			[]string{"1 other nodes"},
		},
		"bad routes": {
			func(cfg *node.Config) { cfg.NATSRoutes = []string{"nowhere", "127.0.0.1:0", ":6223"} },
			[]string{`"nowhere"`, `"127.0.0.1:0"`, `":6223"`},
		},
		"no port":             {func(cfg *node.Config) { cfg.NATSClusterAddr = "127.0.0.1:0" }, []string{"the others must know the port"}},
		"no cluster":          {func(cfg *node.Config) { cfg.NATSClusterAddr = "" }, []string{"Config.NATSRoutes: of no use"}},
		"reached by others":   {func(cfg *node.Config) { cfg.NATSClusterAddr = "10.0.0.1:6222" }, []string{"other machines reach it"}},
		"reached by all":      {func(cfg *node.Config) { cfg.NATSClusterAddr = ":6222" }, []string{"other machines reach it"}},
		"clients reach it":    {func(cfg *node.Config) { cfg.NATSClientAddr = "0.0.0.0:4222" }, []string{"Config.NATSClientAddr", "other machines reach it"}},
		"short secret":        {func(cfg *node.Config) { cfg.NATSSecretFile = short }, []string{"a secret of 4 bytes"}},
		"no secret there":     {func(cfg *node.Config) { cfg.NATSSecretFile = short + "er" }, []string{"Config.NATSSecretFile", "no such file"}},
		"TLS and no secret":   {func(cfg *node.Config) { cfg.NATSTLSCA, cfg.NATSTLSCert, cfg.NATSTLSKey = id.file, id.file, id.file }, []string{"give Config.NATSSecretFile"}},
		"part of TLS":         {func(cfg *node.Config) { cfg.NATSTLSCA = id.file }, []string{"all three or none"}},
		"TLS for nobody":      {func(cfg *node.Config) { *cfg = node.Config{NATSTLSCA: id.file} }, []string{"Config.NATSTLSCA: of no use"}},
		"secret for nobody":   {func(cfg *node.Config) { *cfg = node.Config{NATSSecretFile: secret} }, []string{"Config.NATSSecretFile: of no use"}},
		"credentials":         {func(cfg *node.Config) { cfg.NATSCreds = secret }, []string{"Config.NATSCreds: of no use"}},
		"and external":        {func(cfg *node.Config) { cfg.NATSURL = "nats://h:1" }, []string{"Config.NATSClusterAddr: of no use", "Config.NATSRoutes: of no use"}},
		"no time":             {func(cfg *node.Config) { cfg.ClusterTimeout = -1 }, []string{"Config.ClusterTimeout=-1ns"}},
		"not an address":      {func(cfg *node.Config) { cfg.NATSClientAddr = "h:99999" }, []string{"Config.NATSClientAddr"}},
		"several at a time":   {func(cfg *node.Config) { cfg.NATSClusterAddr, cfg.NATSCreds, cfg.Lease = ":x", secret, time.Nanosecond }, []string{"Config.NATSClusterAddr", "Config.NATSCreds", "Config.Lease=1ns"}},
		"certificate no file": {func(cfg *node.Config) { cfg.NATSTLSCert = short }, []string{"give both or none"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := cluster
			c.cfg(&cfg)
			cfg.DataDir = t.TempDir()
			_, err := node.Open(t.Context(), cfg, gauges(nil))
			if !errors.Is(err, node.ErrConfig) {
				t.Fatalf("error %v", err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("nothing of %q in\n%v", want, err)
				}
			}
		})
	}
}
