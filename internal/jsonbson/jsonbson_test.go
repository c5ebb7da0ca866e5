package jsonbson_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"

	"github.com/ganglion-go/ganglion/internal/jsonbson"
)

// document wraps the element into a document; ok is AppendElement's.
func document(text string) (doc bson.Raw, ok bool) {
	_, dst := bsoncore.AppendDocumentStart(nil)
	dst, ok = jsonbson.AppendElement(dst, "d", []byte(text))
	dst, _ = bsoncore.AppendDocumentEnd(dst, 0)
	return dst, ok
}

func roundTrip(tb testing.TB, text string) (back string, ok bool) {
	tb.Helper()
	doc, ok := document(text)
	if !ok {
		if len(doc) != bsoncore.EmptyDocumentLength {
			tb.Fatalf("%q was declined, but left %d bytes", text, len(doc))
		}
		return "", false
	}
	if err := doc.Validate(); err != nil {
		tb.Fatalf("%q became invalid BSON: %v", text, err)
	}
	value := doc.Lookup("d")
	out, err := jsonbson.AppendJSON(nil, byte(value.Type), value.Value)
	if err != nil {
		tb.Fatalf("%q cannot be read back: %v", text, err)
	}
	return string(out), true
}

func TestAppendElement_KeepsTheText(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{}`, `[]`, `""`, `null`, `true`, `false`, `0`, `-1`, `{"":""}`,
		`{"b":1,"a":{"d":[1,"x",null,true,{}],"c":false}}`,
		`9223372036854775807`, `-9223372036854775808`, `9223372036854775808`,
		`18446744073709551615`, `9999999999999999999999999999999999`,
		`1000000000000000000000000000000000`, `-0`, `0.0`, `-0.0`,
		`1.5`, `0.1`, `1e+21`, `1e-7`, `3.141592653589793`, `5e-324`, `1.7976931348623157e+308`,
		`3.14159265358979323846`, `0.00001234567890123456789`, `-123456789012345678.25`,
		`1.50`, `1e2`, `1152921504606846976`, `2.00`, `0.000`, `-0.00`, `1e400`, `1e-400`, `100.0`, `12345678901234567890`, `0.10`, `1e21`,
		`"\u003ca\u003e \u0026 \u2028\u2029 ` + "\uFFFD" + `"`,
		`"äöü \u0000 \n\r\t\b\f \u001f \\ \" / 🙂"`, `{"a.b":1,"_id":2}`,
	} {
		back, ok := roundTrip(t, text)
		if !ok || back != text {
			t.Errorf("%s came back as %s (ok %v)", text, back, ok)
		}
	}
}

// White space is all that is not kept.
func TestAppendElement_LosesWhiteSpace(t *testing.T) {
	t.Parallel()
	back, ok := roundTrip(t, " { \"a\" : [ 1 , 2 ]\n}\t")
	if want := `{"a":[1,2]}`; !ok || back != want {
		t.Errorf("came back as %s (ok %v), want %s", back, ok, want)
	}
}

func TestAppendElement_Types(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bson.Type{
		`1`: bson.TypeInt64, `1.0`: bson.TypeDouble, `9223372036854775808`: bson.TypeDecimal128,
		`0.1`: bson.TypeDouble, `0.1000000000000000055511151231257827`: bson.TypeDecimal128,
		`"x"`: bson.TypeString, `{"a":1}`: bson.TypeEmbeddedDocument, `[1]`: bson.TypeArray,
		`true`: bson.TypeBoolean, `null`: bson.TypeNull,
	} {
		doc, ok := document(text)
		if got := doc.Lookup("d").Type; !ok || got != want {
			t.Errorf("%s is a %v (ok %v), want %v", text, got, ok, want)
		}
	}
}

func TestAppendElement_Declines(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat(`[`, jsonbson.MaxDepth+1) + strings.Repeat(`]`, jsonbson.MaxDepth+1)
	var many strings.Builder
	for i := range 100 {
		fmt.Fprintf(&many, `"k%d":1,`, i)
	}
	for _, text := range []string{
		`1E2`, `1e+2`, `100E-1`, `1.50e3`, `0.00e500`, `12345678901234567890.5e-3`, `0e0`, `10000000000000000000000000000000000`,
		`"\u00e4"`, `"\ud83d\ude42"`, `"\/"`, `"\u0041"`, `"\u000a"`, `"\u003C"`, `"<"`, `"&"`, "\"\u2028\"", `{"<":1}`,
		``, ` `, `{`, `{"a"}`, `{"a":}`, `{"a":1,}`, `[1,]`, `[,1]`, `[1 2]`, `{a:1}`, `1 2`, `{}x`, `tru`, `nul`, `falsy`,
		`01`, `1.`, `.5`, `-`, `+1`, `1e`, `1e+`, `0x1`, `NaN`, `Infinity`, "\"\n\"", `"\x"`, `"\u12"`, `"\u12g4"`, `"`, `"\`,
		`"\ud800"`, `"\udc00"`, `"\ud800\u0041"`, "\"\xff\"", "{\"\xc3\":1}",
		`{"a":1,"b":2,"a":3}`, `{"a":1,"\u0061":2}`, `{"x":{"a":1,"a":1}}`,
		`{` + many.String() + `"k99":2}`, `{` + many.String() + `"k0":2}`,
		`{"$set":1}`, `{"a\u0000b":1}`, deep,
		`12345678901234567890123456789012345`, `0.12345678901234567890123456789012345`, `1e7000`, `1e-7000`, `1e99999999999999999999`,
	} {
		if back, ok := roundTrip(t, text); ok {
			t.Errorf("%q was taken, and came back as %s", text, back)
		}
	}
}

func TestAppendElement_Depth(t *testing.T) {
	t.Parallel()
	text := strings.Repeat(`{"a":[`, jsonbson.MaxDepth/2) + strings.Repeat(`]}`, jsonbson.MaxDepth/2)
	if back, ok := roundTrip(t, text); !ok || back != text {
		t.Errorf("depth %d was not kept (ok %v)", jsonbson.MaxDepth, ok)
	}
}

func TestAppendElement_DeclinesWhatGrowsTooLarge(t *testing.T) {
	t.Parallel()
	text := `[` + strings.Repeat(`1,`, 2<<20) + `1]`
	if _, ok := document(text); ok {
		t.Errorf("%d bytes of JSON that take more than 16 MiB were taken", len(text))
	}
}

func TestAppendElement_ManyKeys(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, `,"key%d":{"x":%d}`, i, i)
	}
	text := `{` + b.String()[1:] + `}`
	if back, ok := roundTrip(t, text); !ok || back != text {
		t.Errorf("an object of 1000 keys was not kept (ok %v)", ok)
	}
}

// goValue has what Go programs encode most.
type goValue struct {
	I   int64
	U   uint64
	F   float64
	S   string
	Raw json.RawMessage
	M   map[string]any
	P   *int
	B   []byte
}

func TestRoundTrip_DecodesAsBefore(t *testing.T) {
	t.Parallel()
	for _, f := range []float64{0, math.Copysign(0, -1), 1, -1, 100, 1e15, 1 << 53, 1e20, 1e21, 1e-6, 1e-7, 0.1, math.MaxFloat64, math.SmallestNonzeroFloat64, math.Pi * 1e-300} {
		in := goValue{I: math.MinInt64, U: math.MaxUint64, F: f, S: "<a&b>\u2028", Raw: json.RawMessage(`[1]`), M: map[string]any{"x": f}, B: []byte{0, 255}}
		text, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		back, ok := roundTrip(t, string(text))
		if !ok {
			t.Fatalf("%s was declined", text)
		}
		var out goValue
		if err := json.Unmarshal([]byte(back), &out); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(in, out); diff != "" || math.Signbit(in.F) != math.Signbit(out.F) {
			t.Errorf("%s came back as %s: %s", text, back, diff)
		}
	}
}

func TestAppendJSON_Foreign(t *testing.T) {
	t.Parallel()
	doc, err := bson.Marshal(bson.D{
		{Key: "i", Value: int32(-7)},
		{Key: "bad", Value: "a\xffb"},
		{Key: "dec", Value: bson.NewDecimal128(0x3040000000000000|1<<63, 42)},
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := jsonbson.AppendJSON(nil, byte(bson.TypeEmbeddedDocument), doc)
	if want := `{"i":-7,"bad":"a` + "\uFFFD" + `b","dec":-42}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
	for name, value := range map[string]any{
		"NaN": math.NaN(), "infinity": math.Inf(1), "object id": bson.NewObjectID(), "date": bson.DateTime(1),
		"decimal infinity": bson.NewDecimal128(0x7800000000000000, 0), "regexp": bson.Regex{Pattern: "x"},
	} {
		doc, err := bson.Marshal(bson.D{{Key: "x", Value: bson.A{value}}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := jsonbson.AppendJSON(nil, byte(bson.TypeEmbeddedDocument), doc); !errors.Is(err, jsonbson.ErrType) {
			t.Errorf("%s: %v, want ErrType", name, err)
		}
	}
}

func FuzzAppendElement(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,2.5,-3e10,"x\u00e4\n",null,true,{"b":{}}]}`, `18446744073709551616`, `1e-400`, `{"a":1,"a":2}`,
		`"\ud83d\ude42"`, `0.1000000000000000055511151231257827`, ` [ ] `, `-0.0`, `123456789012345678901234567890.12`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		back, ok := roundTrip(t, text)
		if !ok {
			return
		}
		if !json.Valid([]byte(text)) {
			t.Fatalf("%q is not JSON but was taken", text)
		}
		var want bytes.Buffer
		if err := json.Compact(&want, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if back != want.String() {
			t.Fatalf("%q came back as %q", text, back)
		}
	})
}

func FuzzAppendJSON(f *testing.F) {
	doc, _ := document(`{"a":[1,2.5,"x",null,true,18446744073709551616]}`)
	f.Add(byte(bson.TypeEmbeddedDocument), []byte(doc))
	f.Fuzz(func(t *testing.T, kind byte, value []byte) {
		out, err := jsonbson.AppendJSON(nil, kind, value)
		if err == nil && !json.Valid(out) {
			t.Fatalf("%q is not JSON", out)
		}
	})
}

// What encoding/json writes is taken, and comes back byte for byte.
func FuzzAppendElement_OfGoValues(f *testing.F) {
	f.Add("a<b>\u2028\x00\"", 1.5, int64(1<<60))
	f.Add("\uFFFD/ü", -0.1e-30, int64(-1))
	f.Fuzz(func(t *testing.T, s string, n float64, i int64) {
		text, err := json.Marshal(map[string]any{"s": s, "n": n, "i": i, "f": float32(n), "k": map[string]bool{s: true}})
		if err != nil || !utf8.ValidString(s) {
			return
		}
		back, ok := roundTrip(t, string(text))
		if declines := strings.HasPrefix(s, "$") || strings.Contains(s, "\x00"); !ok && declines {
			return
		}
		if !ok || back != string(text) {
			t.Fatalf("%s came back as %s (ok %v)", text, back, ok)
		}
	})
}

const sample = `{"account":"a-1029","amount":125000,"currency":"EUR","price":101.25,"tags":["spot","limit"],"open":true,"note":null,"nested":{"venue":"XETR","seq":88231}}`

func BenchmarkAppendElement(b *testing.B) {
	text := []byte(sample)
	var dst []byte
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		dst, _ = jsonbson.AppendElement(dst[:0], "d", text)
	}
}

func BenchmarkAppendJSON(b *testing.B) {
	doc, _ := document(sample)
	value := doc.Lookup("d")
	var dst []byte
	b.SetBytes(int64(len(sample)))
	b.ReportAllocs()
	for b.Loop() {
		dst, _ = jsonbson.AppendJSON(dst[:0], byte(value.Type), value.Value)
	}
}
