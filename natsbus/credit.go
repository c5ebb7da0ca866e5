package natsbus

// credit counts the messages that a pull consumer may still send, so that the
// server always has some to spend and never more than the window. It is the
// client's half of pull flow control, without I/O.
type credit struct {
	window int
	open   int // granted and not yet used
}

// grant returns how many messages to ask for now, 0 for none. It asks again
// when half of the window is used up: seldom, and before the server runs dry.
func (c *credit) grant() int {
	if c.open > c.window/2 {
		return 0
	}
	n := c.window - c.open
	c.open = c.window
	return n
}

// used notes the arrival of a message.
func (c *credit) used() { c.open = max(c.open-1, 0) }

// returned notes that the server gives back n that it will not use.
func (c *credit) returned(n int) { c.open = max(c.open-n, 0) }
