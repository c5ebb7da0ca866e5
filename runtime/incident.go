package runtime

import (
	"crypto/rand"

	"github.com/ganglion-go/ganglion/actor"
)

// withheld is the outcome of a message in which something failed whose text is not for
// its caller: it may name hosts, or hold data of others. The caller gets a sentence and
// the incident under which the text is in the log.
func (d *delivery) withheld(code actor.Code, sentence string) actor.Outcome {
	id := d.incidentID()
	return actor.Outcome{Code: code, Detail: sentence + " (incident " + id + ")", Incident: id}
}

// incidentID returns the name of what has failed with a message, the same for all its tries.
func (d *delivery) incidentID() string {
	r := d.rarely()
	if r.incident == "" {
		r.incident = rand.Text()[:12]
	}
	return r.incident
}
