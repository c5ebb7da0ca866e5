package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ganglion-go/ganglion/store"
)

func parkingCases() []testCase {
	return []testCase{
		{"Parking/list, replace, remove", testParking},
		{"Parking/many", testParkingMany},
		{"Parking/large", testParkingLarge},
	}
}

func sampleParked(a store.Aggregate, id string, second int) store.Parked {
	return store.Parked{
		Aggregate: a, CommandID: id, Name: "Deposit", Reason: "panic: é 🙂", Stack: "goroutine 1\n\tmain.go:1", Attempts: 3,
		Time: time.Date(2026, 1, 2, 3, 4, second, 123_000_000, time.UTC), Message: []byte{0, 1, 0xff, '{'},
	}
}

func (s *setup) checkParked(t *testing.T, a store.Aggregate, want ...store.Parked) {
	t.Helper()
	for _, client := range s.clients() {
		var got []store.Parked
		for p, err := range client.ListParked(s.ctx, a) {
			must(t, "list parked", err)
			got = append(got, p)
		}
		diffRecord(t, got, want)
	}
}

func testParking(t *testing.T, s *setup) {
	s.checkParked(t, "")
	x := sampleParked("account/a.b", "id 1", 3)
	y := sampleParked("account/a.b", "id.2", 1)
	z := sampleParked("account/a", "id 1", 2)
	for _, p := range []store.Parked{x, y, z} {
		must(t, "park", s.Park(s.ctx, p))
	}
	s.checkParked(t, "", y, z, x)
	s.checkParked(t, "account/a.b", y, x)
	s.checkParked(t, "account/a", z)
	s.checkParked(t, "account/none")

	x.Attempts, x.Reason = 9, "again"
	must(t, "park again", s.peer.Park(s.ctx, x))
	s.checkParked(t, "", y, z, x)
	for _, client := range s.clients() {
		found, ok, err := client.FindParked(s.ctx, x.Aggregate, x.CommandID)
		must(t, "find parked", err)
		if !ok {
			t.Error("a parked command is not found")
		}
		diffRecord(t, []store.Parked{found}, []store.Parked{x})
	}
	must(t, "unpark", s.Unpark(s.ctx, x.Aggregate, x.CommandID))
	must(t, "unpark twice", s.peer.Unpark(s.ctx, x.Aggregate, x.CommandID))
	must(t, "unpark what never was", s.Unpark(s.ctx, "account/none", "none"))
	s.checkParked(t, "", y, z)
	for _, gone := range []store.Parked{x, {Aggregate: "account/a", CommandID: "id.2"}, {Aggregate: "account/none", CommandID: "none"}} {
		if p, ok, err := s.FindParked(s.ctx, gone.Aggregate, gone.CommandID); ok || err != nil {
			t.Errorf("found %+v, %v", p, err)
		}
	}
	for range s.ListParked(s.ctx, "") {
		break // a list that is not read to its end
	}
}

func testParkingMany(t *testing.T, s *setup) {
	var want []store.Parked
	for i := range 59 {
		want = append(want, sampleParked(aggregateN(i%7), fmt.Sprintf("id-%d", i), i))
	}
	for _, p := range slices.Backward(want) {
		must(t, "park", s.Park(s.ctx, p))
	}
	s.checkParked(t, "", want...)
}

// What is parked has no limit of size: it is a record of trouble.
func testParkingLarge(t *testing.T, s *setup) {
	large := func(size int) []byte {
		message := make([]byte, size)
		for i := range message {
			message[i] = byte(i>>8 ^ i)
		}
		return message
	}
	x, y := sampleParked("account/large", "id.1", 1), sampleParked("account/small", "id", 2)
	x.Message = large(s.cfg.TooLarge + 1)
	for _, p := range []store.Parked{x, y} {
		must(t, "park", s.Park(s.ctx, p))
	}
	s.checkParked(t, "", x, y)
	s.checkParked(t, "account/large", x)
	s.checkCount(t, 10, 2)
	s.checkCount(t, 1, 1)
	for _, size := range []int{10, s.cfg.TooLarge * 2, s.cfg.TooLarge + 7} { // each in the place of the one before
		x.Message, x.Attempts = large(size), x.Attempts+1
		must(t, "park again", s.peer.Park(s.ctx, x))
		for _, client := range s.clients() {
			found, ok, err := client.FindParked(s.ctx, x.Aggregate, x.CommandID)
			must(t, "find parked", err)
			if !ok {
				t.Error("a parked command is not found")
			}
			diffRecord(t, []store.Parked{found}, []store.Parked{x})
		}
	}
	s.checkCount(t, 10, 2)
	must(t, "unpark", s.Unpark(s.ctx, x.Aggregate, x.CommandID))
	s.checkParked(t, "", y)
	s.checkCount(t, 10, 1)
	must(t, "park", s.Park(s.ctx, x)) // after it was removed
	s.checkParked(t, "account/large", x)
	must(t, "unpark", s.peer.Unpark(s.ctx, x.Aggregate, x.CommandID))
	must(t, "unpark", s.peer.Unpark(s.ctx, y.Aggregate, y.CommandID))
	s.checkCount(t, 10, 0)
}

func (s *setup) checkCount(t *testing.T, limit, want int) {
	t.Helper()
	for _, client := range s.clients() {
		n, err := client.CountParked(s.ctx, limit)
		must(t, "count parked", err)
		if n != want {
			t.Errorf("%d parked commands, at most %d asked for, want %d", n, limit, want)
		}
	}
}
