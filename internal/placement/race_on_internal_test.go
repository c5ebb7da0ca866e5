//go:build race

package placement

// RaceDetector: tests in one goroutine are shorter with it.
const RaceDetector = true
