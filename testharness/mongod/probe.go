package mongod

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	minMajor     = 6 // clustered collections and everything else that the store uses
	probeTimeout = 10 * time.Second
)

// probe checks that a binary runs on this machine (shared libraries are the
// usual reason why not) and is new enough.
func probe(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "--version").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s --version: %w: %s", path, err, firstLine(string(out)))
	}
	return checkVersion(string(out))
}

// checkVersion reads what `mongod --version` prints: "db version v6.0.5" and more.
func checkVersion(out string) error {
	match := regexp.MustCompile(`db version v(\d+)\.`).FindStringSubmatch(out)
	if match == nil {
		return fmt.Errorf("not a mongod: it says %q", firstLine(out))
	}
	major, err := strconv.Atoi(match[1])
	if err != nil || major < minMajor {
		return fmt.Errorf("version %s is too old, want %d or later", match[1], minMajor)
	}
	return nil
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}
