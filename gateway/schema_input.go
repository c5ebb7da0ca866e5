package gateway

import (
	"math"
	"reflect"

	"github.com/swaggest/jsonschema-go"
)

// What a caller writes is decoded by encoding/json: the schema of an input says what that
// takes, no more and no less.

// acceptNull makes null valid for everything within a schema, and not for itself: null
// leaves a field as it is, whatever its type, and the payload itself is an object.
func acceptNull(s *jsonschema.Schema) {
	for name, property := range s.Properties {
		s.Properties[name] = orNull(property)
	}
	if s.AdditionalProperties != nil {
		*s.AdditionalProperties = orNull(*s.AdditionalProperties)
	}
	if s.Items != nil && s.Items.SchemaOrBool != nil {
		*s.Items.SchemaOrBool = orNull(*s.Items.SchemaOrBool)
	}
}

func orNull(s jsonschema.SchemaOrBool) jsonschema.SchemaOrBool {
	if s.TypeObject == nil {
		return s // true or false
	}
	within := *s.TypeObject
	acceptNull(&within)
	allowNull(&within)
	return within.ToSchemaOrBool()
}

// boundNumber says which numbers fit into a type. JSON has numbers of any size.
func boundNumber(s *jsonschema.Schema, t reflect.Type) {
	if s.Type == nil || !s.HasType(jsonschema.Integer) && !s.HasType(jsonschema.Number) {
		return
	}
	bound := func(least, most any) {
		if least != nil {
			s.WithExtraPropertiesItem("minimum", least)
		}
		s.WithExtraPropertiesItem("maximum", most)
	}
	switch t.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		bits := t.Bits()
		bound(int64(math.MinInt64)>>(64-bits), int64(math.MaxInt64)>>(64-bits))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		bound(nil, uint64(math.MaxUint64)>>(64-t.Bits())) // the least is there already
	case reflect.Float32:
		bound(-math.MaxFloat32, math.MaxFloat32)
	case reflect.Float64:
		bound(-math.MaxFloat64, math.MaxFloat64)
	default:
	}
}

// preferDeclared leaves out the bounds of a type where the field's own tags say others.
func preferDeclared(s *jsonschema.Schema) {
	if s.Minimum != nil || s.ExclusiveMinimum != nil {
		delete(s.ExtraProperties, "minimum")
	}
	if s.Maximum != nil || s.ExclusiveMaximum != nil {
		delete(s.ExtraProperties, "maximum")
	}
}

// base64Text is what encoding/json takes for bytes.
const base64Text = `^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$`
