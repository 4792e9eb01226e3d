package logdriver

import (
	"errors"
	"reflect"
	"testing"
	"time"
)

// Reset names each field: one that it does not know would reach the next owner.
func TestResetKeepsNothing(t *testing.T) {
	m := NewMessage()
	m.Line = append(m.Line, "line"...)
	m.Source, m.Timestamp, m.Attrs = "stdout", time.Now(), append(m.Attrs, Attr{"key", "value"})
	m.Partial, m.Unterminated, m.Seq, m.Err = Partial{"id", 1, true}, true, 1, errors.New("damaged")
	v := reflect.ValueOf(m).Elem()
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.IsExported() && v.Field(i).IsZero() {
			t.Errorf("field %s has no value in this test", f.Name)
		}
	}
	m.Reset()
	for i := range v.NumField() {
		f, field := v.Type().Field(i), v.Field(i)
		if f.Name == "own" { // what is kept on purpose
			continue
		}
		if !field.IsZero() && !(field.Kind() == reflect.Slice && field.Len() == 0) {
			t.Errorf("field %s is kept", f.Name)
		}
	}
	if a := m.Attrs[:1]; a[0] != (Attr{}) {
		t.Errorf("attributes keep %v alive", a)
	}
}

// What was lent to a message never comes to be its own.
func TestResetLetsGoOfWhatIsBorrowed(t *testing.T) {
	m, lent := NewMessage(), make([]byte, 2*initialLineBytes)
	m.Borrow(lent)
	m.Reset()
	if m.borrowed || cap(m.Line) != initialLineBytes {
		t.Errorf("borrowed %v, room for %d bytes", m.borrowed, cap(m.Line))
	}
}
