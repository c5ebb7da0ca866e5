package page

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// movedFor is how long a partition is marked after it went to another owner.
const movedFor = 4 * time.Second

// sketch is a picture while it is drawn.
type sketch struct {
	picture
	s    Snapshot
	each float64 // what a dot stands for
	old  bool    // the figures are too old for anything to move
	at   map[string]int

	primary *ring // drawn last, so that it is one element that moves; nil: there is none
}

func newSketch(s Snapshot, class string, old bool) *sketch {
	k := &sketch{s: s, each: perDot(busiest(s)), old: old, at: owners(s)}
	k.Class, k.Label = class, pictureWords(s)
	return k
}

func (k *sketch) text(x, y int, class, words string) {
	k.Texts = append(k.Texts, text{X: x, Y: y, Class: class, Text: words})
}

// box adds one with its name and lines, which are cut to its width.
func (k *sketch) box(x, y, w, h int, class, name string, lines ...string) {
	most := max(4, 2*(w-22)/13)
	b := box{X: x, Y: y, W: w, H: h, Class: class, Title: name, Name: text{X: x + 14, Y: y + 25, Text: short(name, max(4, (w-22)/9))}}
	for i, line := range lines {
		b.Lines = append(b.Lines, text{X: x + 14, Y: y + 45 + 18*i, Text: short(line, most)})
	}
	k.Boxes = append(k.Boxes, b)
}

// flow adds a line, which stands if its part does.
func (k *sketch) flow(path, class string, rate *float64, state string) {
	if stands(state) {
		class += " gone"
	}
	k.Flows = append(k.Flows, flow{Path: path, Class: class, Rate: dots(rate, k.each, k.old || stands(state))})
}

// webLines are what is written in the box of a web server; in a narrow one, on more lines.
func (k *sketch) webLines(t Track, narrow bool) []string {
	if stands(t.State) {
		return []string{k.stateLine(t.State, t.Since)}
	}
	rate, half, most := figure(t.Requests)+" req/s", "p50 "+duration(t.P50), "p99 "+duration(t.P99)
	if narrow {
		return []string{rate, half, most}
	}
	return []string{rate, half + " · " + most}
}

// nodeLines are what is written in the box of a node.
func (k *sketch) nodeLines(t Track) []string {
	first := plural(t.Partitions, "partition", "partitions")
	if stands(t.State) {
		return []string{k.stateLine(t.State, t.Since), first}
	}
	return []string{first + " · " + figure(t.Commands) + "/s", figure(t.PerWrite) + " commands/write", figure(t.Conflicts) + " conflicts/s"}
}

// stateLine says what state a part is in, and for how long.
func (k *sketch) stateLine(state string, from time.Time) string {
	if for_ := since(from, k.s.Time); for_ != "" {
		return state + " for " + for_
	}
	return state
}

// nodeName has the state behind it, where it is not that of every day.
func nodeName(name, state string) string {
	if state == Up || state == "" || stands(state) {
		return name
	}
	return name + " · " + state
}

func (k *sketch) grid(g grid) {
	k.Cells = g.cells(k.s, k.at)
}

// legend names the owners, with their colours and shapes, below the cells.
func (k *sketch) legend(x, y, w int) {
	unowned := 0
	for _, p := range k.s.Partitions {
		if p.Owner == "" {
			unowned++
		}
	}
	n := max(1, len(k.s.Tracks))
	step := w / n
	for i, t := range k.s.Tracks {
		k.Cells = append(k.Cells, cell{X: decimal(float64(x + i*step)), Y: decimal(float64(y - 11)), W: "12", H: "12", Class: hue(i) + " h7", Title: t.Name})
		k.text(x+i*step+18, y, "soft", short(t.Name, max(4, (step-22)/7)))
	}
	if unowned > 0 {
		k.text(x, y+20, "warn", plural(unowned, "partition without an owner", "partitions without an owner"))
	}
}

func (k *sketch) dotWords() string {
	if k.each == 1 {
		return "a dot is one request"
	}
	return "a dot is " + strings.TrimSuffix(number(k.each), ".0") + " requests"
}

// drawn returns the picture.
func (k *sketch) drawn() picture {
	if k.primary != nil {
		k.Rings = append(k.Rings, *k.primary)
	}
	return k.picture
}

// wide draws from left to right.
func wide(s Snapshot, old bool) picture {
	k := newSketch(s, "wide", old)
	n := max(1, len(s.Tracks))
	top, room := 8, max(280, n*118)
	middle := top + room/2
	k.Width = 1000

	gx, gw, gh := 404, 214, min(room-56, 216)
	gy := middle - gh/2
	k.text(gx, gy-12, "soft", plural(len(s.Partitions), "partition, its owner's colour", "partitions, coloured by owner"))
	k.grid(newGrid(gx, gy, gw, gh, len(s.Partitions)))
	k.legend(gx, gy+gh+22, gw)

	k.box(8, middle-37, 114, 74, "balancer "+tone(s.Balancer.State), "Balancer", k.balancerLine())
	for i, t := range s.Tracks {
		y, h := top+room*(2*i+1)/(2*n), hue(i)
		k.flow(curve(122, middle+(y-middle)/8, 168, y, false), h, t.Requests, t.State)
		k.flow(curve(362, y, gx-6, gy+gh*(2*i+1)/(2*n), false), h, t.Requests, t.State)
		k.flow(curve(gx+gw+4, gy+gh*(2*i+1)/(2*n), 668, y, false), h, t.Commands, t.State)
		k.flow(curve(852, y, 880, middle+(y-middle)/6, false), h, t.Writes, t.State)
		k.box(168, y-37, 194, 74, h+" "+tone(t.State), fmt.Sprintf("Web %d", i+1), k.webLines(t, false)...)
		k.box(668, y-52, 184, 104, h+" "+tone(t.State), nodeName(t.Name, t.State), k.nodeLines(t)...)
	}
	k.store(938, middle)
	k.text(8, top+room+48, "name", "NATS")
	k.text(8, top+room+66, "soft", "the command bus")
	k.Flows = append(k.Flows, flow{Path: fmt.Sprintf("M%d %dV%d", gx+gw/2, gy+gh+34, top+room+24), Class: "link", Rate: "0"})
	k.nats(168, top+room+24, 684)
	k.text(8, middle+58, "soft", k.dotWords())
	k.Height = top + room + 104
	return k.drawn()
}

func (k *sketch) balancerLine() string {
	if stands(k.s.Balancer.State) {
		return k.stateLine(k.s.Balancer.State, k.s.Balancer.Since)
	}
	return figure(k.s.Balancer.Rate) + " req/s"
}

// store draws the replica set around a point, or the store that NATS is.
func (k *sketch) store(x, y int) {
	if len(k.s.Mongo) == 0 {
		k.box(x-56, y-37, 114, 74, "store up", "JetStream", "the store")
		return
	}
	n := len(k.s.Mongo)
	radius := 36
	for i := range k.s.Mongo {
		angle := 2*math.Pi*float64(i)/float64(n) - math.Pi/2
		if n == 1 {
			radius = 0
		}
		k.member(i, x+int(math.Round(float64(radius)*math.Cos(angle))), y+int(math.Round(float64(radius)*math.Sin(angle))), max(10, 25-4*max(0, n-3)))
	}
	k.setLines(x, y+radius+50)
}

// setLines says below the replica set who its primary is.
func (k *sketch) setLines(x, y int) {
	primary := "no primary"
	for _, m := range k.s.Mongo {
		if m.Role == "primary" && !stands(m.State) {
			primary = "primary " + m.Name
		}
	}
	k.text(x, y, "soft middle", short(primary, 17))
	k.text(x, y+18, "soft middle", "w: majority")
}

// member draws one of the replica set; a second ring is the primary's.
func (k *sketch) member(i, x, y, r int) {
	m := k.s.Mongo[i]
	k.Rings = append(k.Rings, ring{X: x, Y: y, R: r, Class: "member " + tone(m.State), Title: m.Name + ": " + memberWord(m)})
	if m.Role == "primary" && !stands(m.State) {
		k.primary = &ring{X: x, Y: y, R: r + 4, Class: "primary", Title: m.Name + " is the primary"}
	}
	word := m.Name
	if stands(m.State) {
		word = m.State
	}
	k.text(x, y+4, "small middle", short(word, 8))
}

// nats draws the servers beside each other.
func (k *sketch) nats(x, y, w int) {
	n := len(k.s.NATS)
	if n == 0 {
		k.text(x, y+24, "soft", "no server is known")
		return
	}
	gap := 10
	each := (w - gap*(n-1)) / n
	for i, server := range k.s.NATS {
		lines := []string{"leads " + plural(len(server.Leads), "stream", "streams"), server.Role}
		if each < 150 {
			lines[0] = "leads " + count(int64(len(server.Leads)))
		}
		if server.State != Up {
			lines = []string{k.stateLine(server.State, server.Since)}
		}
		k.box(x+i*(each+gap), y, each, 76, "nats "+tone(server.State), server.Name, lines...)
		if len(server.Leads) > 0 {
			k.Boxes[len(k.Boxes)-1].Title += ": leads " + strings.Join(server.Leads, ", ")
		}
	}
}

// tall draws from top to bottom, for narrow pages.
func tall(s Snapshot, old bool) picture {
	k := newSketch(s, "tall", old)
	n := max(1, len(s.Tracks))
	k.Width = max(360, n*130)
	middle, gap := k.Width/2, 12
	each := (k.Width - gap*(n-1) - 4) / n

	gy, gh := 248, 150
	k.text(4, gy-12, "soft", plural(len(s.Partitions), "partition, its owner's colour", "partitions, coloured by owner"))
	k.grid(newGrid(4, gy, k.Width-8, gh, len(s.Partitions)))
	k.legend(4, gy+gh+24, k.Width-8)
	k.box(middle-66, 2, 132, 62, "balancer "+tone(s.Balancer.State), "Balancer", k.balancerLine())
	for i, t := range s.Tracks {
		x, h := 2+i*(each+gap), hue(i)
		center := x + each/2
		k.flow(curve(middle+(center-middle)/4, 64, center, 104, true), h, t.Requests, t.State)
		k.flow(curve(center, 196, center, gy-30, true), h, t.Requests, t.State)
		k.flow(curve(center, gy+gh+54, center, 488, true), h, t.Commands, t.State)
		k.flow(curve(center, 592, middle+(center-middle)/4, 624, true), h, t.Writes, t.State)
		k.box(x, 104, each, 92, h+" "+tone(t.State), fmt.Sprintf("Web %d", i+1), k.webLines(t, true)...)
		k.box(x, 488, each, 104, h+" "+tone(t.State), nodeName(t.Name, t.State), k.nodeLines(t)...)
	}
	y := 660
	if m := len(s.Mongo); m == 0 {
		k.store(middle, y+4)
	} else {
		for i := range s.Mongo {
			k.member(i, k.Width*(2*i+1)/(2*m), y, min(28, k.Width/(2*m)-6))
		}
		k.setLines(middle, y+52)
	}
	k.text(2, y+104, "soft", "NATS, the command bus")
	k.nats(2, y+114, k.Width-4)
	k.Height = y + 218
	k.text(2, k.Height-8, "soft", k.dotWords())
	return k.drawn()
}
