package wire_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ganglion-go/ganglion/actor"
	"github.com/ganglion-go/ganglion/natsbus/internal/wire"
)

// FuzzBatch: the commands of a batch come out as they went in.
func FuzzBatch(f *testing.F) {
	f.Add("c-1", "{}", "_INBOX.x.1.o1", uint8(3))
	f.Add("ü\r\n", "", "", uint8(1))
	f.Fuzz(func(t *testing.T, id, data, reply string, n uint8) {
		to := actor.Address{Kind: "account", ID: "a-1"}
		var payload []byte
		var want []actor.Message
		for i := range n {
			m := actor.Message{
				Target: to, ID: actor.CommandID(id), Name: "Deposit", Data: append([]byte(data), i), Attempt: 1,
				Time: time.UnixMicro(int64(i) + 1).UTC(),
			}
			if m.Validate() != nil {
				t.Skip("no client sends it")
			}
			payload, want = append(payload, wire.EncodeCommand(&m, reply)...), append(want, m)
		}
		all, err := wire.DecodeBatch(payload)
		if n == 0 {
			if err == nil {
				t.Error("an empty batch is decoded")
			}
			return
		}
		if err != nil || len(all) != len(want) {
			t.Fatalf("%d commands of %d: %v", len(all), n, err)
		}
		for i, c := range all {
			got, err := wire.DecodeMessage(to, actor.LaneDurable, c.Header, c.Data)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want[i], got); diff != "" || wire.First(c.Header, wire.HeaderReply) != reply {
				t.Errorf("command %d for %q (-want +got):\n%s", i, wire.First(c.Header, wire.HeaderReply), diff)
			}
		}
		for cut := range payload { // at the end of a command it is a shorter batch
			if all, err := wire.DecodeBatch(payload[:cut]); err == nil && len(all) >= len(want) {
				t.Fatalf("the first %d of %d bytes are a whole batch", cut, len(payload))
			}
		}
	})
}

// FuzzDecodeBatch: nothing that is read makes the reader panic, or take more than is
// there.
func FuzzDecodeBatch(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0})
	f.Add([]byte{1, 1, 'a', 1, 'b', 1, 'c'})
	f.Add([]byte{255, 255, 255, 255, 255, 255, 255, 255, 255, 1})
	f.Fuzz(func(t *testing.T, payload []byte) {
		all, err := wire.DecodeBatch(payload)
		if err != nil {
			return
		}
		n := 0
		for _, c := range all {
			n += len(c.Data)
		}
		if len(all) == 0 || n > len(payload) {
			t.Errorf("%d commands with %d bytes out of %d", len(all), n, len(payload))
		}
	})
}
