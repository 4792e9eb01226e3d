package logfile

import "fmt"

// DamageError reports bytes of a log that are no record. It arrives as
// Message.Err, in the place where the bytes are.
type DamageError struct {
	// File is the name of the file at the time of reading.
	File string
	// Offset is where the damage starts, in bytes of the uncompressed file.
	Offset int64
	// Bytes is how many were skipped; 0 if that cannot be told.
	Bytes int64
	// Err says what is wrong with the first of them.
	Err error
}

func (e *DamageError) Error() string {
	if e.Bytes == 0 {
		return fmt.Sprintf("damage in %s at offset %d: %v", e.File, e.Offset, e.Err)
	}
	return fmt.Sprintf("skipped %d damaged bytes in %s at offset %d: %v", e.Bytes, e.File, e.Offset, e.Err)
}

func (e *DamageError) Unwrap() error { return e.Err }
