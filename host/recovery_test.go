package host_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/shared/logdriver"
)

// The victim is this test binary run as a host that logs until it is killed.
const (
	envVictim = "LOGPLUG_TEST_VICTIM" // its spool directory
	envDriver = "LOGPLUG_TEST_DRIVER"
	envLog    = "LOGPLUG_TEST_LOG"   // its log's path
	envCache  = "LOGPLUG_TEST_CACHE" // the driver of its cache, empty for none
)

// runVictim logs message after message. After each that Log accepted, the count
// goes to a file, from where it survives SIGKILL as the spool does.
func runVictim(plugins string) error {
	spoolDir, log := os.Getenv(envVictim), os.Getenv(envLog)
	accepted, err := os.OpenFile(log+".accepted", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	h, err := host.New(host.Config{
		PluginDirs: []string{plugins}, Env: []string{quickRace}, Spool: host.SpoolConfig{Dir: spoolDir}, Cache: host.CacheConfig{Driver: os.Getenv(envCache)},
	})
	if err != nil {
		return err
	}
	l, err := h.Open(context.Background(), os.Getenv(envDriver), victimInfo(os.Getenv(envDriver), log))
	if err != nil {
		return err
	}
	fmt.Println("open")
	var count [8]byte
	if _, err := accepted.ReadAt(count[:], 0); err != nil {
		count = [8]byte{}
	}
	for n := binary.LittleEndian.Uint64(count[:]); ; n++ {
		if err := l.Log(message("message %d %s", n, strings.Repeat("y", int(n%300)))); err != nil {
			return err
		}
		binary.LittleEndian.PutUint64(count[:], n+1)
		if _, err := accepted.WriteAt(count[:], 0); err != nil {
			return err
		}
	}
}

func victimInfo(driver, log string) logdriver.Info {
	info := logdriver.Info{ContainerName: "victim", LogPath: log, Config: map[string]string{}}
	if driver == "sink" {
		info.Config["file"] = log
	}
	return info
}

// TestHostKilled kills a host with a spool directory at random points, again and
// again. Everything that was accepted must arrive, in order; with a driver that
// remembers how far it got, nothing twice.
func TestHostKilled(t *testing.T) {
	rounds := 100
	if testing.Short() {
		rounds = 10
	}
	for driver, repeats := range map[string]bool{"sink": true, "jsonfile": false} {
		t.Run(driver, func(t *testing.T) {
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			rnd := rand.New(rand.NewPCG(seed, 0))
			dir := t.TempDir()
			log, spoolDir := filepath.Join(dir, "log"), filepath.Join(dir, "spool")
			for range rounds {
				killVictim(t, driver, log, spoolDir, time.Duration(rnd.IntN(30))*time.Millisecond)
			}
			raw, err := os.ReadFile(log + ".accepted")
			if err != nil {
				t.Fatal(err)
			}
			accepted := binary.LittleEndian.Uint64(raw)
			deliverRest(t, driver, log, spoolDir)
			checkVictim(t, driver, log, accepted, repeats)
		})
	}
}

func killVictim(t *testing.T, driver, log, spoolDir string, after time.Duration) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envVictim+"="+spoolDir, envDriver+"="+driver, envLog+"="+log, envPlugins+"="+plugins)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	if _, err := out.Read(make([]byte, 5)); err != nil {
		_ = cmd.Wait()
		t.Fatalf("the victim did not begin: %v\n%s", err, &stderr)
	}
	timer := time.NewTimer(after)
	<-timer.C
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	err = cmd.Wait()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the victim ended by itself: %v\n%s", err, &stderr)
	}
}

// deliverRest is the next host on the directory. It opens nothing.
func deliverRest(t *testing.T, driver, log, spoolDir string) {
	t.Helper()
	h := newHost(t, func(c *host.Config) { c.Spool.Dir = spoolDir })
	eventually(t, "the rest to be delivered", func() bool {
		st := h.Stats()
		return st.SpooledBytes == 0 && (len(st.Drivers) == 0 || len(st.Drivers[0].Loggers) == 0)
	})
	if left, _ := filepath.Glob(filepath.Join(spoolDir, "loggers", "*")); len(left) > 0 {
		t.Errorf("records of loggers are left: %v", left)
	}
}

func checkVictim(t *testing.T, driver, log string, accepted uint64, repeats bool) {
	t.Helper()
	next := uint64(0)
	h := newHost(t, nil)
	check := func(text string) {
		var i uint64
		if _, err := fmt.Sscanf(text, "message %d", &i); err != nil {
			t.Fatalf("line %q: %v", text, err)
		}
		switch {
		case i == next:
			next++
		case i > next:
			t.Fatalf("message %d is missing before %d", next, i)
		case !repeats && i < accepted && i != next-1:
			t.Fatalf("message %d came again after %d", i, next-1)
		}
	}
	if driver == "sink" {
		for _, l := range lines(t, log) {
			_, text, _ := strings.Cut(l, " ")
			check(text)
		}
	} else {
		for m, err := range h.ReadLogs(testContext(t), driver, victimInfo(driver, log), logdriver.ReadConfig{Tail: -1}).All() {
			if err != nil {
				t.Fatal(err)
			}
			if m.Err != nil {
				t.Logf("reported: %v", m.Err)
				continue
			}
			check(string(m.Line))
			logdriver.PutMessage(m)
		}
	}
	if next < accepted {
		t.Fatalf("%d messages were accepted, %d arrived", accepted, next)
	}
	t.Logf("%d accepted, all arrived", accepted)
}

// TestResume: a logger that is opened again goes on behind what an earlier host
// left, also when the sink was down all the time.
func TestResume(t *testing.T) {
	dir := t.TempDir()
	fail := filepath.Join(dir, "fail")
	if err := os.WriteFile(fail, []byte("down"), 0o600); err != nil {
		t.Fatal(err)
	}
	info, file := sinkInfo(t, map[string]string{"fail-file": fail})
	spool := func(c *host.Config) { c.Spool.Dir = filepath.Join(dir, "spool") }

	first, err := host.New(hostConfig(t, spool))
	if err != nil {
		t.Fatal(err)
	}
	l := open(t, first, "sink", info)
	for i := range 100 {
		logLine(t, l, "message %d", i)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	err = first.Close(ctx)
	var u *logdriver.UndeliveredError
	if !errors.As(err, &u) || u.Messages != 100 || !strings.HasSuffix(u.Spooled, "spool") {
		t.Fatalf("Close: %v", err)
	}
	if st := l.Stats(); st.Spooled.Messages != 100 {
		t.Fatalf("stats after Close: %+v", st)
	}

	second := newHost(t, spool)
	l = open(t, second, "sink", info)
	for i := range 100 {
		logLine(t, l, "message %d", 100+i)
	}
	if st := l.Stats(); st.Accepted.Messages != 200 {
		t.Fatalf("stats after resuming: %+v", st)
	}
	if err := os.Remove(fail); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	checkSink(t, file, 200, true)
}
