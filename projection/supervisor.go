package projection

import "context"

type supervisor struct {
	engine     *Engine
	projection *Projection
}

func (s *supervisor) run(ctx context.Context) { <-ctx.Done() }
