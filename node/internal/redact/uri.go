package redact

import (
	"net/url"
	"strings"
)

// SecretsOf returns what is secret in a connection string of MongoDB, or in a
// comma-separated list of NATS servers, with or without scheme: passwords, tokens, and the
// values of options that are credentials. Names of users are no secrets; what stands alone
// before the host of a NATS server is a token.
func SecretsOf(uris string) []string {
	base, query, _ := strings.Cut(uris, "?")
	var secrets []string
	if strings.HasPrefix(base, "mongodb://") || strings.HasPrefix(base, "mongodb+srv://") {
		secrets = passwords(base, false)
		if strings.Contains(query, "@") { // a password with a question mark that is not encoded
			secrets = append(secrets, passwords(uris, false)...)
		}
	} else {
		for server := range strings.SplitSeq(uris, ",") {
			secrets = append(secrets, passwords(server, true)...)
		}
		if _, info, found := strings.Cut(uris, "://"); found && strings.Contains(uris, ",") && strings.Count(info, "://") == 0 {
			secrets = append(secrets, passwords(uris, true)...) // a password with a comma
		}
	}
	return append(secrets, credentials(query)...)
}

// passwords returns the password that stands before the host, which need not be well
// encoded: as it ends at the first @, and at the last.
func passwords(uri string, token bool) []string {
	if _, rest, found := strings.Cut(uri, "://"); found {
		uri = rest
	}
	last := strings.LastIndex(uri, "@")
	if last < 0 {
		return nil
	}
	var secrets []string
	for _, end := range []int{last, strings.Index(uri, "@")} {
		user, password, found := strings.Cut(uri[:end], ":")
		switch {
		case !found && token:
			password = user
		case password == user: // it hides nothing, and the log has the name
			continue
		}
		secrets = append(secrets, forms(password)...)
	}
	return secrets
}

// credentials returns the secrets among the options of a URI.
func credentials(query string) []string {
	var secrets []string
	for option := range strings.FieldsFuncSeq(query, func(r rune) bool { return r == '&' || r == ';' }) {
		name, value, _ := strings.Cut(option, "=")
		if !isCredential(name) {
			continue
		}
		if !strings.EqualFold(name, "authMechanismProperties") {
			secrets = append(secrets, forms(value)...)
			continue
		}
		if decoded, err := url.PathUnescape(value); err == nil && decoded != value {
			value += "," + decoded
		}
		for property := range strings.SplitSeq(value, ",") { // NAME:value
			if key, v, _ := strings.Cut(property, ":"); isCredential(key) {
				secrets = append(secrets, forms(v)...)
			}
		}
	}
	return secrets
}

// isCredential reports whether the value of an option is secret.
func isCredential(option string) bool {
	option = strings.ToLower(option)
	return strings.Contains(option, "password") || strings.Contains(option, "token") || strings.Contains(option, "secret") ||
		option == "authmechanismproperties"
}

// forms returns a text as it stands in a URI, and what it means.
func forms(text string) []string {
	decoded, err := url.PathUnescape(text)
	if err != nil || decoded == text {
		return []string{text}
	}
	return []string{text, decoded}
}
