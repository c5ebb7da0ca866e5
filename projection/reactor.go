package projection

import "github.com/ganglion-go/ganglion/actor"

// NewReactor returns the router of a saga or a policy, named after its kind, and
// false for any other definition. It begins as start says, see [NewRouter].
func NewReactor(d actor.Registrable, start Start) (*Projection, bool) {
	b := d.Behavior()
	reactions := b.Reactions()
	if len(reactions) == 0 {
		return nil, false
	}
	wants, routes := map[actor.Kind][]string{}, map[eventKey]actor.Reaction{}
	for _, r := range reactions {
		wants[r.Kind] = append(wants[r.Kind], r.Event)
		routes[eventKey{r.Kind, r.Event}] = r
	}
	return NewRouter(RouterConfig{
		Name: string(b.Kind()), Wants: wants, Start: start,
		Route: func(e actor.EventRecord) ([]actor.Message, error) {
			return routes[eventKey{e.Source.Kind, e.Name}].Route(e)
		},
	}), true
}
