package placement

import (
	"strings"

	"golang.org/x/mod/semver"
)

// Older reports whether build a is older than build b. Builds that are versions,
// with or without a leading v, are ordered as Semantic Versioning says; so are the
// pseudo-versions of the Go tool, by the time of their commit. Others, such as
// "(devel)", are as old as any. What follows a plus sign does not count.
func Older(a, b string) bool {
	va, vb := version(a), version(b)
	return va != "" && vb != "" && semver.Compare(va, vb) < 0
}

// version returns the version that a build is, or "".
func version(build string) string {
	v, _, _ := strings.Cut(build, "+")
	if v != "" && '0' <= v[0] && v[0] <= '9' {
		v = "v" + v
	}
	if !semver.IsValid(v) {
		return ""
	}
	return v
}

// SameCode reports whether two builds certainly know the same: they have one name,
// and the name stands for one state of the code.
func SameCode(a, b string) bool {
	return a == b && a != "" && a != "unknown" && !strings.HasPrefix(a, "(devel)") && !strings.Contains(a, "dirty")
}
