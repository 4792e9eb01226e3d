package importer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// detectBytes is how much of a file is looked at.
const detectBytes = 1 << 20

// UnknownFormatError reports files whose format cannot be told.
type UnknownFormatError struct{ Path string }

func (e *UnknownFormatError) Error() string {
	return fmt.Sprintf("%s has none of the formats %s; if it is damaged, name its format with --format", e.Path, strings.Join(Formats(), ", "))
}

// detect returns the format in which the first record of a file can be decoded.
func detect(r io.Reader) (f Format, ok bool, err error) {
	b, err := io.ReadAll(io.LimitReader(r, detectBytes))
	if err != nil && !isDamage(err) { // what is before the damage may tell
		return "", false, err
	}
	var fits []Format
	for _, f := range []Format{DockerJSON, DockerLocal, CRI} {
		in, e := newInput(bytes.NewReader(b)), new(entry)
		err := f.decoder().next(in, e)
		if err == nil && in.damage.Places == 0 {
			fits = append(fits, f)
		}
	}
	if len(fits) == 1 {
		return fits[0], true, nil
	}
	return "", false, nil
}

// Detect returns the format of files. errors.As finds an *UnknownFormatError.
func Detect(files []File) (Format, error) {
	for _, f := range files {
		r, err := f.open()
		if isDamage(err) {
			continue
		}
		if err != nil {
			return "", err
		}
		format, ok, err := detect(r)
		switch {
		case err != nil:
			return "", fmt.Errorf("read %s: %w", f.Path, err)
		case ok:
			return format, nil
		case r.seen > 0:
			return "", &UnknownFormatError{f.Path}
		}
	}
	if len(files) == 0 {
		return "", errors.New("there is no file")
	}
	return "", fmt.Errorf("%s is empty: there is nothing to import", files[0].Path)
}
