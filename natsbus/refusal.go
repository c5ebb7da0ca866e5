package natsbus

import (
	"errors"

	"github.com/nats-io/nats.go"
)

// Codes of the server, by jetstream_errors_generated.go of nats-server.
const (
	// Of one message, and of it at every try: the server does not understand its headers.
	apiTTLInvalid              = 10165
	apiSchedulePatternInvalid  = 10189
	apiScheduleTargetInvalid   = 10190
	apiScheduleTTLInvalid      = 10191
	apiScheduleRollupInvalid   = 10192
	apiScheduleSourceInvalid   = 10203
	apiSchedulerInvalid        = 10212
	apiScheduleTimeZoneInvalid = 10223

	// Of whatever message there is: the stream, its server or the account is full or away.
	apiNoPeers           = 10005
	apiClusterNotThere   = 10008
	apiMemoryExceeded    = 10028
	apiNoAccount         = 10035
	apiNotEnabled        = 10039
	apiStorageExceeded   = 10047
	apiStreamNotFound    = 10059
	apiNotEnabledHere    = 10076
	apiStreamSealed      = 10109
	apiStreamOffline     = 10118
	apiNoLimits          = 10120
	apiExpectationNotNow = 10163
	apiTooManyRequests   = 10167
	apiSchedulesDisabled = 10188
	apiStreamOfflineWhy  = 10194
)

// refusedForGood reports whether the same message can never be stored, however often
// it is tried.
func refusedForGood(err error) bool {
	if errors.Is(err, nats.ErrBadSubject) {
		return true
	}
	r, ok := errors.AsType[*refusal](err)
	if !ok {
		return false
	}
	switch r.Code {
	case apiTTLInvalid, apiSchedulePatternInvalid, apiScheduleTargetInvalid, apiScheduleTTLInvalid, apiScheduleRollupInvalid,
		apiScheduleSourceInvalid, apiSchedulerInvalid, apiScheduleTimeZoneInvalid:
		return true
	}
	return false
}

// OfStream reports whether every message is refused at present, and not this one alone.
func (r *refusal) OfStream() bool {
	switch r.Code {
	case apiAccountResources, apiNoResources, apiStoreFailed, apiNoPeers, apiClusterNotThere, apiMemoryExceeded, apiNoAccount,
		apiNotEnabled, apiStreamNotFound, apiNotEnabledHere, apiStorageExceeded, apiStreamSealed, apiStreamOffline, apiStreamOfflineWhy, apiNoLimits,
		apiExpectationNotNow, apiTooManyRequests, apiSchedulesDisabled:
		return true
	}
	return false
}
