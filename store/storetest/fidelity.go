package storetest

import (
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/ganglion-go/ganglion/store"
)

func fidelityCases() []testCase {
	return []testCase{
		{"Fidelity/event data", testEventData},
		{"Fidelity/numbers", testNumbers},
		{"Fidelity/replies and rejections", testAnswers},
		{"Fidelity/plain fields", testPlainFields},
	}
}

// jsonObjects are events that a store might change without meaning to.
func jsonObjects() []string {
	deep := strings.Repeat(`{"d":[`, 30) + `1` + strings.Repeat(`]}`, 30)
	return []string{
		`{}`,
		`{"null":null,"true":true,"false":false,"empty":"","list":[],"object":{}}`,
		`{"max":9223372036854775807,"min":-9223372036854775808,"umax":18446744073709551615,"zero":0,"minus":-1,"int32":2147483648}`,
		`{"exact53":9007199254740993,"huge":123456789012345678901234567890123456789012345678901234567890}`,
		`{"float":0.1,"third":0.3333333333333333,"small":5e-324,"big":1.7976931348623157e308,"one":1.5,"exp":1e+21,"minusZero":-0.0}`,
		`{"decimal":1234567890123456789.123456789012345678,"tiny":0.000000000000000000000000000000000001,"beyond":1e400}`,
		`{"whole":1.0,"wholes":[1.0,2.00,1e2]}`,
		`{"unicode":"é e\u0301 日本語 🙂 \u0000 \u001f \u2028 \uffff","escapes":"\"\\\/\b\f\n\r\t","html":"<a>&</a>"}`,
		`{"$set":{"$a.b":1},"$ref":"x","$id":2,"a.b":{"c.d":[{"e.f":3}]},"$":1,".":2,"..":3,"":4," ":5,"*":6}`,
		`{"$oid":"507f1f77bcf86cd799439011","$date":"2020-01-01T00:00:00Z","$numberLong":"5"}`,
		`{"x":{"$numberDecimal":"1.5"},"y":{"$binary":{"base64":"AQ==","subType":"00"}},"z":{"$undefined":true},"_id":7}`,
		`{"a\u0000b":1,"🙂":2,"__proto__":3}`,
		`{"nested":[[[]],[[1],[2,[3,[4]]]],[null,[null]]],"mixed":[1,"1",1.5,true,null,{"a":[{}]}]}`,
		`{"z":1,"a":2,"m":{"y":1,"b":2}}`,
		`{"0":"a","1":"b","list":["x"]}`,
		`{"deep":` + deep + `}`,
		`{"long":"` + strings.Repeat("é", 5000) + `"}`,
		`{"date":"2026-01-02T03:04:05.123456789Z","base64":"AQID","uuid":"0192f0c1-0000-7000-8000-000000000000"}`,
	}
}

func testEventData(t *testing.T, s *setup) {
	c := sampleCommit("account/a", 1, 0, "w")
	for _, text := range jsonObjects() {
		c.Events = append(c.Events, store.Event{Name: "changed.v1", Data: []byte(text)})
		c.Out = append(c.Out, store.Outgoing{ID: "o", To: "account/b", Name: "Change", Data: []byte(text), OnRefusal: "Unchanged", OnRefusalData: []byte(text)})
	}
	c.Outcomes[1].Events = len(c.Events)
	s.append(t, c)
	s.check(t, c.Aggregate, []store.Commit{c})
	for i, text := range jsonObjects() {
		snapshot := sampleSnapshot(aggregateN(i), c.Last(), "v1")
		snapshot.State = []byte(text)
		must(t, "save snapshot", s.SaveSnapshot(s.ctx, snapshot))
		s.checkSnapshot(t, snapshot)
	}
}

// numbers are literals, of which a reader that looks at the text knows more than the value.
func numbers(random *rand.Rand) []string {
	all := []string{
		"0", "-0", "0.0", "-0.0", "0.000", "1.50", "2.00", "100.0", "1e2", "1E2", "1e+2", "1e-2", "100E-1", "1.5e300", "1e400", "-1e400",
		"1e-400", "1e7000", "0e0", "5e-324", "1.7976931348623157e308", "1.7976931348623157e+308", "1e21", "1e+21", "0.1", "0.10",
		"0.1000000000000000055511151231257827", "9007199254740993", "1152921504606846976", "9223372036854775807", "-9223372036854775808",
		"9223372036854775808", "18446744073709551615", "12345678901234567890", "1" + strings.Repeat("0", 40), "0." + strings.Repeat("0", 40) + "1",
	}
	digits := func() string { return strings.TrimLeft(strconv.FormatUint(random.Uint64()>>random.IntN(60), 10), "0") }
	for range 200 {
		n := "1" + digits()
		if random.IntN(2) == 0 {
			n += "." + digits() + strings.Repeat("0", random.IntN(3)) + "5"
		}
		if random.IntN(3) == 0 {
			n += []string{"e", "E", "e-", "e+"}[random.IntN(4)] + strconv.Itoa(random.IntN(500))
		}
		all = append(all, n)
	}
	return all
}

// testNumbers: a number comes back as it was written.
func testNumbers(t *testing.T, s *setup) {
	literals := numbers(rand.New(rand.NewPCG(26, 1)))
	text := []byte(`{"n":[` + strings.Join(literals, ",") + `]}`)
	c := sampleCommit("account/a", 1, 1, "w")
	c.Events[0].Data = text
	for _, literal := range literals {
		c.Events = append(c.Events, store.Event{Name: "one.v1", Data: []byte(`{"n":` + literal + `}`)})
	}
	c.Outcomes = []store.Outcome{{CommandID: "c", Events: len(c.Events), Reply: text}}
	s.append(t, c)
	for got, err := range s.Load(s.ctx, c.Aggregate, 0) {
		must(t, "load", err)
		for n := range c.Events {
			if string(got.Events[n].Data) != string(c.Events[n].Data) {
				t.Errorf("%s came back as %s", c.Events[n].Data, got.Events[n].Data)
			}
		}
		for n := range c.Outcomes {
			if string(got.Outcomes[n].Reply) != string(text) {
				t.Errorf("reply %s came back as %s", text, got.Outcomes[n].Reply)
			}
		}
	}
	snapshot := sampleSnapshot(c.Aggregate, c.Last(), "v1")
	snapshot.State = text
	must(t, "save snapshot", s.SaveSnapshot(s.ctx, snapshot))
	got, found, err := s.LoadSnapshot(s.ctx, c.Aggregate, "v1")
	must(t, "load snapshot", err)
	if !found || string(got.State) != string(text) {
		t.Errorf("state %s came back as %s", text, got.State)
	}
}

func testAnswers(t *testing.T, s *setup) {
	values := append(jsonObjects(), `null`, `true`, `false`, `0`, `-1`, `1.5`, `18446744073709551615`, `9007199254740993`, `""`, `"text"`, `"🙂"`, `[]`, `[null]`, `[1,[2]]`)
	c := sampleCommit("account/a", 1, 1, "w")
	c.Outcomes = nil
	for i, text := range values {
		c.Outcomes = append(c.Outcomes,
			store.Outcome{CommandID: "reply-" + string(rune('a'+i)), Reply: []byte(text)},
			store.Outcome{CommandID: "rejection-" + string(rune('a'+i)), Keyed: true, Rejection: []byte(text)},
		)
	}
	s.append(t, c)
	s.check(t, c.Aggregate, []store.Commit{c})
	for _, want := range c.Outcomes {
		got, found, err := s.FindOutcome(s.ctx, c.Aggregate, want.CommandID, want.Keyed)
		if err != nil || !found {
			t.Fatalf("outcome %q: found %v, error %v", want.CommandID, found, err)
		}
		diffRecord(t, got.Outcome, want)
	}
}

func testPlainFields(t *testing.T, s *setup) {
	odd := "é 🙂 \" \\ . $ * > \x00 \n " + strings.Repeat("m", 300)
	full := store.Commit{
		Aggregate: "account/full", First: 1, Partition: math.MaxUint16,
		Position: store.Position{Stream: odd, Sequence: math.MaxInt64, Rest: math.MaxUint32}, Time: math.MaxInt64,
		Outcomes: []store.Outcome{{CommandID: odd, Keyed: true, Name: odd, Digest: odd, Events: 1, Hidden: math.MaxInt32, Reply: []byte(`1`), Metadata: store.Metadata{Trace: odd, Correlation: odd, Causation: odd, User: odd}}},
		Events:   []store.Event{{Name: odd, Data: []byte(`{}`)}},
		Out: []store.Outgoing{{
			ID: odd, To: store.Aggregate("account/" + odd[:20]), Name: odd, At: math.MaxInt64, Timer: odd, Data: []byte(`{}`),
			Metadata:  store.Metadata{Trace: odd, Correlation: odd, Causation: odd, User: odd},
			OnRefusal: odd, OnRefusalData: []byte(`{}`),
		}, {To: "account/full", Timer: odd}},
	}
	bare := store.Commit{Aggregate: "account/bare", First: 1, Events: []store.Event{{Name: "e", Data: []byte(`{}`)}}}
	many := sampleCommit("account/many", 1, 500, "w")
	s.append(t, full, bare, many)
	for _, c := range []store.Commit{full, bare, many} {
		s.check(t, c.Aggregate, []store.Commit{c})
	}
}
