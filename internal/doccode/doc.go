// Package doccode reads the code in the documents, so that tests can compile and run it.
//
// A fenced block has its label in the line above: a comment, which readers do not see, or a
// line that begins with bold text, which they do.
//
//	<!-- examples/account/account.go -->     **locker.go**, instead of the former one
//	```go                                    ```go
//
// In the documents every block of Go code is labelled with a file:
//
//	PATH         it is that file, the whole of it
//	in PATH      it is a part of that file, whole lines, indented or not
//
// Those are files of this repository; TestDocs_CodeIsCompiled of package archtest compares
// them. In docs/tutorial.md they are files of the reader's own folder, which the test of
// this package writes, compiles and runs. It also runs the shell blocks there, in their
// order, and compares what they print with the text block that follows:
//
//	not run: WHY the block is left out
//	Terminal N   the block runs on, until a block with the same label; the text is a part of what it prints
//	eventually   the block is run again until it prints the text
//
// In such a text, ... is whatever is printed there; on a line of its own, any number of
// lines. White space counts as one blank, and empty lines do not count. The addresses
// localhost:8080 and localhost:8090 are others in a test, on ports that are free.
//
// # Concurrency
//
// The package is stateless.
//
// # Failures
//
// [Parse] reports a block without an end as an error that names its line.
package doccode
