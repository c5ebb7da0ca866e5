package actor

// Schedule is a command that the cluster sends to an aggregate again and again: once
// each time, however many nodes there are. Make it with [Repeat]; nodes are configured
// with it.
type Schedule struct {
	Name    string // unique in the cluster; has the form of a command's name
	Spec    string // when
	Zone    string // IANA time zone of a cron expression; empty: UTC
	To      Address
	Command string // its name
	Data    []byte // JSON object
}

// Repeat returns a schedule. spec is "@every 90s" with a Go duration of a second or
// more, a cron expression of six fields from seconds to the day of the week, like
// "0 30 2 * * *", or one of @hourly, @daily, @weekly, @monthly and @yearly. NATS judges
// it when a node applies it.
//
// Repeat panics for a name without the form of a command's name, an address that no
// aggregate can have, and a command that cannot be encoded as JSON.
func Repeat(name, spec, zone string, to Address, command Command) Schedule {
	if !validName(name) || reserved(name) {
		panic("actor: invalid schedule name " + name)
	}
	if err := to.Validate(); err != nil {
		panic("actor: schedule " + name + ": " + err.Error())
	}
	kind, data := mustEncode(command)
	return Schedule{Name: name, Spec: spec, Zone: zone, To: to, Command: kind, Data: data}
}
