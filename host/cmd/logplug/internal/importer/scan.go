package importer

import (
	"errors"
	"io"

	"github.com/logplug/logplug/shared/logdriver"
)

// Scan makes messages of everything in files, as an Importer logs them to a driver
// that splits lines above size bytes, and returns what was skipped. emit owns them. It
// is there for package dockertest, a module of its own, which compares these messages with
// what Docker's own drivers read.
func Scan(files []File, format Format, size int, emit func(*logdriver.Message) error) (sum Damage, err error) {
	em := emitter{size: size, lines: map[string]open{}, emit: emit}
	for i := range files {
		r, err := files[i].open()
		if err != nil {
			return sum, err
		}
		in, d, e := newInput(r), format.decoder(), new(entry)
		for {
			offset := in.offset
			if err = d.next(in, e); err != nil {
				break
			}
			if err = em.entry(e, files[i].Path, offset); err != nil {
				return sum, err
			}
		}
		sum.Places += in.damage.Places
		sum.Bytes += in.damage.Bytes
		if !errors.Is(err, io.EOF) {
			return sum, err
		}
	}
	return sum, nil
}
