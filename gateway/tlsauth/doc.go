// Package tlsauth authenticates requests by the client certificates of their
// connections (mutual TLS).
//
// [New] returns a [gateway.Authenticator] that takes the name of the principal from a
// certificate which the server has verified: its first URI, such as a SPIFFE id, else its
// first DNS name, else the common name of its subject; [Config.From] has another order.
// The server must be set up with [crypto/tls.Config.ClientCAs] and ClientAuth
// VerifyClientCertIfGiven or RequireAndVerifyClientCert; package node does that. A
// certificate that the server has not verified counts as none.
//
// # Concurrency
//
// An [Authenticator] is safe for concurrent use, and starts no goroutine.
//
// # Failures
//
// A request without a verified certificate has no credentials
// ([gateway.ErrNoCredentials]). One whose certificate has no name, or has expired since
// its connection began, is refused with a [*gateway.CredentialsError].
package tlsauth
