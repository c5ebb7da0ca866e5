package commandform

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Description is the OpenAPI document of a gateway.
type Description struct{ root map[string]any }

// Parse reads an OpenAPI document.
func Parse(document []byte) (*Description, error) {
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber()
	var root map[string]any
	if err := d.Decode(&root); err != nil {
		return nil, fmt.Errorf("read the API's description: %w", err)
	}
	return &Description{root: root}, nil
}

// Commands returns the names of the commands of a kind that callers have, sorted.
func (d *Description) Commands(kind string) []string {
	var names []string
	prefix := "/v1/" + kind + "/{id}/"
	for path, operations := range object(d.root["paths"]) {
		name, ok := strings.CutPrefix(path, prefix)
		if ok && !strings.Contains(name, "/") && object(operations)["post"] != nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Form returns an empty form of a command; false: the description has no such command.
func (d *Description) Form(kind, command string) (*Form, bool) {
	operation := object(object(object(d.root["paths"])["/v1/"+kind+"/{id}/"+command])["post"])
	if operation == nil {
		return nil, false
	}
	body := d.follow(operation["requestBody"])
	content := object(object(body["content"])["application/json"])
	f := &Form{Kind: kind, Command: command, Summary: text(operation["summary"])}
	schema := d.plain(content["schema"]).schema
	budget := fieldsMost
	f.Fields = d.fields("", schema, 0, &budget)
	return f, true
}

// Bounds of a form. What is beyond them is a field for JSON.
const (
	depthMost  = 3
	fieldsMost = 200
)

// fields returns a field for each property of an object.
func (d *Description) fields(at string, schema map[string]any, depth int, budget *int) []Field {
	properties := object(schema["properties"])
	all := make([]Field, 0, len(properties))
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		*budget--
		all = append(all, d.field(at+"/"+escape(name), name, properties[name], depth, budget))
	}
	return all
}

// field returns the field of one property.
func (d *Description) field(at, name string, raw any, depth int, budget *int) Field {
	p := d.plain(raw)
	f := Field{Name: at, Label: name, Description: text(p.schema["description"]), Nullable: p.nullable}
	f.Least, f.Most = bound(p.schema, "minimum"), bound(p.schema, "maximum")
	f.Format = text(p.schema["format"])
	if choices, ok := p.schema["enum"].([]any); ok && len(choices) > 0 {
		f.Input = Choice
		for _, c := range choices {
			data, err := json.Marshal(c)
			if err == nil && string(data) != "null" {
				f.Choices = append(f.Choices, string(data))
			}
		}
		return f
	}
	switch p.kind {
	case "string":
		f.Input = Text
	case "integer":
		f.Input = Integer
	case "number":
		f.Input = Number
	case "boolean":
		f.Input, f.Choices = Choice, []string{"true", "false"}
	case "object":
		if depth < depthMost && *budget > 0 && len(object(p.schema["properties"])) > 0 {
			f.Input, f.Fields = Group, d.fields(at, p.schema, depth+1, budget)
			return f
		}
		f.Input, f.Format = JSON, "object"
	case "array":
		f.Input, f.Format = JSON, "list"
	default:
		f.Input, f.Format = JSON, "any value"
	}
	return f
}

// property is a schema without references, and without null among what it allows.
type property struct {
	schema   map[string]any
	kind     string // its type; empty: any
	nullable bool
}

// plain follows references and takes null out of alternatives.
func (d *Description) plain(raw any) property {
	var p property
	for range depthMost * 8 { // a schema may refer to itself
		p.schema = d.follow(raw)
		rest := alternatives(p.schema, &p.nullable)
		if rest == nil {
			break
		}
		raw = rest
	}
	switch t := p.schema["type"].(type) {
	case string:
		p.kind = t
	case []any:
		var others []string
		for _, one := range t {
			if text(one) == "null" {
				p.nullable = true
				continue
			}
			others = append(others, text(one))
		}
		if len(others) == 1 {
			p.kind = others[0]
		}
	}
	return p
}

// alternatives returns the only one of anyOf that is not null; nil: there are none, or several.
func alternatives(schema map[string]any, nullable *bool) any {
	all, ok := schema["anyOf"].([]any)
	if !ok {
		return nil
	}
	var rest []any
	for _, one := range all {
		if text(object(one)["type"]) == "null" {
			*nullable = true
			continue
		}
		rest = append(rest, one)
	}
	if len(rest) != 1 {
		return nil
	}
	return rest[0]
}

// follow returns what a value, or what it refers to, is.
func (d *Description) follow(raw any) map[string]any {
	schema := object(raw)
	for range 32 {
		ref := text(schema["$ref"])
		if ref == "" {
			return schema
		}
		var at any = d.root
		for part := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
			at = object(at)[unescape(part)]
		}
		schema = object(at)
	}
	return nil
}

func object(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

func bound(schema map[string]any, name string) string {
	n, _ := schema[name].(json.Number)
	return n.String()
}

// escape writes a name as a part of a JSON Pointer (RFC 6901).
func escape(name string) string {
	return strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
}

func unescape(part string) string {
	return strings.ReplaceAll(strings.ReplaceAll(part, "~1", "/"), "~0", "~")
}
