package main

import (
	"bytes"
	"encoding/binary"
	"strings"
)

// Fields of an entry. Those without LOGPLUG are Docker's.
const (
	fieldMessage     = "MESSAGE"
	fieldPriority    = "PRIORITY"
	fieldIdentifier  = "SYSLOG_IDENTIFIER"
	fieldTimestamp   = "SYSLOG_TIMESTAMP" // of the message, RFC 3339 with nanoseconds
	fieldID          = "CONTAINER_ID"
	fieldIDFull      = "CONTAINER_ID_FULL"
	fieldName        = "CONTAINER_NAME"
	fieldTag         = "CONTAINER_TAG"
	fieldImage       = "IMAGE_NAME"
	fieldPartial     = "CONTAINER_PARTIAL_MESSAGE"
	fieldPartialID   = "CONTAINER_PARTIAL_ID"
	fieldPartialNum  = "CONTAINER_PARTIAL_ORDINAL"
	fieldPartialLast = "CONTAINER_PARTIAL_LAST"
	fieldEpoch       = "CONTAINER_LOG_EPOCH"   // names the stream that the ordinals count
	fieldOrdinal     = "CONTAINER_LOG_ORDINAL" // the message's sequence

	fieldSource       = "LOGPLUG_SOURCE"       // if it is neither stdout nor stderr
	fieldUnterminated = "LOGPLUG_UNTERMINATED" // "true"
	fieldAttributes   = "LOGPLUG_ATTRIBUTES"   // JSON: [key, value, key, value, ...]
	// fieldAhead marks entries whose message claims a time in the future, for
	// reading by time; it names the log.
	fieldAhead = "LOGPLUG_AHEAD"
)

// Values of PRIORITY, from syslog.
const (
	priorityError = "3"
	priorityInfo  = "6"
)

// reserved tells fields that have a meaning of their own.
func reserved(field string) bool {
	switch field {
	case fieldMessage, fieldPriority, fieldIdentifier, fieldTimestamp, fieldID, fieldIDFull, fieldName, fieldTag, fieldImage,
		fieldPartial, fieldPartialID, fieldPartialNum, fieldPartialLast, fieldEpoch, fieldOrdinal,
		fieldSource, fieldUnterminated, fieldAttributes, fieldAhead,
		"MESSAGE_ID", "ERRNO", "SYSLOG_FACILITY", "SYSLOG_PID", "SYSLOG_RAW", "OBJECT_PID", "CODE_FILE", "CODE_LINE", "CODE_FUNC", "TID":
		return true
	}
	return false
}

// maxFieldName is the longest name that journald accepts.
const maxFieldName = 64

// sanitize makes the name of a field of an attribute's key: upper-case letters,
// digits and "_", beginning with a letter. It returns "" if nothing is left, or
// if the field has a meaning of its own.
func sanitize(key string) string {
	var b strings.Builder
	for _, r := range strings.ToUpper(key) {
		switch {
		case r >= 'A' && r <= 'Z':
		case r >= '0' && r <= '9':
			if b.Len() == 0 {
				b.WriteByte('N')
			}
		case b.Len() == 0:
			continue // trusted fields begin with "_"
		default:
			r = '_'
		}
		b.WriteRune(r)
	}
	field := b.String()
	field = field[:min(len(field), maxFieldName)]
	if reserved(field) {
		return ""
	}
	return field
}

// appendField appends a field as the native protocol has it
// (https://systemd.io/JOURNAL_NATIVE_PROTOCOL): in one line, or with the value's
// length if that contains a newline.
func appendField[T string | []byte](b []byte, name string, value T) []byte {
	b = append(b, name...)
	if bytes.IndexByte([]byte(value), '\n') < 0 {
		b = append(b, '=')
	} else {
		b = append(b, '\n')
		b = binary.LittleEndian.AppendUint64(b, uint64(len(value)))
	}
	b = append(b, value...)
	return append(b, '\n')
}
