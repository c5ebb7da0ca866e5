package pull_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/ganglion-go/ganglion/natsbus/internal/pull"
)

func message(stream, consumer int) *nats.Msg {
	return &nats.Msg{Reply: fmt.Sprintf("$JS.ACK.S.C.1.%d.%d.1700000000000000000.0", stream, consumer)}
}

func status(code, description string, more ...string) *nats.Msg {
	h := nats.Header{"Status": {code}, "Description": {description}}
	for i := 0; i < len(more); i += 2 {
		h[more[i]] = []string{more[i+1]}
	}
	return &nats.Msg{Header: h}
}

func TestFlow_Grant_KeepsTheWindow(t *testing.T) {
	t.Parallel()
	f := pull.NewFlow(1, 0, 10)
	if got := f.Grant(); got != 10 {
		t.Fatalf("first grant %d", got)
	}
	granted, arrived := 10, 0
	for n := 1; n <= 1000; n++ {
		if _, err := f.Accept(message(n, n)); err != nil {
			t.Fatal(err)
		}
		arrived++
		granted += f.Grant()
		if open := granted - arrived; open > 10 || open < 5 {
			t.Fatalf("%d open after %d messages", open, n)
		}
	}
	// The request ends with 7 unused: all that is missing is asked for again.
	open := granted - arrived
	if _, err := f.Accept(status("408", "Request Timeout", "Nats-Pending-Messages", fmt.Sprint(open))); err != nil {
		t.Fatal(err)
	}
	if got := f.Grant(); got != 10 {
		t.Errorf("granted %d after the request ended", got)
	}
}

func TestFlow_Accept(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		last *nats.Msg // after deliveries 1 and 2
		want error
	}{
		"next, far on in the stream":     {message(90, 3), nil},
		"one is missing":                 {message(90, 4), pull.ErrGap},
		"one comes twice":                {message(8, 2), pull.ErrGap},
		"heartbeat":                      {status("100", "Idle Heartbeat", "Nats-Last-Consumer", "2"), nil},
		"heartbeat, nothing sent":        {status("100", "Idle Heartbeat", "Nats-Last-Consumer", "0"), nil},
		"heartbeat, the last is missing": {status("100", "Idle Heartbeat", "Nats-Last-Consumer", "3"), pull.ErrGap},
		"request expired":                {status("408", "Request Timeout", "Nats-Pending-Messages", "3"), nil},
		"request used up":                {status("409", "Batch Completed", "Nats-Pending-Messages", "0"), nil},
		"large message":                  {status("409", "Message Size Exceeds MaxBytes", "Nats-Pending-Messages", "3"), nil},
		"deleted":                        {status("409", "Consumer Deleted"), pull.ErrStatus},
		"leader changed":                 {status("409", "Leadership Change"), pull.ErrStatus},
		"server ends":                    {status("409", "Server Shutdown", "Nats-Pending-Messages", "3"), pull.ErrStatus},
		"nobody there":                   {status("503", ""), pull.ErrStatus},
		"bad request":                    {status("400", "Bad Request"), pull.ErrStatus},
		"odd remainder":                  {status("408", "Request Timeout", "Nats-Pending-Messages", "-3"), pull.ErrStatus},
		"no status":                      {&nats.Msg{}, pull.ErrStatus},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := pull.NewFlow(1, 0, 10)
			f.Grant()
			for n, sequence := range []int{5, 8} {
				if got, err := f.Accept(message(sequence, n+1)); err != nil || got != uint64(sequence) {
					t.Fatalf("delivery %d: sequence %d, %v", n+1, got, err)
				}
			}
			if _, err := f.Accept(tt.last); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
}

// TestFlow_Reached follows a consumer from sequence 100 on: what it has delivered,
// and what it has looked at and found nothing for it in.
func TestFlow_Reached(t *testing.T) {
	t.Parallel()
	heartbeat := func(delivered, looked string) *nats.Msg {
		return status("100", "Idle Heartbeat", "Nats-Last-Consumer", delivered, "Nats-Last-Stream", looked)
	}
	f := pull.NewFlow(100, 3, 10)
	for i, step := range []struct {
		msg  *nats.Msg
		want uint64
	}{
		{heartbeat("0", "0"), 99},
		{heartbeat("0", "120"), 120},
		{message(130, 1), 130},
		{heartbeat("1", "130"), 130},
		{heartbeat("0", "200"), 130}, // of before the message: says nothing about what came after it
		{heartbeat("1", "170"), 170},
		{status("100", "Idle Heartbeat", "Nats-Last-Stream", "300"), 170},
		{status("408", "Request Timeout", "Nats-Pending-Messages", "3"), 170},
	} {
		if _, err := f.Accept(step.msg); err != nil {
			t.Fatal(err)
		}
		if got := f.Reached(); got != step.want {
			t.Fatalf("step %d: reached %d, want %d", i, got, step.want)
		}
	}
}
