package docker_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/logplug/logplug/host/cmd/logplug/internal/docker"
)

// poured is what puppet pours.
func poured(size, lines int) string {
	var b strings.Builder
	for i := 1; i <= lines; i++ {
		text := fmt.Sprintf("%010d ", i)
		b.WriteString(text + long(size-len(text)-1))
	}
	return b.String()
}

// A reader that dawdles over the log of a stopped container, for which Docker begins a
// stream that has no output, does not hold up the container's next run.
func TestNextRun(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.create("again", "logplug-local", nil, "pour:1000:10000", "out:poured", "wait")
	run := poured(1000, 10000) + "poured\n"
	started := func(want string) {
		r.Run("start", "again")
		r.await("all of a run is read", func() bool {
			out, _ := r.logs("again")
			return len(out) == len(want)
		})
	}
	started(run)
	r.Run("stop", "again")
	r.await("the first run is over", func() bool { return len(r.stats().Streams) == 0 })

	reader := r.Docker("logs", "again")
	unread, err := reader.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := reader.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = unread.Close()
		_ = reader.Wait() // it could not write all
	}()
	r.await("the reader has a stream", func() bool { return len(r.stats().Streams) == 1 })
	started(run + run)
	out, _ := r.logs("again")
	check(t, "two runs", out, run+run)
}

// refusal serves the socket of a plugin and refuses all.
type refusal struct {
	server http.Server
	done   chan struct{}
}

// refuse kills the plugins. The daemon gets errors from one of them until accept.
func (r *rig) refuse(plugin string) *refusal {
	r.t.Helper()
	r.end(r.cmd, r.exited, syscall.SIGKILL)
	path := r.Path("/run/docker/plugins/" + plugin + ".sock")
	if err := os.Remove(path); err != nil {
		r.t.Fatal(err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		r.t.Fatal(err)
	}
	f := &refusal{done: make(chan struct{})}
	f.server.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `{"Err": "it is out of order"}`, http.StatusInternalServerError)
	})
	go func() {
		defer close(f.done)
		_ = f.server.Serve(l)
	}()
	return f
}

// hold keeps what the FIFOs hold: a daemon that could not tell that a container has ended
// lets go of its FIFO when its memory is next tidied up.
func (r *rig) hold() {
	r.t.Helper()
	for _, path := range glob(r.t, filepath.Join(r.state, "streams", "*", "record.json")) {
		text, err := os.ReadFile(path)
		if err != nil {
			r.t.Fatal(err)
		}
		var record struct{ File string }
		if err := json.Unmarshal(text, &record); err != nil {
			r.t.Fatal(err)
		}
		f, err := os.OpenFile(r.Path(record.File), os.O_RDWR, 0)
		if err != nil {
			r.t.Fatal(err)
		}
		r.t.Cleanup(func() { f.Close() })
	}
}

func (f *refusal) end() {
	_ = f.server.Close()
	<-f.done
}

// What containers write that end, are removed, or are started again while the plugins
// are down is in their logs, and nothing of them is kept for ever.
func TestEndedMeanwhile(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	names := []string{"stopped", "removed", "restarted"}
	ids := make(map[string]string)
	for _, name := range names {
		r.create(name, "logplug-jsonfile", nil, "out:begin", "wait", "count:1:100")
		ids[name] = r.Run("inspect", "--format", "{{.Id}}", name)
		r.Run("start", name)
	}
	r.await("the beginnings are read", func() bool {
		for _, name := range names {
			if out, _ := r.logs(name); out != "begin\n" {
				return false
			}
		}
		return true
	})
	r.hold()
	down := r.refuse("logplug-jsonfile")
	r.Run(append([]string{"stop"}, names...)...)
	r.Run("rm", "removed")
	down.end()
	restart := r.Docker("start", "restarted")
	if err := restart.Start(); err != nil {
		t.Fatal(err)
	}
	r.start()
	if err := restart.Wait(); err != nil {
		t.Error(err)
	}
	want, wantErr := counted(1, 100)
	want = "begin\n" + want
	r.await("what ended has ended here", func() bool {
		st := r.stats().Streams
		return len(st) == 1 && st[0].Container == ids["restarted"]
	})
	for name, want := range map[string]string{"stopped": want, "restarted": want + "begin\n"} {
		if name == "restarted" {
			r.await("the new run begins", func() bool {
				out, _ := r.logs("--tail", "1", name)
				return out == "begin\n"
			})
		}
		out, errs := r.logs(name)
		check(t, name, out, want)
		check(t, name, errs, wantErr)
	}
	r.Run("rm", "-f", "stopped", "restarted")
	r.await("nothing is left", func() bool {
		return len(glob(t, filepath.Join(r.state, "logs", "*")))+len(glob(t, filepath.Join(r.state, "streams", "*"))) == 0
	})
	if st := r.stats(); st.Damage != (docker.Damage{}) || st.LostBytes != 0 {
		t.Errorf("damage: %+v", st)
	}
}
