// Package jwtauth authenticates requests by signed tokens: JSON Web Tokens (RFC 7519) in
// the header Authorization: Bearer, as an identity provider issues them.
//
// [New] returns a [gateway.Authenticator] for one issuer. A token must be signed with a
// key of the issuer's key set (JWKS, RFC 7517), which is a file or a URL, by an
// asymmetric algorithm. It must name the issuer and one of the expected audiences, and
// have an end (exp) that has not passed. The principal's name is the claim sub, or
// another one that is text; all claims go to the [gateway.Authorizer].
//
// Tokens without a signature ("none") and tokens whose signature is made with a shared
// secret (HS256 and its like) are never taken, so that a public key cannot be passed off
// as a secret. Keys that do not fit a token's algorithm, RSA keys below 2048 bits, and
// symmetric or private parts in a key set are not used.
//
// # Keys
//
// The keys are fetched when the first token comes, and again after
// [Config.RefreshEvery]; a file is read again within a second after it has changed. A
// token with an unknown key has the keys fetched at once, but not more often than every
// 10 s: made-up keys cost nobody anything. So an issuer should publish a new key some
// time before it signs with it. A key that the issuer withdraws is honored until the
// next fetch.
//
// A fetch takes at most 5 s and 1 MiB. If it fails, the keys of the last one that
// succeeded are used for an hour after it; then nobody can be authenticated until one
// succeeds ([gateway.ErrAuthenticatorUnavailable], 503).
//
// # Concurrency
//
// An [Authenticator] is safe for concurrent use, and starts no goroutine. Requests fetch
// the keys as they need them, one at a time for all of them. With [Authenticator.Run]
// they are fetched before they are needed, so that no request waits for it.
//
// # Failures
//
// What is wrong with a token is a [*gateway.CredentialsError]: 401, with a reason. No
// token, and no part of one, is in an error or a log.
package jwtauth
