//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if text := os.Getenv(envLife); text != "" {
		os.Exit(live(text, os.Stdin, os.Stdout))
	}
	goleak.VerifyTestMain(m)
}

// TestStorm is a short run of the whole program.
func TestStorm(t *testing.T) {
	p := plan{
		seed: uint64(time.Now().UnixNano()), storms: 1, scale: 1, flipEvery: 4, rounds: 2, events: 14, round: time.Minute,
		life: 1500 * time.Millisecond, interval: 250 * time.Millisecond, gentle: 400 * time.Millisecond,
	}
	if testing.Short() {
		p.rounds, p.events = 1, 8
	}
	// Sockets need short paths.
	dir, err := os.MkdirTemp("", "chaos-")
	if err != nil {
		t.Fatal(err)
	}
	f, err := storm(t.Context(), p, dir, log.New(testLog{t}, "", 0))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("seed %d\n%v", p.seed, f)
	if f.failed() {
		t.Fatalf("seed %d, directory %s: %v", p.seed, dir, f.problems)
	}
	if f.get(messages) == 0 || f.get(linesRead) < f.get(messages)-f.get(missing) {
		t.Errorf("%d messages, %d lines", f.get(messages), f.get(linesRead))
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Error(err)
	}
}

// testLog writes to the test's log.
type testLog struct{ t *testing.T }

func (w testLog) Write(p []byte) (int, error) {
	w.t.Logf("%s", bytes.TrimSuffix(p, []byte("\n")))
	return len(p), nil
}

func TestInterruptedStorm(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p := plan{seed: 1, storms: 1, scale: 1, flipEvery: 4, rounds: 1, round: time.Minute, life: time.Second, interval: time.Second, gentle: time.Second}
	dir, err := os.MkdirTemp("", "chaos-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	f, err := storm(ctx, p, dir, log.New(testLog{t}, "", 0))
	if err != nil {
		t.Fatal(err)
	}
	if !f.failed() {
		t.Error("an interrupted storm has not failed")
	}
	if left := marked("LOGPLUG_CHAOS_MARK=" + dir); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
}

func TestLines(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var want []line
	var text []byte
	for i := range 200 {
		l := line{rnd.IntN(100), rnd.IntN(10), rnd.Uint64()}
		whole := appendLine(nil, l, rnd.IntN(100))
		if i%3 == 0 { // a torn one stands before it
			text = append(text, whole[:rnd.IntN(len(whole))]...)
		}
		text = append(append(text, whole...), "\n17 "...)
		want = append(want, l)
	}
	var got []line
	for {
		l, rest, ok := findLine(text)
		if !ok {
			break
		}
		got, text = append(got, l), rest
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	damaged := appendLine(nil, line{1, 2, 3}, 10)
	damaged[len(damaged)/2] ^= 1
	if l, _, ok := findLine(damaged); ok {
		t.Errorf("a damaged line passes as %v", l)
	}
}

// TestOracle shows logs to the oracle that break a promise each.
func TestOracle(t *testing.T) {
	const life = 1
	lines := func(numbers ...uint64) (all []line) {
		for _, n := range numbers {
			all = append(all, line{0, life, n})
		}
		return all
	}
	for _, test := range []struct {
		name  string
		exact bool
		log   []line
		lost  uint64
		fails bool
	}{
		{"whole", true, lines(0, 1, 2), 0, false},
		{"one missing", true, lines(0, 2), 0, true},
		{"one missing, one counted", true, lines(0, 2), 1, false},
		{"the last missing", true, lines(0, 1), 0, true},
		{"nothing", true, nil, 0, true},
		{"copies", false, lines(0, 1, 0, 1, 2), 0, false},
		{"copies of an exact driver", true, lines(0, 1, 0, 1, 2), 0, true},
		{"copies out of order", false, lines(0, 1, 2, 0, 2), 0, true},
		{"out of order", true, lines(1, 0, 2), 0, true},
		{"accepted while killed", true, append(lines(0, 1), line{0, life + 1, 1}, line{0, life + 1, 2}), 0, false},
		{"an older life", true, append(lines(0), line{0, life - 1, 1}, line{0, life, 2}), 0, true},
		{"more than was accepted", true, lines(0, 1, 2, 3, 4), 0, true},
		{"a line of another logger", true, append(lines(0, 1, 2), line{99, life, 0}), 0, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			led, err := openLedger(filepath.Join(t.TempDir(), ledgerFile), writersEach+1)
			if err != nil {
				t.Fatal(err)
			}
			defer led.close()
			led.counter(0).Store(3)
			o := newOracle(&role{name: "x", exact: test.exact}, test.lost)
			for _, l := range test.log {
				o.see(l)
			}
			if v := o.conclude(led); len(v.problems) > 0 != test.fails {
				t.Errorf("verdict: %+v", v)
			}
		})
	}
}

func TestFlipBits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "messages")
	data := make([]byte, 8*spoolPage)
	copy(data[2*spoolPage:], "LLBK\x02\x00\x00\x00 and what it holds")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	n, where, err := flipBits(path, rand.New(rand.NewPCG(1, 1)))
	if err != nil || n == 0 {
		t.Fatalf("%d flips at%s, error %v", n, where, err)
	}
	now, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range now {
		if now[i] != data[i] && (i < 2*spoolPage || i >= 2*spoolPage+30) {
			t.Errorf("a bit outside of the block has changed, at %d", i)
		}
	}
}

func TestGrowth(t *testing.T) {
	var flat, rising []sample
	for i := range int64(samplesForFlat) {
		flat = append(flat, sample{AnonKiB: 50 << 10, Goroutines: 100, Files: 50})
		rising = append(rising, sample{AnonKiB: 50<<10 + i*2<<10, Goroutines: 100, Files: 50 + int(i)*3})
	}
	if p := growth(flat); len(p) > 0 {
		t.Errorf("flat: %v", p)
	}
	if p := growth(rising); len(p) != 2 {
		t.Errorf("rising: %s", fmt.Sprint(p))
	}
}

// TestLeaks: one for each restart is found, and noise is not.
func TestLeaks(t *testing.T) {
	var flat, files, goroutines []sample
	for i := range 12 {
		s := sample{Goroutines: 100 + i*7%restSlack, Files: 50 + i*5%restSlack, Restarts: uint64(i * 13)}
		flat = append(flat, s)
		s.Files += i * 13
		files = append(files, s)
		s.Goroutines, s.Files = s.Goroutines+i*13, s.Files-i*13
		goroutines = append(goroutines, s)
	}
	if p := leaks(flat); len(p) > 0 {
		t.Errorf("flat: %v", p)
	}
	for what, samples := range map[string][]sample{"open files": files, "goroutines": goroutines} {
		if p := leaks(samples); len(p) != 1 || !strings.Contains(p[0], what) {
			t.Errorf("a leak of %s: %v", what, p)
		}
	}
}
