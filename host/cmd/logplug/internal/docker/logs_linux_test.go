package docker_test

import (
	"fmt"
	"os"
	"path/filepath"
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
			checkRestart(t, r, driver, options)
		})
	}
	t.Run("driver as an option", func(t *testing.T) {
		r := r.on(t)
		r.run("optional", "logplug", []string{"driver=jsonfile", "tag={{.Name}}", "labels=none"}, "out:hello")
		out, _ := r.logs("optional")
		check(t, "stdout", out, "hello\n")
	})
	checkRemoved(t, r)
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
	out, _ = r.logs("--details", name)
	want := "\n \x00\xff\x1b[1m\n no newline"
	check(t, "--details", out[max(0, len(out)-len(want)):], want)
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
	var out strings.Builder
	follower.Stdout = &out
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
	want, _ := counted(1, 3000)
	check(t, "followed", out.String(), want+"end\n")
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
	if left, err := filepath.Glob(filepath.Join(r.state, "streams", "*")); err != nil || len(left) > 0 {
		t.Errorf("state of streams is left: %v, %v", left, err)
	}
}
