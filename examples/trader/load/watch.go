package load

import (
	"net/http"
	"time"

	"github.com/ganglion-go/ganglion/actor"
)

// Watch is notified of each command. Its functions are called by all clients at once; nil
// ones are not.
type Watch struct {
	Begins func(to actor.Address, key actor.CommandID) // before the first attempt
	Ended  func(Ended)
}

// Ended is a command that was answered, or given up.
type Ended struct {
	To      actor.Address
	Key     actor.CommandID
	Name    string
	Command any
	Version actor.Version // that the caller was told, if it was carried out
	Reply   []byte        // that, too: JSON
	Err     error         // nil: it was carried out; see [Refused]
	Began   time.Time
	Took    time.Duration // with all attempts
}

// Refused reports whether an error of [Client.Command] says that the command was not
// carried out, and will not be. Any other error leaves the outcome open: the same key
// settles it.
func Refused(err error) bool {
	r, ok := err.(*RefusalError) //nolint:errorlint // what wraps one says that time was over
	return ok && r.Status >= http.StatusBadRequest && r.Status < http.StatusInternalServerError
}

// begin returns what is to be called at the end.
func (w Watch) begin(to actor.Address, key actor.CommandID, name string, command any) func(Result, error) {
	if w.Begins != nil {
		w.Begins(to, key)
	}
	if w.Ended == nil {
		return func(Result, error) {}
	}
	began := time.Now()
	return func(r Result, err error) {
		w.Ended(Ended{To: to, Key: key, Name: name, Command: command, Version: r.Version, Reply: r.Reply, Err: err, Began: began, Took: time.Since(began)})
	}
}
