package launch

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
)

// maxImageBytes bounds a binary that is copied to be verified: 1 GiB.
const maxImageBytes = 1 << 30

// image is what is executed: a file as it lies there, or a copy that was verified
// and that nobody can change.
type image struct {
	path string   // to execute; may mean a descriptor of the new process
	file *os.File // what path refers to, passed on as imageFD; may be nil
	dir  string   // removed at the end; may be empty
}

// openImage returns what to execute for path. With verify, it is a copy of the
// file, the SHA-256 of whose bytes verify has accepted. scratch is an existing
// private directory, or empty for the system's.
func openImage(path, scratch string, verify func([sha256.Size]byte) error) (*image, error) {
	if verify == nil {
		return &image{path: path}, nil
	}
	src, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = src.Close() }()
	fi, err := src.Stat()
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("verify %s: it is not a regular file", path)
	}
	return copyImage(path, src, scratch, verify)
}

// copyHashed copies src to dst and has the sum of the bytes that it wrote verified.
func copyHashed(dst io.Writer, src io.Reader, verify func([sha256.Size]byte) error) error {
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(dst, h), io.LimitReader(src, maxImageBytes+1))
	if err != nil {
		return fmt.Errorf("copy the program: %w", err)
	}
	if n > maxImageBytes {
		return fmt.Errorf("copy the program: it has more than %d bytes", maxImageBytes)
	}
	return verify([sha256.Size]byte(h.Sum(nil)))
}

// privateCopy makes the copy in a directory of its own.
func privateCopy(src io.Reader, scratch string, verify func([sha256.Size]byte) error) (*image, error) {
	dir, err := os.MkdirTemp(scratch, "image-")
	if err != nil {
		return nil, fmt.Errorf("copy the program: %w", err)
	}
	i := &image{path: copyPath(dir), dir: dir}
	if err := i.fill(src, verify); err != nil {
		i.remove()
		return nil, err
	}
	return i, nil
}

func (i *image) fill(src io.Reader, verify func([sha256.Size]byte) error) error {
	dst, err := os.OpenFile(i.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o700)
	if err != nil {
		return fmt.Errorf("copy the program: %w", err)
	}
	err = copyHashed(dst, src, verify)
	if cerr := dst.Close(); cerr != nil {
		err = errors.Join(err, fmt.Errorf("copy the program: %w", cerr))
	}
	if err != nil {
		return err
	}
	// Another user may have to execute it; none may change it.
	return errors.Join(os.Chmod(i.path, 0o555), os.Chmod(i.dir, 0o711))
}

// closeFile closes the descriptor that the new process has inherited.
func (i *image) closeFile() {
	if i != nil && i.file != nil {
		_ = i.file.Close()
	}
}

// remove removes a copy.
func (i *image) remove() {
	if i != nil && i.dir != "" {
		_ = os.RemoveAll(i.dir)
	}
}
