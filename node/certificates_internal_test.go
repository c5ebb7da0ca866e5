package node

import (
	"log/slog"
	"maps"
	"testing"
	"time"
)

// TestSpan_Urgency: a certificate that lives for long is announced 30 and 7 days before
// its end, and one that lives for days not all its life.
func TestSpan_Urgency(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for _, c := range []struct {
		life, left time.Duration
		announce   bool
		level      slog.Level
	}{
		{365 * day, 31 * day, false, 0},
		{365 * day, 30 * day, true, slog.LevelWarn},
		{365 * day, 8 * day, true, slog.LevelWarn},
		{365 * day, 7 * day, true, slog.LevelError},
		{365 * day, -day, true, slog.LevelError},
		{90 * day, 31 * day, false, 0},
		{90 * day, 29 * day, true, slog.LevelWarn},
		{90 * day, 7 * day, true, slog.LevelError},
		{6 * day, 3 * day, false, 0},
		{6 * day, 2 * day, true, slog.LevelWarn},
		{6 * day, day / 2, true, slog.LevelError},
	} {
		now := time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
		level, announce := span{now.Add(c.left - c.life), now.Add(c.left)}.urgency(now)
		if level != c.level || announce != c.announce {
			t.Errorf("%v of %v left: %v %v, want %v %v", c.left, c.life, announce, level, c.announce, c.level)
		}
	}
}

// TestCertificates_Due: a line when it gets worse, and from time to time.
func TestCertificates_Due(t *testing.T) {
	t.Parallel()
	c := &certificates{told: map[string]notice{}}
	now := time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
	for i, step := range []struct {
		after time.Duration
		level slog.Level
		want  bool
	}{
		{0, slog.LevelWarn, true},
		{time.Hour, slog.LevelWarn, false},
		{24 * time.Hour, slog.LevelWarn, true},
		{25 * time.Hour, slog.LevelError, true},
		{25*time.Hour + time.Minute, slog.LevelError, false},
		{26 * time.Hour, slog.LevelError, true},
	} {
		if got := c.due("x", step.level, now.Add(step.after)); got != step.want {
			t.Errorf("step %d: %v", i, got)
		}
	}
	if !c.due("y", slog.LevelWarn, now) {
		t.Error("one file silences another")
	}
}

// TestMongoFiles: options of a connection string are found as the driver finds them.
func TestMongoFiles(t *testing.T) {
	t.Parallel()
	got := mongoFiles("mongodb://u:p@a:1,b:2/db?tls=true&TLSCertificateKeyFile=/etc/my%20key.pem;tlsCAFile=/ca.pem&w=1")
	want := map[string]string{"tlsCertificateKeyFile": "/etc/my key.pem", "tlsCAFile": "/ca.pem"}
	if !maps.Equal(got, want) {
		t.Errorf("found %v", got)
	}
	if got := mongoFiles("mongodb://h/"); len(got) != 0 {
		t.Errorf("found %v", got)
	}
}
