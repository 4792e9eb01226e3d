package child

import (
	"errors"
	"io/fs"
	"os/exec"
)

// Exit codes of a command that could not be started, those of shells.
const (
	CodeNotExecutable = 126
	CodeNotFound      = 127
)

// StartError reports a command that could not be started.
type StartError struct {
	// Command is the command's name as it was given.
	Command string
	// Code is CodeNotExecutable or CodeNotFound.
	Code int
	Err  error
}

func (e *StartError) Error() string {
	reason := e.Err
	var lookup *exec.Error
	if errors.As(reason, &lookup) {
		reason = lookup.Err // which names the command once more
	}
	var path *fs.PathError
	if errors.As(reason, &path) {
		reason = path.Err
	}
	return "cannot run " + e.Command + ": " + reason.Error()
}

func (e *StartError) Unwrap() error { return e.Err }

func startError(command string, err error) *StartError {
	code := CodeNotExecutable
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		code = CodeNotFound
	}
	return &StartError{Command: command, Code: code, Err: err}
}

// Lookup returns the path of a command, or a *StartError.
func Lookup(command string) (string, error) {
	path, err := exec.LookPath(command)
	if err != nil {
		return "", startError(command, err)
	}
	return path, nil
}
