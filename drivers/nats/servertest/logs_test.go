package servertest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/logplug/logplug/drivers/nats/internal/natslog"
	"github.com/logplug/logplug/sdk"
	"github.com/logplug/logplug/shared/logdriver"
)

// machine is a driver in this process, with connections of its own, as if it ran
// on another host.
type machine struct {
	driver sdk.Driver[natslog.Options]
	config map[string]string
}

func newMachine(n *node, more map[string]string) machine {
	config := map[string]string{"nats-url": n.url()}
	maps.Copy(config, more)
	return machine{natslog.Driver(), config}
}

// writer is what the tests use of a logger.
type writer interface {
	logdriver.BatchLogger
	logdriver.LogReader
	logdriver.Sequencer
	logdriver.SizedLogger
}

func (m machine) info(id string) logdriver.Info {
	return logdriver.Info{ContainerID: id, Stream: "stream-" + id, Config: m.config}
}

func (m machine) open(t testing.TB, id string) writer {
	t.Helper()
	w, err := m.tryOpen(m.info(id))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// reopen opens a log that has messages of the same stream. Open does not wait for long
// to learn of them.
func (m machine) reopen(t testing.TB, id string) (w writer) {
	t.Helper()
	eventually(t, "the logger knows what is stored", func() bool {
		w = m.open(t, id)
		if w.LastSeq() > 0 {
			return true
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return false
	})
	return w
}

func (m machine) tryOpen(info logdriver.Info) (writer, error) {
	opts, err := m.driver.Options(info.Config)
	if err != nil {
		return nil, err
	}
	l, err := m.driver.Open(context.Background(), info, opts)
	if err != nil {
		return nil, err
	}
	return l.(writer), nil
}

// closing closes a logger at the end of the test.
func closing(t testing.TB, w writer) writer {
	t.Cleanup(func() { w.Close() })
	return w
}

func (m machine) reader(id string) (logdriver.LogReader, func() error, error) {
	opts, err := m.driver.Options(m.config)
	if err != nil {
		return nil, nil, err
	}
	r, err := m.driver.OpenReader(context.Background(), m.info(id), opts)
	if err != nil {
		return nil, nil, err
	}
	return r, r.(interface{ Close() error }).Close, nil
}

// read reads a log without a logger.
func (m machine) read(t testing.TB, id string, cfg logdriver.ReadConfig) []string {
	t.Helper()
	r, done, err := m.reader(id)
	if err != nil {
		t.Fatal(err)
	}
	lines := collect(t, r.ReadLogs(t.Context(), cfg))
	if err := done(); err != nil {
		t.Error(err)
	}
	return lines
}

// collect returns all lines of a reading.
func collect(t testing.TB, w *logdriver.LogWatcher) []string {
	t.Helper()
	lines, err := drain(w)
	if err != nil {
		t.Fatalf("after %d lines: %v", len(lines), err)
	}
	return lines
}

func drain(w *logdriver.LogWatcher) (lines []string, err error) {
	for m, e := range w.All() {
		if e != nil {
			return lines, e
		}
		if m.Err != nil {
			lines = append(lines, "! "+m.Err.Error())
		} else {
			lines = append(lines, string(m.Line))
		}
		logdriver.PutMessage(m)
	}
	return lines, nil
}

var epoch = time.Now().Add(-24 * time.Hour).Truncate(time.Second)

// numbered returns messages first to last, a second apart.
func numbered(first, last int) []*logdriver.Message {
	var msgs []*logdriver.Message
	for i := first; i <= last; i++ {
		msgs = append(msgs, &logdriver.Message{
			Line: fmt.Appendf(nil, "line %d", i), Source: "stdout", Timestamp: epoch.Add(time.Duration(i) * time.Second), Seq: uint64(i),
		})
	}
	return msgs
}

func write(t testing.TB, w logdriver.BatchLogger, msgs []*logdriver.Message) {
	t.Helper()
	if err := w.LogBatch(t.Context(), msgs); err != nil {
		t.Fatal(err)
	}
}

// same checks that lines are those of the messages first to last.
func same(t testing.TB, lines []string, first, last int) {
	t.Helper()
	for i, line := range lines {
		if want := fmt.Sprintf("line %d\n", first+i); line != want {
			t.Fatalf("line %d of %d is %q, want %q", i+1, len(lines), line, want)
		}
	}
	if len(lines) != last-first+1 {
		t.Fatalf("%d lines, want %d to %d", len(lines), first, last)
	}
}

// pursue logs msgs as the sdk and a host would: again and again until all are
// stored, with fresh loggers after each fresh(), and never what LastSeq covers.
func pursue(ctx context.Context, msgs []*logdriver.Message, batch int, fresh func() (writer, error)) error {
	w, err := fresh()
	for done := 0; done < len(msgs); {
		if ctx.Err() != nil {
			return fmt.Errorf("stored %d of %d messages: %w", done, len(msgs), err)
		}
		if err != nil {
			if w, err = fresh(); err != nil {
				continue
			}
		}
		if held := int(w.LastSeq()) - int(msgs[0].Seq) + 1; held > done {
			done = min(held, len(msgs))
			continue
		}
		b := msgs[done:min(done+batch, len(msgs))]
		err = w.LogBatch(ctx, b)
		var partial *logdriver.BatchError
		switch {
		case err == nil:
			done += len(b)
		case errors.As(err, &partial):
			done += partial.Done
			err = partial.Err
		}
	}
	return nil
}
