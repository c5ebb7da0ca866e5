package node

import (
	"context"
	"fmt"
	"os"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/store"
)

// OpenStore opens the store that nodes of the configuration use, without being one:
// for tools that read what was committed. It is MongoDB, or JetStream on the NATS
// servers named, or on that of the data folder, which must be there, and which no node may
// have open then. The store is valid until closing is called. Errors are those of [Open].
func OpenStore(ctx context.Context, cfg Config) (_ store.Store, closing func(), err error) {
	s, err := cfg.check()
	if err != nil {
		return nil, nil, err
	}
	return openStore(ctx, s)
}

// openStore is [OpenStore] with settings.
func openStore(ctx context.Context, s settings) (_ store.Store, closing func(), err error) {
	n := newNode(s)
	var steps []func(context.Context, []actor.Registrable) error
	switch {
	case !n.cfg.embeddedStore():
	case n.cfg.clustered():
		return nil, nil, fmt.Errorf(n.cfg.say("the store of embedded servers in a cluster is read through ${NATSURL}: %w"), ErrConfig)
	case n.cfg.embeddedNATS():
		steps = append(steps, n.openFolder, n.openNATS)
	default:
		steps = append(steps, n.openNATS)
	}
	for _, open := range append(steps, n.openStore) {
		if err := open(ctx, nil); err != nil {
			n.release()
			return nil, nil, n.cfg.hide.Error(err)
		}
	}
	return n.store, n.release, nil
}

// openFolder locks the data folder, and leaves the node's name alone. Who reads what was
// committed makes no folder: with another name it would be an empty store.
func (n *Node) openFolder(context.Context, []actor.Registrable) error {
	if _, err := os.Stat(n.cfg.DataDir); err != nil {
		return fmt.Errorf(n.cfg.say("${DataDir}: %w: %w"), err, ErrConfig)
	}
	dir, err := openDataDir(n.cfg.DataDir)
	if err != nil {
		return err
	}
	n.dir = dir
	n.onClose(func() { _ = dir.close() })
	return nil
}
