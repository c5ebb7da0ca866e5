package mongo_test

import (
	"context"
	"errors"
	"io"
	"testing"

	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/ganglion-go/ganglion/store"
	mongostore "github.com/ganglion-go/ganglion/store/mongo"
)

func insertError(concern *driver.WriteConcernError, codes map[int]int) error {
	e := driver.WriteException{WriteConcernError: concern}
	for i, code := range codes {
		e.WriteErrors = append(e.WriteErrors, driver.WriteError{Index: i, Code: code})
	}
	return e
}

func TestAppendErrors_Translation(t *testing.T) {
	t.Parallel()
	unknown := []error{store.ErrUnknown, store.ErrUnknown, store.ErrUnknown}
	concern := &driver.WriteConcernError{Code: 64, Message: "waiting for replication timed out"}
	for name, test := range map[string]struct {
		err  error
		want []error
	}{
		"success":                        {nil, []error{nil, nil, nil}},
		"duplicates":                     {insertError(nil, map[int]int{0: 11000, 2: 11000}), []error{store.ErrConflict, nil, store.ErrConflict}},
		"too large":                      {insertError(nil, map[int]int{1: 10334}), []error{nil, store.ErrTooLarge, nil}},
		"other error of a document":      {insertError(nil, map[int]int{1: 11602}), []error{nil, store.ErrUnknown, nil}},
		"write concern":                  {insertError(concern, nil), unknown},
		"write concern and duplicate":    {insertError(concern, map[int]int{1: 11000}), unknown},
		"not primary":                    {driver.CommandError{Code: 10107, Labels: []string{"RetryableWriteError"}}, unknown},
		"interrupted by a step-down":     {driver.CommandError{Code: 11602}, unknown},
		"time limit of the server":       {driver.CommandError{Code: 50}, unknown},
		"duplicate without its document": {driver.CommandError{Code: 11000}, unknown},
		"network":                        {driver.CommandError{Labels: []string{"NetworkError"}, Wrapped: io.ErrUnexpectedEOF}, unknown},
		"context":                        {context.DeadlineExceeded, unknown},
		"disconnected":                   {driver.ErrClientDisconnected, unknown},
		"anything else":                  {errElse, unknown},
	} {
		for i, err := range mongostore.AppendErrors(test.err, 3) {
			if !errors.Is(err, test.want[i]) || (err == nil) != (test.want[i] == nil) {
				t.Errorf("%s: document %d: %v, want %v", name, i, err, test.want[i])
			}
			if err != nil && !keepsCause(err) {
				t.Errorf("%s: %v does not keep its cause", name, err)
			}
		}
	}
}

// keepsCause looks for one of the causes that the tests use.
func keepsCause(err error) bool {
	_, server := errors.AsType[driver.ServerError](err)
	return server || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, driver.ErrClientDisconnected) || errors.Is(err, errElse)
}

var errElse = errors.New("else")

func TestWriteError_Translation(t *testing.T) {
	t.Parallel()
	concern := &driver.WriteConcernError{Code: 64}
	for name, test := range map[string]struct{ err, want error }{
		"success":                     {nil, nil},
		"too large":                   {driver.WriteException{WriteErrors: driver.WriteErrors{{Code: 10334}}}, store.ErrTooLarge},
		"too large by an update":      {driver.WriteException{WriteErrors: driver.WriteErrors{{Code: 17419}}}, store.ErrTooLarge},
		"too large and write concern": {driver.WriteException{WriteErrors: driver.WriteErrors{{Code: 10334}}, WriteConcernError: concern}, store.ErrUnknown},
		"write concern":               {driver.WriteException{WriteConcernError: concern}, store.ErrUnknown},
		"step-down":                   {driver.CommandError{Code: 189}, store.ErrUnknown},
		"canceled":                    {context.Canceled, store.ErrUnknown},
	} {
		if err := mongostore.WriteError(test.err); !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}
