package mongod

import (
	"errors"
	"io"
	"os"
	"strings"
)

const tailBytes = 4 << 10

// tail is an io.Writer that keeps the last 4 KiB.
type tail struct{ kept []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p...)
	if over := len(t.kept) - tailBytes; over > 0 {
		t.kept = append([]byte(nil), t.kept[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return strings.TrimSpace(string(t.kept)) }

// fileTail reads the last 4 KiB of a file, beginning at a line.
func fileTail(path string) (_ string, err error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	start := max(0, info.Size()-tailBytes)
	text, err := io.ReadAll(io.NewSectionReader(file, start, tailBytes))
	if err != nil {
		return "", err
	}
	if _, rest, ok := strings.Cut(string(text), "\n"); ok && start > 0 {
		return rest, nil
	}
	return string(text), nil
}
