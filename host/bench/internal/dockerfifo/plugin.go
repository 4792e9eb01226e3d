package dockerfifo

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/fifo"
	"github.com/docker/docker/api/types/plugins/logdriver"
	"github.com/logplug/logplug/host/bench/internal/latency"
	"golang.org/x/sys/unix"
)

// server is the plugin's side: it decodes and discards.
type server struct {
	root      string
	latencies bool // lines begin with a time

	count  atomic.Int64
	target atomic.Int64
	mu     sync.Mutex
	due    chan struct{} // closed when count has reached target
	took   []time.Duration
}

// Serve runs a plugin until stdin ends. With latencies it takes the time of
// sending from each line.
func Serve(socket string, latencies bool) error {
	s := &server{root: filepath.Dir(socket), latencies: latencies}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	go func() {
		io.Copy(io.Discard, os.Stdin) // any end will do
		os.Exit(0)
	}()
	if _, err := os.Stdout.WriteString("\n"); err != nil {
		return err
	}
	return http.Serve(listener, s.routes())
}

func (s *server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /LogDriver.Capabilities", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, map[string]any{"Cap": map[string]bool{"ReadLogs": false}})
	})
	mux.HandleFunc("POST /LogDriver.StartLogging", s.startLogging)
	mux.HandleFunc("POST /LogDriver.StopLogging", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, map[string]string{"Err": ""})
	})
	mux.HandleFunc("POST /Bench.Wait", s.wait)
	mux.HandleFunc("POST /Bench.Latencies", func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		reply(w, s.took)
	})
	return mux
}

func reply(w http.ResponseWriter, v any) { json.NewEncoder(w).Encode(v) } // the client sees a failure

func (s *server) startLogging(w http.ResponseWriter, r *http.Request) {
	var req struct{ File string }
	err := json.NewDecoder(r.Body).Decode(&req)
	if err == nil {
		var in io.ReadCloser
		in, err = fifo.OpenFifo(context.Background(), filepath.Join(s.root, req.File), unix.O_RDONLY, 0o700)
		if err == nil {
			go s.consume(in)
		}
	}
	text := ""
	if err != nil {
		text = err.Error()
	}
	reply(w, map[string]string{"Err": text})
}

// consume is a logger's goroutine, which ends with the process.
func (s *server) consume(in io.Reader) {
	var entry logdriver.LogEntry
	var took []time.Duration
	dec := logdriver.NewLogEntryDecoder(in)
	for {
		entry.Reset()
		if err := dec.Decode(&entry); err != nil {
			if !errors.Is(err, io.EOF) {
				os.Stderr.WriteString("reading a FIFO: " + err.Error() + "\n")
			}
			return
		}
		if s.latencies {
			took = s.measure(took, entry.Line)
		}
		if n := s.count.Add(1); n == s.target.Load() {
			s.reached()
		}
	}
}

// measure keeps latencies of its own and hands them over now and then.
func (s *server) measure(took []time.Duration, line []byte) []time.Duration {
	if took = latency.Append(took, line); len(took) < 10 {
		return took
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.took = append(s.took, took...)
	return took[:0]
}

func (s *server) reached() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.due != nil {
		close(s.due)
		s.due = nil
	}
}

func (s *server) wait(w http.ResponseWriter, r *http.Request) {
	var n int64
	if err := json.NewDecoder(r.Body).Decode(&n); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	due := make(chan struct{})
	s.mu.Lock()
	s.due = due
	s.mu.Unlock()
	s.target.Store(n)
	if s.count.Load() >= n {
		s.reached()
	}
	<-due
	reply(w, nil)
}
