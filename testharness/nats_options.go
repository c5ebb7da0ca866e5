package testharness

import "github.com/nats-io/nats-server/v2/server"

// NATSOption adjusts an embedded server of [NATS] or [NATSCluster].
type NATSOption func(*natsConfig)

type natsConfig struct {
	listen    bool
	syncEvery bool
	adjust    []func(*server.Options)
}

func newNATSConfig(opts []NATSOption) natsConfig {
	var cfg natsConfig
	for _, opt := range opts {
		opt(&cfg)
	}
	return cfg
}

// WithListener makes the server listen on a free port of 127.0.0.1, so that it
// has a URL for child processes and proxies. Such a server cannot run in a
// synctest bubble. The port stays the same over a restart.
func WithListener() NATSOption {
	return func(cfg *natsConfig) { cfg.listen = true }
}

// WithSyncAlways makes JetStream call fsync for every message, as a production
// set-up that must not lose an acknowledged message on a power cut would.
func WithSyncAlways() NATSOption {
	return func(cfg *natsConfig) { cfg.syncEvery = true }
}

// WithServerOptions hands the options of the server to adjust just before every
// start: accounts, users, limits. Name, store directory, ports and cluster are
// the harness's; changing them is not supported.
func WithServerOptions(adjust func(*server.Options)) NATSOption {
	return func(cfg *natsConfig) { cfg.adjust = append(cfg.adjust, adjust) }
}
