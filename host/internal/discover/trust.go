package discover

import "io/fs"

// Trusted returns why a file is not trusted: somebody other than root and the
// current user can change it.
func Trusted(fi fs.FileInfo) error { return trusted(fi) }
