// Package mongo is the production store: [store.Store] on a MongoDB replica set.
package mongo
