package gateway

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/swaggest/jsonschema-go"

	"github.com/ganglion-go/ganglion/actor"
)

// object is a JSON object of the OpenAPI document.
type object = map[string]any

const schemaPrefix = "#/components/schemas/"

// direction says who writes the JSON that a schema describes. What we write has
// every field that is not omitted when empty; what a caller writes may lack any,
// which then has its zero value.
type direction uint8

const (
	output direction = iota
	input
)

// schemas makes schemas of Go types, as encoding/json treats them. Types with a
// name become components, named "kind.Type".
type schemas struct {
	components object
	prefix     string
	names      map[typeUse]string
	taken      map[string]bool
	reflector  jsonschema.Reflector
	strict     bool // inputs have no fields but those of their types
}

// typeUse is a type in one direction: the two have different schemas.
type typeUse struct {
	typ reflect.Type
	dir direction
}

// newSchemas returns a maker of schemas for the types of a kind, or of the
// gateway itself if the kind is empty.
func newSchemas(components object, kind actor.Kind) *schemas {
	s := &schemas{components: components, names: map[typeUse]string{}, taken: map[string]bool{}}
	if kind != "" {
		s.prefix = string(kind) + "."
	}
	return s
}

// of returns the schema of a type: a reference where the type has a name.
func (s *schemas) of(t reflect.Type, d direction) (*jsonschema.Schema, error) {
	nilable := isNilable(t)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() == reflect.Interface {
		return &jsonschema.Schema{}, nil
	}
	schema, err := s.reflector.Reflect(reflect.Zero(t).Interface(),
		jsonschema.DefinitionsPrefix(schemaPrefix),
		jsonschema.RootRef,
		jsonschema.ProcessWithoutTags,
		jsonschema.SkipEmbeddedMapsSlices,
		jsonschema.SkipUnsupportedProperties,
		jsonschema.InterceptDefName(func(t reflect.Type, _ string) string { return s.name(typeUse{t, d}) }),
		jsonschema.InterceptSchema(func(p jsonschema.InterceptSchemaParams) (bool, error) {
			if s.strict && d == input {
				closeObject(p)
			}
			return describeType(p, d), nil
		}),
		jsonschema.InterceptProp(func(p jsonschema.InterceptPropParams) error { return describeField(p, d) }),
		jsonschema.CollectDefinitions(func(name string, component jsonschema.Schema) {
			if d == input {
				acceptNull(&component)
			}
			s.components[name] = component
		}))
	if err != nil {
		return nil, fmt.Errorf("schema of %v: %w", t, err)
	}
	if d == input {
		acceptNull(&schema)
	}
	if d == output && nilable {
		allowNull(&schema)
	}
	return &schema, nil
}

// name returns the component's name: the type's own for the first that asks,
// with a suffix for an input that is an output as well, and numbered for
// another package's type of that name.
func (s *schemas) name(u typeUse) string {
	if name, ok := s.names[u]; ok {
		return name
	}
	base := s.prefix + componentName(u.typ.Name())
	if s.taken[base] && u.dir == input {
		base += "Input"
	}
	name := base
	for n := 2; s.taken[name]; n++ {
		name = base + strconv.Itoa(n)
	}
	s.taken[name], s.names[u] = true, name
	return name
}

// componentName turns "Page[example.org/shop.Item]" into "Page_Item".
func componentName(typeName string) string {
	name := regexp.MustCompile(`[^\[\],]*[/.]`).ReplaceAllString(typeName, "")
	name = regexp.MustCompile(`[^A-Za-z0-9]+`).ReplaceAllString(name, "_")
	return strings.Trim(name, "_")
}

func isNilable(t reflect.Type) bool {
	return t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map
}

// allowNull makes null valid too.
func allowNull(s *jsonschema.Schema) {
	switch {
	case s.Ref != nil:
		named := *s
		*s = jsonschema.Schema{AnyOf: []jsonschema.SchemaOrBool{named.ToSchemaOrBool(), jsonschema.Null.ToSchemaOrBool()}}
	case s.Type != nil:
		s.AddType(jsonschema.Null)
	}
}

// describeType settles the types that encoding/json does not treat by their
// kind. Types that tell their schema have been asked before.
func describeType(p jsonschema.InterceptSchemaParams, d direction) (done bool) {
	t := p.Value.Type()
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if p.Processed {
		if d == input {
			boundNumber(p.Schema, t)
		}
		return false
	}
	switch {
	case t == reflect.TypeFor[time.Time]() || t == reflect.TypeFor[json.RawMessage]():
		return false
	case t == reflect.TypeFor[actor.None]():
		p.Schema.AddType(jsonschema.Null)
	case t == reflect.TypeFor[json.Number]():
		p.Schema.AddType(jsonschema.Number)
	case implements[json.Marshaler](t) || implements[json.Unmarshaler](t):
		p.Schema.WithDescription("Any JSON: the type encodes itself.")
	case d == output && implements[encoding.TextMarshaler](t) && !implements[encoding.TextUnmarshaler](t):
		p.Schema.AddType(jsonschema.String)
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		p.Schema.AddType(jsonschema.String)
		p.Schema.WithContentEncoding("base64")
		if d == input {
			p.Schema.WithPattern(base64Text)
		}
	default:
		return false
	}
	return true
}

// closeObject allows no fields but those of a struct, see [actor.Definition.Strict].
func closeObject(p jsonschema.InterceptSchemaParams) {
	t := p.Value.Type()
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if p.Processed && t.Kind() == reflect.Struct && p.Schema.HasType(jsonschema.Object) {
		none := jsonschema.SchemaOrBool{}
		none.WithTypeBoolean(false)
		p.Schema.WithAdditionalProperties(none)
	}
}

func implements[I any](t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[I]())
}

// describeField adds what a field's place in its struct says: whether it is
// always there, and may be null.
func describeField(p jsonschema.InterceptPropParams, d direction) error {
	always, shadowed := promotion(p)
	if shadowed {
		return jsonschema.ErrSkipProperty
	}
	if !p.Processed {
		return nil
	}
	_, tag, _ := strings.Cut(p.Field.Tag.Get("json"), ",")
	options := "," + tag + ","
	if strings.Contains(options, ",string,") && p.PropertySchema.Type != nil && isScalar(p.Field.Type) {
		*p.PropertySchema = jsonschema.Schema{Description: p.PropertySchema.Description}
		p.PropertySchema.AddType(jsonschema.String)
	}
	preferDeclared(p.PropertySchema)
	kind := p.Field.Type.Kind()
	if kind == reflect.Array && p.PropertySchema.Ref == nil {
		p.PropertySchema.RemoveType(jsonschema.Null)
	}
	_, told := p.Field.Tag.Lookup("nullable")
	omitted := d == output && (strings.Contains(options, ",omitzero,") || strings.Contains(options, ",omitempty,") && kind != reflect.Struct)
	if isNilable(p.Field.Type) && !told && !omitted {
		allowNull(p.PropertySchema)
	}
	if d == output && always && !omitted {
		p.ParentSchema.Required = append(p.ParentSchema.Required, p.Name)
	}
	return nil
}

func isScalar(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Struct, reflect.Map, reflect.Slice, reflect.Array, reflect.Interface:
		return false
	default:
		return true
	}
}

// promotion looks at how a field got into the JSON object. A field of an
// embedded pointer is missing when that is nil, and one of an embedded struct is
// shadowed by another of its name further out.
func promotion(p jsonschema.InterceptPropParams) (always, shadowed bool) {
	parent := p.ParentSchema.ReflectType
	for parent != nil && parent.Kind() == reflect.Pointer {
		parent = parent.Elem()
	}
	if parent == nil || parent.Kind() != reflect.Struct {
		return true, false
	}
	f, ok := parent.FieldByName(p.Field.Name)
	if !ok || f.Type != p.Field.Type || f.Tag != p.Field.Tag {
		return false, true
	}
	for i := range f.Index[:len(f.Index)-1] {
		if parent.FieldByIndex(f.Index[:i+1]).Type.Kind() == reflect.Pointer {
			return false, false
		}
	}
	return true, false
}
