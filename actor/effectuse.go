package actor

import (
	"fmt"
	"slices"
)

// AnyEffect is every [*Effect], whatever its input and result.
type AnyEffect interface {
	Name() string
	isEffect()
}

func (*Effect[I, R]) isEffect() {}

// Effects declares which effects decisions of the kind ask for. It may be left out. With it,
// a node that carries one of them out nowhere says so when it is started, and shows it
// with its effects; and a decision that asks for another one panics, so that a
// test finds what is missing here.
//
// Effects panics for two of one name.
func (d *Definition[S]) Effects(all ...AnyEffect) {
	b := d.behavior
	if b.effects == nil {
		b.effects = []string{}
	}
	for _, e := range all {
		if slices.Contains(b.effects, e.Name()) {
			panic(fmt.Sprintf("actor: %s declares effect %s twice", b.kind, e.Name()))
		}
		b.effects = append(b.effects, e.Name())
	}
	slices.Sort(b.effects)
}

// Effects returns the names of the effects that the definition declares, sorted. ok is false
// if it does not say which there are.
func (b *Behavior) Effects() (names []string, ok bool) {
	return slices.Clone(b.effects), b.effects != nil
}

// mustAskFor panics for an effect that is not among those declared.
func (b *Behavior) mustAskFor(effect string) {
	if b.effects != nil && !slices.Contains(b.effects, effect) {
		panic(fmt.Sprintf("actor: %s asks for effect %s, which its definition does not declare", b.kind, effect))
	}
}
