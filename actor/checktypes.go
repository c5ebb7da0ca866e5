package actor

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// checkTypes reports all types of a definition that JSON does not bring back as they
// were, in an order that is always the same.
func (b *Behavior) checkTypes() error {
	var faults []error
	check := func(role string, i inspector, t reflect.Type) {
		if err := i.check(t, false); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", role, err))
		}
	}
	both := inspector{encode: true, decode: true}
	for _, name := range slices.Sorted(maps.Keys(b.forms)) {
		if f := b.forms[name]; f.becomes == name {
			check("event "+name, both, f.stored)
		} else {
			check("older form "+name, inspector{decode: true}, f.stored)
		}
	}
	for _, of := range []struct {
		what     string
		handlers map[string]*handler
	}{{"command", b.commands}, {"query", b.queries}} {
		for _, name := range slices.Sorted(maps.Keys(of.handlers)) {
			h := of.handlers[name]
			check(of.what+" "+name, both, h.payload)
			check("reply of "+name, both, h.reply)
		}
	}
	if b.viewSet {
		check("view of the state", both, b.viewType)
	}
	for _, r := range b.rejections {
		for _, key := range slices.Sorted(maps.Keys(r.Details)) {
			check("detail "+key+" of rejection "+r.Code, inspector{encode: true}, reflect.TypeOf(r.Details[key]))
		}
	}
	return errors.Join(faults...)
}
