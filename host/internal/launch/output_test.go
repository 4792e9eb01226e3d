//go:build unix

package launch

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
)

func TestStderrLevels(t *testing.T) {
	cfg, log := program(t, "stderr-lines")
	lines := []string{
		`{"@message":1}`,
		`{"@level":[],"@message":"x"}`,
		`{"@level":"warn","@message":"hclog line","@module":"m","n":1,"list":[1,2]}`,
		`{"time":"2026-01-02T03:04:05Z","level":"DEBUG","msg":"slog line","k":"v"}`,
		`{"level":"ERROR+2","msg":"worse","k":null}`,
		`[WARN] old style`,
		"plain \x1b[31mtext\xff",
		`null`, `[]`, `{`, ``,
		strings.Repeat("{", 20000),
		"long " + strings.Repeat("y", 3*maxLineBytes),
		"fatal error: all goroutines are asleep",
		"goroutine 7:",
		`{"@level":"info","@message":"back to normal"}`,
		"plain again",
	}
	if err := os.WriteFile(file(cfg), []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	startProgram(t, cfg)
	for _, want := range []string{
		`[INFO]  test: {"@message":1}`,
		`[WARN]  test: hclog line: module=m list="[1,2]" n=1`,
		`[DEBUG] test: slog line: k=v`,
		`[ERROR] test: worse: k=<nil>`,
		`[WARN]  test: [WARN] old style`,
		`[INFO]  test: plain \x1b[31mtext\xff`,
		fmt.Sprintf("cut_bytes=%d", 2*maxLineBytes+len("long ")),
		`[ERROR] test: goroutine 7:`,
		`[INFO]  test: back to normal`,
		`[INFO]  test: plain again`,
	} {
		eventually(t, "the log has "+want, func() bool { return strings.Contains(log.String(), want) })
	}
}

func TestStderrFlood(t *testing.T) {
	cfg, log := program(t, "stderr-flood")
	startProgram(t, cfg)
	eventually(t, "the flood is reported", func() bool { return strings.Contains(log.String(), "suppressed=") })
	if n := strings.Count(log.String(), "\n"); n > floodLines/2 {
		t.Errorf("%d lines were logged", n)
	}
}

// What a driver prints after go-plugin took its stdout is read, else it blocks.
func TestStdioStream(t *testing.T) {
	cfg, log := program(t, "chatty")
	startProgram(t, cfg)
	if err := os.WriteFile(file(cfg), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "stdout is logged", func() bool { return strings.Contains(log.String(), "chat 0") })
	p := func() bool {
		return strings.Contains(log.String(), "the chat is over") || strings.Contains(log.String(), "suppressed=")
	}
	eventually(t, "stderr is reached", p)
}

func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reports []int
		f := newFlood(func(n int) { reports = append(reports, n) })
		passed := 0
		for range floodBurst + 50 {
			if f.allow(80) {
				passed++
			}
		}
		if passed != floodBurst {
			t.Errorf("%d lines passed", passed)
		}
		time.Sleep(floodReport + time.Millisecond) // of the bubble's clock
		synctest.Wait()
		if fmt.Sprint(reports) != "[50]" {
			t.Errorf("reports = %v", reports)
		}
		if !f.allow(80) {
			t.Error("nothing passes after a second")
		}
		for range floodBurst {
			f.allow(80)
		}
		f.close()
		if len(reports) != 2 {
			t.Errorf("reports = %v, want the rest at close", reports)
		}
		time.Sleep(2 * floodReport)
		synctest.Wait()
		if f.allow(80); len(reports) != 2 {
			t.Errorf("reports = %v after close", reports)
		}
	})
}

func TestSplitter(t *testing.T) {
	long := strings.Repeat("x", maxLineBytes)
	input := "a\r\n\nb\n" + long + "\n" + long + "yz\nlast"
	want := fmt.Sprint([]string{"a+0", "+0", "b+0", long + "+0", long + "+2", "last+0"})
	for _, size := range []int{1, 7, 4096, len(input)} {
		var got []string
		s := splitter{emit: func(line []byte, cut int) { got = append(got, fmt.Sprintf("%s+%d", line, cut)) }}
		for rest := []byte(input); len(rest) > 0; {
			n := min(size, len(rest))
			_, _ = s.Write(rest[:n])
			rest = rest[n:]
		}
		_ = s.Close()
		if fmt.Sprint(got) != want {
			t.Errorf("chunks of %d: %d lines", size, len(got))
		}
		if cap(s.buf) > 2*maxLineBytes {
			t.Errorf("the buffer holds %d bytes", cap(s.buf))
		}
	}
}

func TestTail(t *testing.T) {
	var tl tail
	if tl.last() != nil {
		t.Error("an empty tail has lines")
	}
	for i := range tailLines + 3 {
		tl.add(fmt.Sprint(i))
	}
	tl.add(strings.Repeat("é", tailLineBytes))
	got := tl.last()
	if len(got) != tailLines || got[0] != "4" || len(got[tailLines-1]) > tailLineBytes+10 {
		t.Errorf("last = %d lines, first %q", len(got), got[0])
	}
}

func FuzzStderr(f *testing.F) {
	for _, s := range []string{`{"@message":1}`, `{"@level":"info","@message":"m","a":{"b":[1]}}`, "[INFO]", "panic: x\n\n", "\x00\n["} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var log bytes.Buffer
		o := newOutput(hclog.New(&hclog.LoggerOptions{Level: hclog.Trace, Output: &log, JSONFormat: true}))
		s := o.stderrLines()
		_, _ = s.Write(b)
		_ = s.Close()
		o.close()
		for _, line := range o.stderr.last() {
			if strings.ContainsAny(line, "\x00\x1b\n") {
				t.Errorf("%q is not clean", line)
			}
		}
	})
}

func FuzzHandshake(f *testing.F) {
	for _, s := range []string{"1|1|unix|/a|grpc|\n", "1|1|unix|/a|grpc|Y2VydA|true\r\n", "1|0|unix|0|grpc| |", "noise\n1|9|tcp|:1|grpc", "|||||", "1||||\n"} {
		f.Add([]byte(s), true)
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, b []byte, mtls bool) {
		outcomes := 0
		s := newHandshakeScanner(mtls, &splitter{emit: func([]byte, int) {}}, func(h handshake, err error) {
			outcomes++
			if err != nil {
				return
			}
			again, err := parseHandshake(h.line(), mtls)
			if err != nil || again != h {
				t.Errorf("%+v becomes %+v, %v", h, again, err)
			}
		})
		_, _ = s.Write(b)
		_ = s.Close()
		if outcomes > 1 {
			t.Errorf("%d outcomes", outcomes)
		}
	})
}
