package actor_test

import (
	"strings"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

func TestCommandID_UnixMilli(t *testing.T) {
	t.Parallel()
	const example = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f" // RFC 9562, appendix A.6
	tests := map[string]struct {
		id   actor.CommandID
		want int64
		ok   bool
	}{
		"RFC example":      {id: example, want: 1645557742000, ok: true},
		"upper case":       {id: actor.CommandID(strings.ToUpper(example)), want: 1645557742000, ok: true},
		"empty":            {id: ""},
		"text":             {id: "order-17"},
		"version 4":        {id: "017f22e2-79b0-4cc3-98c4-dc0c0c07398f"},
		"other variant":    {id: "017f22e2-79b0-7cc3-18c4-dc0c0c07398f"},
		"time not hex":     {id: "017f22g2-79b0-7cc3-98c4-dc0c0c07398f"},
		"rest not hex":     {id: "017f22e2-79b0-7cc3-98c4-dc0c0c07398z"},
		"a dash elsewhere": {id: "017f22e27-9b0-7cc3-98c4-dc0c0c07398f"},
		"one dash more":    {id: "-17f22e2-79b0-7cc3-98c4-dc0c0c07398f"},
		"beyond ASCII":     {id: "017f22e2-79b0-7cc3-98c4-dc0c0c0739é"},
		"too long":         {id: example + "0"},
		"no dashes":        {id: "017f22e279b07cc398c4dc0c0c07398f0000"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if ms, ok := test.id.UnixMilli(); ms != test.want || ok != test.ok {
				t.Errorf("got %d, %v, want %d, %v", ms, ok, test.want, test.ok)
			}
		})
	}
}

func TestDeriveID(t *testing.T) {
	t.Parallel()
	at := time.UnixMilli(1645557742123)
	id := actor.DeriveID(at, "a", "b")
	if id != actor.DeriveID(at, "a", "b") {
		t.Error("not a function of its arguments")
	}
	if want := actor.CommandID("017f22e2-7a2b-7"); !strings.HasPrefix(string(id), string(want)) {
		t.Errorf("got %s, want a UUIDv7 that begins with %s", id, want)
	}
	others := map[string]actor.CommandID{
		"another time":       actor.DeriveID(at.Add(time.Millisecond), "a", "b"),
		"parts moved":        actor.DeriveID(at, "ab"),
		"parts moved, empty": actor.DeriveID(at, "a", "b", ""),
		"parts swapped":      actor.DeriveID(at, "b", "a"),
		"no parts":           actor.DeriveID(at),
	}
	for name, other := range others {
		if other == id {
			t.Errorf("%s: the same id", name)
		}
	}
}

func TestDeriveID_CarriesItsTime(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		at   time.Time
		want int64
	}{
		"now":         {at: time.UnixMilli(1_800_000_000_123), want: 1_800_000_000_123},
		"sub-milli":   {at: time.Unix(0, 1_999_999), want: 1},
		"epoch":       {at: time.UnixMilli(0), want: 0},
		"before 1970": {at: time.UnixMilli(-5), want: 0},
		"zero time":   {at: time.Time{}, want: 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if ms, ok := actor.DeriveID(test.at, "x").UnixMilli(); !ok || ms != test.want {
				t.Errorf("got %d, %v, want %d", ms, ok, test.want)
			}
		})
	}
}

func TestCommandID_Stamped(t *testing.T) {
	t.Parallel()
	own := actor.StampID(1645557742123, 0xabc, 1<<37+5)
	internal := actor.InternalID(time.UnixMilli(1645557742123), "x")
	for name, c := range map[string]struct {
		id actor.CommandID
		ok bool
	}{
		"of a client":      {own, true},
		"in upper case":    {actor.CommandID(strings.ToUpper(string(own))), true},
		"of the runtime":   {internal, true},
		"derived":          {actor.DeriveID(time.UnixMilli(1645557742123), "x"), false},
		"former id":        {internal.Formerly(), false},
		"RFC example":      {"017f22e2-79b0-7cc3-98c4-dc0c0c07398f", false},
		"all ones":         {"ffffffff-ffff-7fff-bfff-ffffffffffff", false},
		"all zeros":        {"00000000-0000-7000-8000-000000000000", false},
		"text":             {"order-17", false},
		"no UUIDv7 inside": {"ganglion.order-17", false},
	} {
		if ms, ok := c.id.Stamped(); ok != c.ok || ok && ms != 1645557742123 {
			t.Errorf("%s, %s: %d, %v", name, c.id, ms, ok)
		}
	}
	for i := range 36 { // whatever is changed in it, it is a key
		for _, digit := range "0123456789abcdef" {
			other := own[:i] + actor.CommandID(digit) + own[i+1:]
			if ms, ok := other.Stamped(); other != own && ok {
				t.Errorf("%s is of a client, and of %d", other, ms)
			}
		}
	}
}

func TestStampID(t *testing.T) {
	t.Parallel()
	id := actor.StampID(0x017f22e27a2b, 0xabc, 1<<38-1)
	if want := "017f22e2-7a2b-7abc-bfff-ffffff"; !strings.HasPrefix(string(id), want) || len(id) != 36 {
		t.Errorf("got %s, want it to begin with %s", id, want)
	}
	seen := map[actor.CommandID]bool{id: true}
	for i := range 64 {
		for _, id := range []actor.CommandID{
			actor.StampID(0x017f22e27a2b^1<<(i%48), 0xabc, 1<<38-1),
			actor.StampID(0x017f22e27a2b, 0xabc^1<<(i%12), 1<<38-1),
			actor.StampID(0x017f22e27a2b, 0xabc, (1<<38-1)^1<<(i%38)),
		} {
			seen[id] = true
		}
	}
	if want := 1 + 48 + 12 + 38; len(seen) != want {
		t.Errorf("%d ids, want %d: all that is given is in them", len(seen), want)
	}
	if ms, ok := actor.StampID(-1, 0xffff, 1<<64-1).Stamped(); !ok || ms != 1<<48-1 {
		t.Errorf("out of range: %d, %v", ms, ok)
	}
}

// The mark must never change: ids that were made before are known by it.
func TestStampID_Golden(t *testing.T) {
	t.Parallel()
	if got, want := actor.StampID(1_800_000_000_000, 7, 42), actor.CommandID("01a3185c-5000-7007-8000-00002a425350"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func FuzzCommandID_UnixMilli(f *testing.F) {
	f.Add("017f22e2-79b0-7cc3-98c4-dc0c0c07398f")
	f.Add("")
	f.Add("zzzzzzzz-zzzz-7zzz-zzzz-zzzzzzzzzzzz")
	f.Fuzz(func(t *testing.T, text string) {
		ms, ok := actor.CommandID(text).UnixMilli()
		if ms < 0 || ms >= 1<<48 {
			t.Fatalf("%q carries %d, which 48 bits cannot", text, ms)
		}
		if !ok && ms != 0 {
			t.Fatalf("%q tells no time and carries %d", text, ms)
		}
		if ok {
			again, ok := actor.DeriveID(time.UnixMilli(ms), text).UnixMilli()
			if !ok || again != ms {
				t.Fatalf("%q: %d comes back as %d", text, ms, again)
			}
		}
	})
}
