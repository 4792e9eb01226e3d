package servertest

import (
	"bytes"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/logplug/logplug/shared/logdriver"
)

// benchServer runs a server as a process, so that the driver's own CPU time can be
// told from the server's.
func benchServer(b *testing.B) string {
	port := freePort(b)
	startProcess(b, "n", port, "")
	return fmt.Sprintf("nats://127.0.0.1:%d", port)
}

func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkLogBatch publishes lines of 100 bytes.
func BenchmarkLogBatch(b *testing.B) {
	url := benchServer(b)
	conn, err := nats.Connect(url)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := js.CreateStream(b.Context(), jetstream.StreamConfig{Name: "SINGLES", Subjects: []string{"singles.*"}}); err != nil {
		b.Fatal(err)
	}
	for _, stream := range []string{"BATCHES", "SINGLES"} {
		for _, n := range []int{1, 64, 1000} {
			b.Run(fmt.Sprintf("%s/messages=%d", stream, n), func(b *testing.B) {
				prefix := map[string]string{"BATCHES": "batches", "SINGLES": "singles"}[stream]
				m := machineFor(map[string]string{"nats-url": url, "nats-stream": stream, "nats-subject-prefix": prefix})
				w := m.open(b, fmt.Sprint("log", n))
				defer w.Close()
				msgs := make([]*logdriver.Message, n)
				for i := range msgs {
					msgs[i] = &logdriver.Message{Line: bytes.Repeat([]byte("0123456789"), 10), Source: "stdout"}
				}
				seq, now, before := w.LastSeq(), time.Now(), cpu(b)
				b.ReportAllocs()
				for b.Loop() {
					for _, m := range msgs {
						seq++
						now = now.Add(time.Microsecond)
						m.Seq, m.Timestamp = seq, now
					}
					write(b, w, msgs)
				}
				all := float64(b.N) * float64(n)
				b.ReportMetric(float64(cpu(b)-before)/all, "cpu-ns/message")
				b.ReportMetric(all/b.Elapsed().Seconds(), "messages/s")
			})
		}
	}
}

// BenchmarkRead reads from a log of a million messages that shares its stream.
func BenchmarkRead(b *testing.B) {
	const total = 1_000_000
	m := machineFor(map[string]string{"nats-url": benchServer(b)})
	w, other := closing(b, m.open(b, "id")), closing(b, m.open(b, "other"))
	for i := 0; i < total; i += 1000 {
		write(b, w, numbered(i+1, i+1000))
		if i%10_000 == 0 {
			write(b, other, numbered(i+1, i+1000))
		}
	}
	for _, tc := range []struct {
		name string
		cfg  logdriver.ReadConfig
		want int
	}{
		{"all", logdriver.ReadConfig{Tail: -1}, total},
		{"tail=10", logdriver.ReadConfig{Tail: 10}, 10},
		{"tail=10000", logdriver.ReadConfig{Tail: 10_000}, 10_000},
		{"one minute in the middle", logdriver.ReadConfig{Tail: -1, Since: epoch.Add(total / 2 * time.Second), Until: epoch.Add((total/2 + 59) * time.Second)}, 60},
	} {
		b.Run(tc.name, func(b *testing.B) {
			before := cpu(b)
			for b.Loop() {
				n := 0
				r := w.ReadLogs(b.Context(), tc.cfg)
				for m := range r.Msg {
					logdriver.PutMessage(m)
					n++
				}
				if n != tc.want {
					b.Fatalf("%d messages", n)
				}
			}
			b.ReportMetric(float64(cpu(b)-before)/float64(b.N)/float64(tc.want), "cpu-ns/message")
		})
	}
}
