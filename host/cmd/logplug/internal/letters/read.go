package letters

import (
	"bufio"
	"encoding/json"
	"fmt"
	"iter"
	"os"

	"github.com/logplug/logplug/host"
)

// maxLineBytes bounds a line as host.ReadDeadLetters does.
const maxLineBytes = 4 << 20

// read does what host.ReadDeadLetters does, with a file that is open and may have
// another name by now.
func read(file *os.File) iter.Seq2[host.DeadLetter, error] {
	return func(yield func(host.DeadLetter, error) bool) {
		lines := bufio.NewScanner(file)
		lines.Buffer(nil, maxLineBytes)
		for n := 1; lines.Scan(); n++ {
			var d host.DeadLetter
			err := json.Unmarshal(lines.Bytes(), &d)
			if err != nil {
				err = fmt.Errorf("%s, line %d: not a dead letter: %w", file.Name(), n, err)
			}
			if !yield(d, err) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(host.DeadLetter{}, fmt.Errorf("%s: %w", file.Name(), err))
		}
	}
}
