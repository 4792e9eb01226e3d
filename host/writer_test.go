package host

import (
	"errors"
	"fmt"
	"io"
	"log"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/logplug/logplug/shared/logdriver"
)

var _ io.WriteCloser = (*Writer)(nil)

func TestWriter(t *testing.T) {
	dst := &collector{bufSize: 4}
	w := NewWriter(dst, "app")
	for _, s := range []string{"a\nb", "", "c\r\n", "\n", "abcd", "efghi", "jkl"} {
		if n, err := io.WriteString(w, s); n != len(s) || err != nil {
			t.Fatalf("writing %q: %d, %v", s, n, err)
		}
	}
	for range 2 {
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	msgs := dst.of("app")
	diff(t, "messages", pieces(msgs), []piece{
		{Line: "a"}, {Line: "bc\r"}, {}, {"abcd", 1, false, false}, {"efgh", 2, false, false}, {"ijkl", 3, true, true}})
	checkParts(t, msgs, 4)
	if n, err := w.Write([]byte("x\n")); n != 0 || !errors.Is(err, logdriver.ErrClosed) {
		t.Errorf("Write after Close: %d, %v", n, err)
	}
	if got := len(dst.messages()); got != len(msgs) {
		t.Errorf("%d messages were logged after Close", got-len(msgs))
	}
}

func TestWriterErrors(t *testing.T) {
	dst := &collector{refuse: func(n int, _ *logdriver.Message) error {
		if n%2 == 0 {
			return errDisk
		}
		return nil
	}}
	w := NewWriter(dst, "app")
	n, err := io.WriteString(w, "00\n1\n22\n3\nrest")
	if n != 14 || !errors.Is(err, errDisk) || !strings.Contains(err.Error(), "2 messages lost") {
		t.Errorf("Write returned %d, %v", n, err)
	}
	if _, err := io.WriteString(w, "..."); err != nil {
		t.Errorf("an error was reported twice: %v", err)
	}
	if err := w.Close(); !errors.Is(err, errDisk) {
		t.Errorf("Close returned %v, want %v", err, errDisk)
	}
	diff(t, "messages", pieces(dst.messages()), []piece{{Line: "1"}, {Line: "3"}})
	diff(t, "lost", w.Lost(), Loss{Messages: 3, Bytes: 11})
}

func TestWriterConcurrently(t *testing.T) {
	dst := &collector{bufSize: 8}
	w := NewWriter(dst, "app")
	const writers, lines = 8, 200
	var wg sync.WaitGroup
	for g := range writers {
		wg.Go(func() {
			for i := range lines {
				_, _ = fmt.Fprintf(w, "writer %d line %d\n", g, i)
			}
		})
	}
	wg.Wait()
	checkParts(t, dst.messages(), 8)
	next := make(map[string]int)
	for line := range strings.Lines(string(joined(dst.messages()))) {
		var g, i int
		if _, err := fmt.Sscanf(line, "writer %d line %d\n", &g, &i); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		key := fmt.Sprint(g)
		if i != next[key] {
			t.Fatalf("writer %d: line %d came in place of %d", g, i, next[key])
		}
		next[key]++
	}
	if len(next) != writers || next["0"] != lines {
		t.Errorf("got lines %v", next)
	}
}

func ExampleNewWriter() {
	dst := new(collector) // a Logger that a Host opened
	w := NewWriter(dst, "app")
	defer func() { _ = w.Close() }()

	log.New(w, "", 0).Println("from the log package")
	hclog.New(&hclog.LoggerOptions{Output: w, DisableTime: true}).Info("from hclog")

	for _, m := range dst.messages() {
		fmt.Printf("%s: %s\n", m.Source, m.Line)
	}
	// Output:
	// app: from the log package
	// app: [INFO]  from hclog
}
