package jobs

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"regexp"
)

// maxIDBytes is the most that an id may hold.
const maxIDBytes = 128

var idPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$`)

// CheckID tells what is wrong with an id that a user chose.
func CheckID(id string) error {
	if idPattern.MatchString(id) {
		return nil
	}
	shown := id
	if len(shown) > maxIDBytes {
		shown = shown[:maxIDBytes] + "..."
	}
	return fmt.Errorf("id %q: use a letter or a digit, then letters, digits, \"_\", \".\" and \"-\", at most %d in all", shown, maxIDBytes)
}

// NewID returns a random id of 12 hexadecimal digits.
func NewID() string {
	var b [6]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
