// Package chromium finds the Chromium that tests of pages drive, or installs Debian's.
//
// # Concurrency
//
// [Find] may be called by several goroutines and processes; apt-get has a lock of its own.
//
// # Failures
//
// [Find] fails with a [*NotFoundError] that lists what was tried, and how to get one.
package chromium
