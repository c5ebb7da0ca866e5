package redact

import (
	"net/url"
	"strings"
)

// SecretsOf returns what is secret in a URI, or in a comma-separated list of them: names
// and passwords before the hosts, and the values of options that are credentials.
func SecretsOf(uris string) []string {
	var secrets []string
	for _, found := range userinfo.FindAllString(uris, -1) {
		_, info, _ := strings.Cut(strings.TrimSuffix(found, "@"), "://")
		// In a list, whatever is between the first scheme and the last host.
		for _, part := range strings.FieldsFunc(info, func(r rune) bool { return r == ':' || r == ',' || r == '@' || r == '/' }) {
			if !strings.Contains(found, part+"://") {
				secrets = append(secrets, forms(part)...)
			}
		}
		_, password, _ := strings.Cut(info, ":")
		secrets = append(secrets, forms(password)...)
	}
	_, query, _ := strings.Cut(uris, "?")
	for option := range strings.FieldsFuncSeq(query, func(r rune) bool { return r == '&' || r == ';' }) {
		name, value, _ := strings.Cut(option, "=")
		if isCredential(name) {
			secrets = append(secrets, forms(value)...)
			for property := range strings.SplitSeq(value, ",") { // NAME:value
				_, v, _ := strings.Cut(property, ":")
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
