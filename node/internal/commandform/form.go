package commandform

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Input is how a field is filled in.
type Input string

// The inputs.
const (
	Text    Input = "text"
	Integer Input = "integer"
	Number  Input = "number"
	Choice  Input = "choice"
	JSON    Input = "json"
	Group   Input = "group" // of Fields
)

// Form is a form of a command.
type Form struct {
	Kind, Command string
	Summary       string
	Fields        []Field
	Whole         string // the whole command as JSON, in the place of the fields; empty: the fields count
	Fault         string // of Whole
}

// Field is one field.
type Field struct {
	Name        string // a JSON Pointer
	Label       string
	Description string
	Input       Input
	Format      string
	Least, Most string   // of a number; empty: no bound
	Choices     []string // JSON texts
	Nullable    bool
	Fields      []Field // of a group

	Value string // as it was filled in
	Fault string // why that cannot be; empty: it can
}

// Bytes bounds the JSON of a command.
const Bytes = 1 << 20

// Fill takes in what was sent: the fields under their names, and "whole".
func (f *Form) Fill(sent url.Values) {
	f.Whole = strings.TrimSpace(sent.Get("whole"))
	fill(f.Fields, sent)
}

func fill(fields []Field, sent url.Values) {
	for i := range fields {
		fields[i].Value = sent.Get(fields[i].Name)
		fill(fields[i].Fields, sent)
	}
}

// JSON returns the command as JSON; false: fields have faults.
func (f *Form) JSON() (_ []byte, ok bool) {
	if f.Whole != "" {
		return f.whole()
	}
	var out bytes.Buffer
	ok = write(&out, f.Fields)
	return out.Bytes(), ok
}

func (f *Form) whole() ([]byte, bool) {
	data := []byte(f.Whole)
	switch {
	case len(data) > Bytes:
		f.Fault = fmt.Sprintf("It has more than %d bytes.", Bytes)
	case data[0] != '{':
		f.Fault = "A JSON object is required."
	case !json.Valid(data):
		f.Fault = "This is not JSON."
	}
	return data, f.Fault == ""
}

// write appends an object of the fields that are filled in. It goes on behind a fault, so that
// all of them are found.
func write(out *bytes.Buffer, fields []Field) (ok bool) {
	ok = true
	out.WriteByte('{')
	first := out.Len()
	for i := range fields {
		f := &fields[i]
		if f.Input == Group && !filled(f.Fields) {
			continue
		}
		if f.Input != Group && f.Value == "" {
			continue
		}
		if out.Len() > first {
			out.WriteByte(',')
		}
		name, _ := json.Marshal(f.Label) // a text has a JSON form
		out.Write(name)
		out.WriteByte(':')
		if f.Input == Group {
			ok = write(out, f.Fields) && ok
			continue
		}
		data, fault := f.json()
		if f.Fault = fault; fault != "" {
			ok = false
			data = []byte("null")
		}
		out.Write(data)
	}
	out.WriteByte('}')
	return ok
}

// filled reports whether any of the fields is.
func filled(fields []Field) bool {
	return slices.ContainsFunc(fields, func(f Field) bool { return f.Value != "" || filled(f.Fields) })
}

var (
	wholeNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)
	anyNumber   = regexp.MustCompile(`^-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][+-]?[0-9]{1,4})?$`)
)

// numberDigits is the longest number that is taken, in bytes.
const numberDigits = 400

// json returns a field's value as JSON, with the digits that it was given.
func (f *Field) json() (data []byte, fault string) {
	value := f.Value
	if !utf8.ValidString(value) {
		return nil, "This is not text."
	}
	switch f.Input {
	case Integer, Number:
		value = strings.TrimSpace(value)
		form, what := anyNumber, "A number such as 12.50 is required."
		if f.Input == Integer {
			form, what = wholeNumber, "A whole number is required, without separators."
		}
		if len(value) > numberDigits || !form.MatchString(value) {
			return nil, what
		}
		return []byte(value), f.within(value)
	case Choice:
		if value == "null" && f.Nullable || slices.Contains(f.Choices, value) {
			return []byte(value), ""
		}
		return nil, "Choose one of those that are offered."
	case JSON:
		if !json.Valid([]byte(value)) {
			return nil, "This is not JSON."
		}
		return []byte(value), ""
	case Text, Group:
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	_ = e.Encode(value) // a text has a JSON form
	return bytes.TrimRight(out.Bytes(), "\n"), ""
}

// within checks the bounds of a number, exactly.
func (f *Field) within(value string) (fault string) {
	n, ok := new(big.Rat).SetString(value)
	if !ok {
		return "A number is required."
	}
	if least, ok := new(big.Rat).SetString(f.Least); ok && n.Cmp(least) < 0 {
		return "The least is " + f.Least + "."
	}
	if most, ok := new(big.Rat).SetString(f.Most); ok && n.Cmp(most) > 0 {
		return "The most is " + f.Most + "."
	}
	return ""
}
