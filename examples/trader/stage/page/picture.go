package page

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// picture is the drawing of the machine: boxes for parts, lines for what flows between
// them, and a cell for each partition. All lengths are in units of its view box.
type picture struct {
	Class         string // wide or tall: which one is shown is for the style sheet
	Width, Height int
	Label         string
	Boxes         []box
	Flows         []flow
	Cells         []cell
	Rings         []ring
	Texts         []text
}

// box is a part, and what is written in it.
type box struct {
	X, Y, W, H int
	Class      string
	Title      string
	Name       text
	Lines      []text
}

// flow is a line along which something goes.
type flow struct {
	Path  string
	Class string
	Rate  string // dots a second; "0": it stands
}

// cell is a partition.
type cell struct {
	X, Y, W, H string
	Class      string
	Title      string
}

// ring is a member of the replica set, or of the NATS servers as a store.
type ring struct {
	X, Y, R int
	Class   string
	Title   string
}

// text is something written.
type text struct {
	X, Y  int
	Class string
	Text  string
}

// dotsMost is how many dots a second pass on the busiest line at the most.
const dotsMost = 12

// perDot is how many requests a dot stands for: the smallest of 1, 2, 5, 10, 20, ... with
// which the busiest line is readable.
func perDot(busiest float64) float64 {
	if !finite(busiest) {
		return 1
	}
	for unit := 1.0; ; unit *= 10 {
		for _, n := range []float64{1, 2, 5} { // as on coins
			if busiest <= n*unit*dotsMost {
				return n * unit
			}
		}
	}
}

// rates are what flows along the lines of one track, in the same order.
func (t Track) rates() [3]*float64 { return [3]*float64{t.Requests, t.Commands, t.Writes} }

func busiest(s Snapshot) (most float64) {
	for _, t := range s.Tracks {
		for _, r := range t.rates() {
			if r != nil && finite(*r) {
				most = max(most, *r)
			}
		}
	}
	return most
}

// dots returns how many of them pass a second.
func dots(rate *float64, each float64, stopped bool) string {
	if rate == nil || stopped || !finite(*rate) || *rate <= 0 {
		return "0"
	}
	return strconv.FormatFloat(*rate/each, 'f', 2, 64)
}

// hues is how many colours and shapes owners have before they repeat.
const hues = 4

// hue returns the class of a track's colour, by its place.
func hue(i int) string { return "o" + strconv.Itoa(i%hues+1) }

// stands reports whether a part does nothing at the moment.
func stands(state string) bool {
	switch state {
	case Dead, Paused, Cut, Starting:
		return true
	}
	return false
}

// tone is the class of a part's state.
func tone(state string) string {
	switch state {
	case Up, "":
		return "up"
	case Dead:
		return "dead"
	case Paused, Cut:
		return "still"
	}
	return "changing"
}

// heats is how many steps of brightness cells have.
const heats = 10

// heat returns the step for a partition's traffic: each doubling is one more.
func heat(rate float64) int {
	if !finite(rate) || rate <= 0 {
		return 0
	}
	return min(heats-1, max(1, int(math.Log2(rate)+4))) // an eighth a second is the first step
}

// grid is where cells are.
type grid struct {
	x, y, w, h int
	columns    int
	n          int
}

// newGrid fits n cells into a rectangle. The number in a row is a power of two, as that of
// partitions is: the last row has no gap.
func newGrid(x, y, w, h, n int) grid {
	ratio := float64(w) / float64(h) * 1.6 // cells are higher than wide
	columns := math.Exp2(math.Round(math.Log2(math.Sqrt(float64(max(n, 1)) * ratio))))
	return grid{x: x, y: y, w: w, h: h, columns: max(1, int(columns)), n: n}
}

// cells draws partitions.
func (g grid) cells(s Snapshot, owners map[string]int) []cell {
	rows := (g.n + g.columns - 1) / g.columns
	dx, dy := float64(g.w)/float64(g.columns), float64(g.h)/float64(max(rows, 1))
	gap := math.Min(2, math.Min(dx, dy)*0.15) // a hair
	all := make([]cell, 0, g.n)
	for i, p := range s.Partitions {
		class := "nobody"
		if at, known := owners[p.Owner]; known && p.Owner != "" {
			class = hue(at) + " h" + strconv.Itoa(heat(p.Rate))
		} else if p.Owner != "" {
			class = "stranger"
		}
		if age := s.Time.Sub(p.Moved); !p.Moved.IsZero() && age < movedFor {
			class += " moved"
		}
		all = append(all, cell{
			X: decimal(float64(g.x) + float64(i%g.columns)*dx), Y: decimal(float64(g.y) + float64(i/g.columns)*dy),
			W: decimal(dx - gap), H: decimal(dy - gap), Class: class, Title: cellTitle(p),
		})
	}
	return all
}

func cellTitle(p Partition) string {
	owner := p.Owner
	if owner == "" {
		owner = "nobody"
	}
	return fmt.Sprintf("Partition %d: %s, %s/s", p.Number, owner, number(p.Rate))
}

func decimal(v float64) string {
	return strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0")
}

// owners returns the place of each track.
func owners(s Snapshot) map[string]int {
	at := map[string]int{}
	for i, t := range s.Tracks {
		at[t.Name] = i
	}
	return at
}

// curve is a line from one point to another that leaves and arrives level, or upright.
func curve(x1, y1, x2, y2 int, upright bool) string {
	if upright {
		m := (y1 + y2) / 2 // the middle
		return fmt.Sprintf("M%d %dC%d %d %d %d %d %d", x1, y1, x1, m, x2, m, x2, y2)
	}
	m := (x1 + x2) / 2 // the middle
	return fmt.Sprintf("M%d %dC%d %d %d %d %d %d", x1, y1, m, y1, m, y2, x2, y2)
}

// pictureWords describes the picture for those who do not see it.
func pictureWords(s Snapshot) string {
	var b strings.Builder
	fmt.Fprintf(&b, "The balancer, %s, gets %s requests a second. ", stateWord(s.Balancer.State), figure(s.Balancer.Rate))
	for _, t := range s.Tracks {
		fmt.Fprintf(&b, "The web server of %s, %s, gets %s a second; %s owns %s of %s and carries out %s commands a second. ",
			t.Name, stateWord(t.State), figure(t.Requests), t.Name, count(int64(t.Partitions)), plural(len(s.Partitions), "partition", "partitions"), figure(t.Commands))
	}
	for _, m := range s.Mongo {
		fmt.Fprintf(&b, "%s is %s. ", m.Name, memberWord(m))
	}
	for _, n := range s.NATS {
		fmt.Fprintf(&b, "%s is %s. ", n.Name, natsWord(n))
	}
	return strings.TrimSpace(b.String())
}

// tracks says how many there are, as people write it.
func tracks(n int) string {
	switch n {
	case 1:
		return "One track"
	case 2:
		return "Two tracks"
	case 3:
		return "Three tracks"
	}
	return plural(n, "track", "tracks")
}

func stateWord(state string) string {
	if state == "" {
		return "in an unknown state"
	}
	return state
}

func memberWord(m Server) string {
	if m.State == Up && m.Role != "" {
		return m.Role
	}
	return stateWord(m.State)
}

func natsWord(n Server) string {
	if n.State != Up {
		return stateWord(n.State)
	}
	text := "up, leader of " + plural(len(n.Leads), "stream", "streams")
	if n.Role != "" {
		text += " and " + n.Role
	}
	return text
}
