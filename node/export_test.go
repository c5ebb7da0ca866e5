package node

// Run is the process without its exit.
var Run = run
