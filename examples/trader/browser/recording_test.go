//go:build manual

package browser_test

import (
	"bytes"
	"cmp"
	"image"
	"image/color"
	"image/draw"
	"image/gif"
	"image/png"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
)

const (
	frameEvery   = 400 * time.Millisecond
	recordingMax = 45 * time.Second
	recordedMax  = 3 << 20 // bytes
	lastFrame    = 4 * time.Second
	colours      = 255 // and none, where nothing has changed
)

// recording is a film of a page.
type recording struct {
	frames []*image.RGBA
	times  []time.Time
}

// record takes pictures of the page that is open, until an expression has been true in it for
// some time, or for as long as a recording may be.
func (p *tab) record(until string, then time.Duration) (r recording) {
	p.t.Helper()
	tick := time.NewTicker(frameEvery)
	defer tick.Stop()
	seen := time.Time{}
	for began := time.Now(); time.Since(began) < recordingMax; <-tick.C {
		shown, err := png.Decode(bytes.NewReader(p.capture(page.CaptureScreenshotFormatPng)))
		if err != nil {
			p.t.Fatal(err)
		}
		frame := image.NewRGBA(shown.Bounds())
		draw.Draw(frame, frame.Bounds(), shown, shown.Bounds().Min, draw.Src)
		r.frames, r.times = append(r.frames, frame), append(r.times, time.Now())
		if seen.IsZero() && get[bool](p, until) {
			seen = time.Now()
		}
		if !seen.IsZero() && time.Since(seen) > then {
			return r
		}
	}
	p.t.Errorf("not within %v: %s", recordingMax, until)
	return r
}

// length is that of one turn of the loop.
func (r *recording) length() time.Duration {
	return r.times[len(r.times)-1].Sub(r.times[0]) + lastFrame
}

// save writes the film as a GIF that begins anew at its end. Each picture has only what is
// new in it.
func (r *recording) save(t *testing.T, file string) {
	t.Helper()
	palette := r.palette()
	index := map[color.RGBA]uint8{}
	film := gif.GIF{Config: image.Config{ColorModel: palette, Width: r.frames[0].Rect.Dx(), Height: r.frames[0].Rect.Dy()}}
	for i, frame := range r.frames {
		picture := image.NewPaletted(r.changed(i), palette)
		for y := picture.Rect.Min.Y; y < picture.Rect.Max.Y; y++ {
			for x := picture.Rect.Min.X; x < picture.Rect.Max.X; x++ {
				c := frame.RGBAAt(x, y)
				if i > 0 && c == r.frames[i-1].RGBAAt(x, y) {
					picture.SetColorIndex(x, y, 0)
					continue
				}
				at, known := index[c]
				if !known {
					at = 1 + uint8(palette[1:].Index(c)) //nolint:gosec // below 255
					index[c] = at
				}
				picture.SetColorIndex(x, y, at)
			}
		}
		last := lastFrame
		if i+1 < len(r.frames) {
			last = r.times[i+1].Sub(r.times[i])
		}
		film.Image, film.Delay = append(film.Image, picture), append(film.Delay, int(last/(10*time.Millisecond)))
		film.Disposal = append(film.Disposal, gif.DisposalNone)
	}
	var data bytes.Buffer
	if err := gif.EncodeAll(&data, &film); err != nil {
		t.Fatal(err)
	}
	if data.Len() > recordedMax {
		t.Errorf("%s has %d bytes, and may have %d", file, data.Len(), recordedMax)
	}
	t.Logf("%s: %v, %d pictures, %d bytes", file, r.length().Round(100*time.Millisecond), len(r.frames), data.Len())
	if err := os.WriteFile(file, data.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// changed is the smallest part of a picture that has all that differs from the one before.
func (r *recording) changed(i int) image.Rectangle {
	frame := r.frames[i]
	if i == 0 {
		return frame.Rect
	}
	before, part := r.frames[i-1], image.Rectangle{}
	for y := frame.Rect.Min.Y; y < frame.Rect.Max.Y; y++ {
		for x := frame.Rect.Min.X; x < frame.Rect.Max.X; x++ {
			if frame.RGBAAt(x, y) != before.RGBAAt(x, y) {
				part = part.Union(image.Rect(x, y, x+1, y+1))
			}
		}
	}
	if part.Empty() {
		return image.Rect(0, 0, 1, 1)
	}
	return part
}

// palette is none, and the colours that are seen most: a page has few, and the shades at the
// edges of its letters.
func (r *recording) palette() color.Palette {
	seen := map[color.RGBA]int{}
	for i := 0; i < len(r.frames); i += 4 {
		frame := r.frames[i]
		for y := frame.Rect.Min.Y; y < frame.Rect.Max.Y; y++ {
			for x := frame.Rect.Min.X; x < frame.Rect.Max.X; x++ {
				seen[frame.RGBAAt(x, y)]++
			}
		}
	}
	all := slices.SortedFunc(maps.Keys(seen), func(a, b color.RGBA) int { return cmp.Compare(seen[b], seen[a]) })
	palette := color.Palette{color.RGBA{}}
	for _, c := range all { // those that can hardly be told apart are one
		if len(palette) > colours {
			break
		}
		if !slices.ContainsFunc(palette[1:], func(other color.Color) bool { return near(c, other) }) {
			palette = append(palette, c)
		}
	}
	return palette
}

func near(a color.RGBA, other color.Color) bool {
	b, _ := other.(color.RGBA)
	away := func(x, y uint8) int { return max(int(x)-int(y), int(y)-int(x)) }
	return away(a.R, b.R)+away(a.G, b.G)+away(a.B, b.B) < 14
}
