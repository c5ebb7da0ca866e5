// Package commandform makes a form of a command's JSON schema, and the command's JSON of what
// was filled in.
//
// The schemas are those of the gateway's OpenAPI document. A form has a field for each text,
// number, truth value and choice, also within objects, down to a depth; what is deeper, lists,
// maps and what may be anything is a field for JSON. An empty field is left out of the JSON.
// Numbers keep their digits.
//
// # Concurrency
//
// A [Description] is immutable and safe for concurrent use; a [Form] belongs to its caller.
//
// # Failures
//
// What was filled in and cannot be is no error: its field says why. The JSON is checked by the
// gateway all the same.
package commandform
