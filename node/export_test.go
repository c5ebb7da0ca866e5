package node

// Run is the process without its exit.
var Run = run

// ShutdownTimeout is for tests.
const ShutdownTimeout = shutdownTimeout
