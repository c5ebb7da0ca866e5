package gateway

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"unicode/utf8"
)

// ofQueryRaw is ofQuery for ids and keys, which may have control characters.
func (p params) ofQueryRaw(name string) (string, error) {
	values := p.query[name]
	switch {
	case len(values) == 0:
		return "", nil
	case len(values) > 1:
		return "", fmt.Errorf("%s is given more than once", name)
	case values[0] == "":
		return "", fmt.Errorf("%s is empty", name)
	case !utf8.ValidString(values[0]):
		return "", fmt.Errorf("%s is not valid UTF-8", name)
	}
	return values[0], nil
}

// contentTag returns a strong entity tag of a body.
func contentTag(data []byte) string {
	sum := sha256.Sum256(data)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:15]) + `"`
}
