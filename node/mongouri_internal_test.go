package node

import (
	"bytes"
	"testing"
)

// TestRun_ConnectionString_ThatIsWrong_IsConfiguration: no other try mends it.
func TestRun_ConnectionString_ThatIsWrong_IsConfiguration(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	code := run([]string{
		"--data-dir=" + t.TempDir(), "--http-addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0",
		"--mongo-uri=mongodb://127.0.0.1:1/?loadBalanced=true",
	}, &out, &out, Config{}, nil)
	if code != exitUsage || !bytes.Contains(out.Bytes(), []byte("--mongo-uri: mongo: ")) {
		t.Errorf("exit status %d, said %s", code, &out)
	}
}
