package store

import "context"

// Binding is what a store belongs to. The streams through which its nodes are
// reached name the store in turn, so that neither side is taken for that of another
// cluster.
type Binding struct {
	Store      string // identity of the store: drawn when it is bound, and kept in whatever copies it
	Namespace  string // of its streams
	Partitions uint32 // into which its aggregates are divided; 0: not recorded yet
}

// Bindings keeps the one binding of a store.
type Bindings interface {
	// Bind records namespace and partitions where nothing is recorded yet, and returns
	// what is recorded then: of several callers at the same time one is the first, and all
	// get the same answer. What was recorded is never changed. Partitions 0 records the
	// namespace alone, and the first caller with another number completes it. It is
	// idempotent. ErrUnknown: the write may have happened.
	Bind(ctx context.Context, namespace string, partitions uint32) (Binding, error)
}
