package node

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// TestSettings_HideSecrets_LeaveNames: names of users, and passwords that are names of the
// node's own, do not make its log unreadable.
func TestSettings_HideSecrets_LeaveNames(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s, err := Config{
		Name: "trader-one", Namespace: "trading", MongoDatabase: "production",
		NATSURL: "nats://node:trading@h,nats://other:a-long-password@h2,nats://a-long-token@h3", MongoURI: "mongodb://events:production@h/?replicaSet=r",
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
	}.check()
	if err != nil {
		t.Fatal(err)
	}
	const line = "the node trader-one has events of trading in production"
	s.Logger.Info(line + ": a-long-password, a-long-token")
	if got := log.String(); !strings.Contains(got, line+": xxxxx, xxxxx") {
		t.Errorf("the log has %s", got)
	}
}
