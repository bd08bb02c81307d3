package auditrail

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"
)

// notUTF8 is the error for a text that is not valid UTF-8, for which json.Marshal
// would write another without a word; nil if it is.
func notUTF8(name, text string) error {
	for at := 0; at < len(text); {
		r, size := utf8.DecodeRuneInString(text[at:])
		if r == utf8.RuneError && size == 1 {
			return &Error{Status: ErrInvalidEvent, Offset: int64(at),
				Message: fmt.Sprintf("%s: is not valid UTF-8 at byte %d", name, at)}
		}
		at += size
	}
	return nil
}

// A search goes through a value as json.Marshal does, for a text that is not valid
// UTF-8. It keeps what it has been through, for values may hold themselves where a
// MarshalJSON of their own breaks the circle.
type search map[visit]bool

type visit struct {
	at     uintptr
	length int
	kind   reflect.Type
}

func (s search) in(name string, value reflect.Value) error {
	for value.Kind() == reflect.Interface {
		value = value.Elem()
	}
	switch value.Kind() {
	case reflect.Invalid: // nil
		return nil
	case reflect.Pointer, reflect.Map, reflect.Slice:
		length := 0
		if value.Kind() == reflect.Slice {
			length = value.Len()
		}
		this := visit{value.Pointer(), length, value.Type()}
		if value.IsNil() || s[this] {
			return nil
		}
		s[this] = true
	}
	if text, ok := textOf(value); ok {
		return notUTF8(name, text)
	}
	switch value.Kind() {
	case reflect.Pointer:
		return s.in(name, value.Elem())
	case reflect.Struct:
		return s.inFields(name, value)
	case reflect.Map:
		for entries := value.MapRange(); entries.Next(); {
			key, _ := textOf(entries.Key())
			if err := notUTF8("a key of "+name, key); err != nil {
				return err
			}
			if err := s.in(name+"."+key, entries.Value()); err != nil {
				return err
			}
		}
	case reflect.Slice, reflect.Array:
		if value.Type().Elem().Kind() == reflect.Uint8 {
			return nil // written as base64, or JSON text already
		}
		for index := 0; index < value.Len(); index++ {
			if err := s.in(fmt.Sprintf("%s[%d]", name, index), value.Index(index)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s search) inFields(name string, value reflect.Value) error {
	for index := 0; index < value.NumField(); index++ {
		field := value.Type().Field(index)
		tag := field.Tag.Get("json")
		if tag == "-" || !field.IsExported() && !field.Anonymous {
			continue
		}
		inner, _, _ := strings.Cut(tag, ",")
		if inner == "" {
			inner = field.Name
		}
		if err := s.in(name+"."+inner, value.Field(index)); err != nil {
			return err
		}
	}
	return nil
}

// textOf is the text that a value is written as, if it is one.
func textOf(value reflect.Value) (string, bool) {
	if value.Kind() != reflect.String && value.CanInterface() {
		if marshaler, ok := value.Interface().(encoding.TextMarshaler); ok {
			text, err := marshaler.MarshalText()
			return string(text), err == nil
		}
	}
	return value.String(), value.Kind() == reflect.String
}
