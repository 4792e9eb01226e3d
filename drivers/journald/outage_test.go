package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/sdk/drivertest"
	"github.com/logplug/logplug/sdk/drivertest/receiver"
	"github.com/logplug/logplug/shared/logdriver"
)

// A journald that does not get on keeps no logger from being opened, and what is in its
// queue then is stored once.
func TestHungAtOpen(t *testing.T) {
	j := receiver.StartJournald(t, receiver.JournaldConfig{})
	info := logdriver.Info{ContainerID: "hung", Stream: "s"}
	killed := mustOpen(t, j, info, map[string]string{"confirm": confirmSent})
	mustLog(t, killed, numbered(1, 10)...)
	mustClose(t, killed) // these are in the journal
	killed = mustOpen(t, j, info, map[string]string{"confirm": confirmSent})
	if err := syscall.Kill(j.Pid(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	mustLog(t, killed, numbered(11, 20)...) // these are in its queue
	killed.release()

	config := map[string]string{"socket": j.Socket, "directory": j.Directory}
	opts, err := driver().Options(config)
	if err != nil {
		t.Fatal(err)
	}
	where, err := opts.place(&info)
	if err != nil {
		t.Fatal(err)
	}
	enc, err := newEncoder(&info, opts, where)
	if err != nil {
		t.Fatal(err)
	}
	l := newLogger(where, enc, opts.Confirm)
	l.sock.stall = time.Hour
	begun := make(chan error, 1)
	go func() { begun <- l.begin(t.Context(), true) }()
	select {
	case err := <-begun:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("it waits for journald")
	}
	defer mustClose(t, l)
	if err := syscall.Kill(j.Pid(), syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	mustLog(t, l, numbered(int(l.LastSeq())+1, 30)...)
	wantNumbered(t, readAll(t, l, logdriver.ReadConfig{Tail: -1}), 30)
}

// While journald is down, a host accepts messages, and its statistics say why they wait.
func TestDownShows(t *testing.T) {
	j := receiver.StartJournald(t, receiver.JournaldConfig{})
	j.Kill()
	h, err := host.New(host.Config{PluginDirs: []string{filepath.Dir(drivertest.Self(t, name))}, Timeouts: host.Timeouts{Start: time.Minute, Call: time.Minute}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := h.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	info := logdriver.Info{ContainerID: "down", Config: map[string]string{"socket": j.Socket, "directory": j.Directory}}
	l, err := h.Open(t.Context(), name, info)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range numbered(1, 100) {
		if err := l.Log(m); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, func() error {
		if b := l.Stats().Blocked; !strings.Contains(b, "journald") || !strings.Contains(b, "connection refused") {
			return fmt.Errorf("blocked is %q", b)
		}
		return nil
	})
	if err := j.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if s := l.Stats(); s.Acked.Messages != 100 || s.Blocked != "" {
			return fmt.Errorf("%d are acknowledged, blocked is %q", s.Acked.Messages, s.Blocked)
		}
		return nil
	})
	wantNumbered(t, readAll(t, l.(logdriver.LogReader), logdriver.ReadConfig{Tail: -1}), 100)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// An entry has no more fields than journald takes, and all attributes come back.
func TestManyAttributes(t *testing.T) {
	j := receiver.StartJournald(t, receiver.JournaldConfig{})
	info := logdriver.Info{ContainerID: "many", ContainerName: "many", ContainerImageName: "many", Stream: "s"}
	const labels = 2000
	info.ContainerLabels = make(map[string]string)
	for i := range labels {
		info.ContainerLabels[fmt.Sprint("label", i)] = "x"
	}
	l := mustOpen(t, j, info, map[string]string{"labels-regex": "."})
	defer mustClose(t, l)
	m := numbered(1, 1)[0]
	m.Source, m.Unterminated, m.Timestamp = "other", true, time.Now().Add(time.Hour)
	m.Partial = logdriver.Partial{ID: "p", Ordinal: 1}
	for i := range logdriver.MaxAttrs {
		m.Attrs = append(m.Attrs, logdriver.Attr{Key: fmt.Sprint("attr", i), Value: "y"})
	}
	mustLog(t, l, m)
	got := readAll(t, l, logdriver.ReadConfig{Tail: -1})
	if len(got) != 1 || len(got[0].Attrs) != labels+logdriver.MaxAttrs {
		t.Fatalf("%d messages, the first with %d attributes", len(got), len(got[0].Attrs))
	}
}
