package gateway

import (
	"net/http"
	"strconv"
)

// rightsStatuses are those of requests that are refused for who sends them.
func (c *Config) rightsStatuses() []int {
	var statuses []int
	if c.Authenticate != nil {
		statuses = append(statuses, http.StatusUnauthorized)
	}
	if c.Authorize != nil {
		statuses = append(statuses, http.StatusForbidden)
	}
	return statuses
}

// secure describes what the gateway asks its callers for.
func (d *describer) secure(document object) {
	if d.cfg.Authenticate == nil {
		return
	}
	schemes, anyOf := object{}, []object{}
	for _, s := range d.cfg.Authenticate.Schemes() {
		schemes[s.Name] = s.OpenAPI
		anyOf = append(anyOf, object{s.Name: []string{}})
	}
	document["components"].(object)["securitySchemes"] = schemes
	document["security"] = anyOf
}

// guarded adds to an operation how it is refused for who asks.
func (d *describer) guarded(operation object, description bool) object {
	statuses := d.cfg.rightsStatuses()
	if len(statuses) == 0 {
		return operation
	}
	if description && d.cfg.PublicDescription {
		operation["security"] = []object{}
		return operation
	}
	responses := operation["responses"].(object)
	for _, status := range append(statuses, http.StatusServiceUnavailable) {
		name := strconv.Itoa(status)
		responses[name] = ref("responses", name)
	}
	return operation
}
