package docker_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// long is puppet's line of n bytes.
func long(n int) string { return strings.Repeat("0123456789abcdef", n/16+1)[:n] + "\n" }

// counted is what puppet counts onto stdout and stderr.
func counted(from, to int) (stdout, stderr string) {
	var out, errs strings.Builder
	for i := from; i <= to; i++ {
		w := &out
		if i%10 == 0 {
			w = &errs
		}
		fmt.Fprintf(w, "line %d\n", i)
	}
	return out.String(), errs.String()
}

func check(t *testing.T, what, got, want string) {
	t.Helper()
	if got == want {
		return
	}
	i := 0
	for i < min(len(got), len(want)) && got[i] == want[i] {
		i++
	}
	t.Errorf("%s: %d bytes, want %d; they differ from byte %d on: %.100q, want %.100q",
		what, len(got), len(want), i, got[i:], want[i:])
}

// What docker logs prints is what the container has printed, with every driver.
func TestLogs(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	nats := []string{"nats-url=" + startNATS(t)}
	for driver, options := range map[string][]string{"jsonfile": nil, "local": nil, "moody": nil, "nats": nats} {
		t.Run(driver, func(t *testing.T) {
			r := r.on(t)
			checkOutput(t, r, driver, options)
			checkSelections(t, r, driver, options)
			checkFollow(t, r, driver, options)
			checkLong(t, r, driver, options)
			checkRestart(t, r, driver, options)
		})
	}
	t.Run("driver as an option", func(t *testing.T) {
		r := r.on(t)
		r.run("optional", "logplug", []string{"driver=jsonfile", "tag={{.Name}}", "labels=none"}, "out:hello")
		out, _ := r.logs("optional")
		check(t, "stdout", out, "hello\n")
	})
	checkAttributes(t, r)
	checkRemoved(t, r)
}

// Labels, variables and tags are with the driver.
func checkAttributes(t *testing.T, r *rig) {
	for tag, want := range map[string]func(id string) string{
		"{{.Name}}":      func(string) string { return "attributed" },
		"{{.ImageName}}": func(string) string { return image },
		"{{.FullID}}":    func(id string) string { return id },
		"{{.ID}}/x":      func(id string) string { return id[:12] + "/x" },
	} {
		id := r.Run("create", "--network=none", "--name", "attributed", "--log-driver", "logplug-jsonfile",
			"--label", "tier=front", "--label", "com.example.team=logs", "--label", "other=no", "-e", "STAGE=test", "-e", "LC_X=1", "-e", "SECRET=no",
			"--log-opt", "tag="+tag, "--log-opt", "labels=tier", "--log-opt", "labels-regex=^com\\.example", "--log-opt", "env=STAGE",
			"--log-opt", "env-regex=^LC_", image, "out:hello")
		r.Run("start", "attributed")
		r.Run("wait", "attributed")
		r.awaitDelivery("attributed")
		text, err := os.ReadFile(filepath.Join(r.state, "logs", id, "container.log"))
		if err != nil {
			t.Fatal(err)
		}
		var record struct{ Attrs map[string]string }
		if err := json.Unmarshal(text, &record); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		attrs := map[string]string{"tag": want(id), "tier": "front", "com.example.team": "logs", "STAGE": "test", "LC_X": "1"}
		if !maps.Equal(record.Attrs, attrs) {
			t.Errorf("%s: the attributes are %v, want %v", tag, record.Attrs, attrs)
		}
		r.Run("rm", "attributed")
	}
}

func checkOutput(t *testing.T, r *rig, driver string, options []string) {
	name := driver + "-output"
	r.run(name, "logplug-"+driver, options, "count:1:3000", "long:16384", "long:200000", "long:16385", "out:", `quoted:\x00\xff\x1b[1m\n`, "raw:no newline")
	wantOut, wantErr := counted(1, 3000)
	wantOut += long(16384) + long(200000) + long(16385) + "\n" + "\x00\xff\x1b[1m\n" + "no newline"
	out, errs := r.logs(name)
	check(t, "stdout", out, wantOut)
	check(t, "stderr", errs, wantErr)
	// Docker's plugins have no way to pass attributes on; the rest is as it should be.
	// dockerd reads stdout and stderr apart, so that no tail of both is certain.
	out, errs = r.logs("--details", name)
	want := "\n \x00\xff\x1b[1m\n no newline"
	check(t, "--details", out[max(0, len(out)-len(want)):], want)
	wantOut, wantErr = counted(1, 3000)
	want = indented(wantOut)
	check(t, "--details", out[:min(len(out), len(want))], want)
	check(t, "--details on stderr", errs, indented(wantErr))
}

// indented is lines as they are shown with the details that there are not.
func indented(text string) string {
	return strings.TrimSuffix(" "+strings.ReplaceAll(text, "\n", "\n "), " ")
}

func checkSelections(t *testing.T, r *rig, driver string, options []string) {
	name := driver + "-selections"
	r.run(name, "logplug-"+driver, options, "out:a", "sleep:30ms", "out:b", "sleep:30ms", "out:c", "sleep:30ms", "out:d")
	stamped, _ := r.logs("--timestamps", name)
	var times []time.Time
	for line := range strings.Lines(stamped) {
		stamp, _, _ := strings.Cut(line, " ")
		at, err := time.Parse(time.RFC3339Nano, stamp)
		if err != nil {
			t.Fatal(err)
		}
		times = append(times, at)
	}
	if len(times) != 4 {
		t.Fatalf("--timestamps: %q", stamped)
	}
	at := func(i int) string { return times[i].Format(time.RFC3339Nano) }
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--details"}, " a\n b\n c\n d\n"},
		{[]string{"--tail", "0"}, ""},
		{[]string{"--tail", "1"}, "d\n"},
		{[]string{"--tail", "100"}, "a\nb\nc\nd\n"},
		{[]string{"--since", at(1)}, "b\nc\nd\n"},
		{[]string{"--until", at(1)}, "a\nb\n"},
		{[]string{"--since", at(1), "--until", at(2)}, "b\nc\n"},
		{[]string{"--since", at(1), "--tail", "1"}, "d\n"},
		{[]string{"--since", times[3].Add(time.Hour).Format(time.RFC3339Nano)}, ""},
	} {
		out, errs := r.logs(append(c.args, name)...)
		check(t, strings.Join(c.args, " "), out, c.want)
		check(t, "stderr", errs, "")
	}
}

func checkFollow(t *testing.T, r *rig, driver string, options []string) {
	name := driver + "-follow"
	r.create(name, "logplug-"+driver, options, "count:1:1000", "sleep:300ms", "count:1001:3000", "wait", "out:end")
	r.Run("start", name)
	follower := r.Docker("logs", "-f", name)
	var out, errs strings.Builder
	follower.Stdout, follower.Stderr = &out, &errs
	if err := follower.Start(); err != nil {
		t.Fatal(err)
	}
	r.await("3000 lines", func() bool {
		out, errs := r.logs("--tail", "2000", name)
		return strings.Contains(out, "line 2999") && strings.Contains(errs, "line 3000")
	})
	r.Run("stop", name)
	if err := follower.Wait(); err != nil {
		t.Error(err)
	}
	want, wantErr := counted(1, 3000)
	check(t, "followed", out.String(), want+"end\n")
	check(t, "followed on stderr", errs.String(), wantErr)
}

// partBytes is the size of the parts in which Docker's daemon takes long lines, and which
// docker logs --tail counts.
const partBytes = 16 << 10

// Long lines are shown whole, also to those who begin with them in the middle of the log.
func checkLong(t *testing.T, r *rig, driver string, options []string) {
	name := driver + "-long"
	r.create(name, "logplug-"+driver, options, "out:a", "long:200000", "begin", "long:200001", "out:b", "wait", "long:200002")
	r.Run("start", name)
	first := "a\n" + long(200000)
	r.await("the first long line", func() bool {
		out, _ := r.logs(name)
		return out == first
	})
	parts := 200000/partBytes + 1
	follower := r.Docker("logs", "-f", "--tail", strconv.Itoa(parts), name)
	pipe, err := follower.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := follower.Start(); err != nil {
		t.Fatal(err)
	}
	followed := bufio.NewReader(pipe)
	for i, want := range []string{long(200000), long(200001), "b\n", long(200002)} {
		got, err := followed.ReadString('\n')
		if err != nil {
			t.Error(err)
		}
		check(t, "followed line", got, want)
		switch i { // only now: it is not certain when a follower begins
		case 0:
			r.Run("kill", "--signal", "USR1", name)
		case 2:
			r.Run("stop", name)
		}
	}
	if rest, err := io.ReadAll(followed); err != nil || len(rest) > 0 {
		t.Errorf("%q follows, %v", rest, err)
	}
	if err := follower.Wait(); err != nil {
		t.Error(err)
	}
	for n, want := range map[int]string{
		1: long(200002)[(parts-1)*partBytes:], parts: long(200002), parts + 1: "b\n" + long(200002),
		2*parts + 1: long(200001) + "b\n" + long(200002),
	} {
		out, _ := r.logs("--tail", strconv.Itoa(n), name)
		check(t, fmt.Sprintf("--tail %d", n), out, want)
	}
}

// A container that runs again adds to its log.
func checkRestart(t *testing.T, r *rig, driver string, options []string) {
	name := driver + "-restart"
	r.run(name, "logplug-"+driver, options, "out:again")
	r.Run("start", name)
	r.Run("wait", name)
	out, _ := r.logs(name)
	check(t, "two runs", out, "again\nagain\n")
}

// The log of a container goes with it.
func checkRemoved(t *testing.T, r *rig) {
	r.run("short-lived", "logplug-jsonfile", nil, "out:hello")
	dir := filepath.Join(r.state, "logs", r.Run("inspect", "--format", "{{.Id}}", "short-lived"))
	if _, err := os.Stat(dir); err != nil {
		t.Fatal(err)
	}
	r.Run("rm", "short-lived")
	r.kill() // it looks when it starts, and then from time to time
	r.await("the log is removed", func() bool {
		_, err := os.Stat(dir)
		return os.IsNotExist(err)
	})
	r.await("no state of streams is left", func() bool { return len(glob(t, filepath.Join(r.state, "streams", "*"))) == 0 })
}
