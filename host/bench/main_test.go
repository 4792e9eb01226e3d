package main

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/logplug/logplug/host/bench/internal/latency"
)

// TestMain lets the test binary play the peers' processes.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && slices.Contains([]string{roleWorker, rolePlugin, roleReader, roleDirect, roleDirectReader, roleNATS}, os.Args[1]) {
		os.Exit(run(os.Args[1:]))
	}
	os.Exit(m.Run())
}

func TestPeersTransferEveryLine(t *testing.T) {
	for name, open := range map[string]opener{fifo: openFIFO, raw: openRaw, jsonLog: openDockerJSON, local: openDockerLocal} {
		t.Run(name, func(t *testing.T) {
			p, err := open(context.Background(), &job{Scratch: t.TempDir(), Scale: 1})
			if err != nil {
				t.Fatal(err)
			}
			got, err := p.transfer(5000, lineBytes)
			if err != nil {
				t.Fatal(err)
			}
			for _, metric := range []string{rate, cpu, bandwidth} {
				if got[metric] <= 0 {
					t.Errorf("%s is %v", metric, got[metric])
				}
			}
		})
	}
}

// What cannot run says why in the table.
func TestReason(t *testing.T) {
	failed := errors.New("exit status 1")
	for printed, want := range map[string]string{
		"host: warning\n" + complaint + "dockerd is not installed\nmore\n": "dockerd is not installed",
		"killed\n": failed.Error(),
		"":         failed.Error(),
	} {
		if got := reason(failed, printed); got.Error() != want {
			t.Errorf("%q: %v, expected %s", printed, got, want)
		}
	}
}

func TestContainerRowNeedsDocker(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := (&pouring{driver: "json-file"}).run(context.Background(), &job{Scratch: t.TempDir(), Scale: 1})
	if err == nil || !strings.Contains(err.Error(), "docker") {
		t.Errorf("without Docker's client: %v", err)
	}
}

func TestDockerReaderFindsWhatWasWritten(t *testing.T) {
	const n = 3000
	r, err := openDockerReader(context.Background(), &job{Scratch: t.TempDir(), Fixtures: t.TempDir(), Scale: 1}, n)
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.parts(context.Background(), n, 1)
	if err := r.close(err); err != nil {
		t.Fatal(err)
	}
	if len(got) != 3 {
		t.Errorf("sample %v", got)
	}
}

func TestLines(t *testing.T) {
	in := newLines(lineBytes, time.Millisecond)
	for range 41 {
		in.next()
	}
	line, at := in.next()
	if len(line) != lineBytes || !strings.Contains(string(line), "id=00000042 ") || !at.Equal(epoch.Add(42*time.Millisecond)) {
		t.Errorf("line %q at %v", line, at)
	}
	stamp(line, false)
	if sent, err := strconv.ParseInt(string(line[:latency.StampDigits]), 16, 64); err != nil || sent != 0 {
		t.Errorf("not to be measured: %d, %v", sent, err)
	}
	stamp(line, true)
	if sent, err := strconv.ParseInt(string(line[:latency.StampDigits]), 16, 64); err != nil || sent <= 0 {
		t.Errorf("to be measured: %d, %v", sent, err)
	}
}

func TestPercentile(t *testing.T) {
	values := []int64{5, 1, 4, 2, 3}
	if got := median(values); got != 3 {
		t.Errorf("median %d", got)
	}
	if got := percentile(values, 99); got != 5 {
		t.Errorf("p99 %d", got)
	}
	if got := percentile([]float64{7}, 50); got != 7 {
		t.Errorf("median of one: %v", got)
	}
}

func exampleResults() *measured {
	return &measured{
		samples: map[string][]sample{
			ours: {{rate: 400, cpu: 10}, {rate: 600, cpu: 12}, {rate: 500, cpu: 11}},
			fifo: {{rate: 100, cpu: 100}},
		},
		errs: map[string]error{raw: errors.New("no <socket>")},
	}
}

func TestVerdicts(t *testing.T) {
	m := exampleResults()
	faster := m.against(1, "rate", rate, ours, fifo, 5, false)
	if !faster.met() || faster.ratio != 5 {
		t.Errorf("%+v", faster)
	}
	if v := m.against(1, "rate", rate, ours, fifo, 5.1, false); v.met() {
		t.Errorf("%+v", v)
	}
	if v := m.against(2, "CPU", cpu, ours, fifo, 1.0/8, true); !v.met() || v.target != "≤ 1/8" {
		t.Errorf("%+v", v)
	}
	if v := m.limit(9, "CPU", cpu, ours, 10, true); v.met() {
		t.Errorf("%+v", v)
	}
	if v := m.against(1, "rate", rate, ours, raw, 1, false); !strings.Contains(v.failed, "no <socket>") {
		t.Errorf("%+v", v)
	}
}

func TestBounds(t *testing.T) {
	m := exampleResults()
	for _, c := range []struct {
		b  bound
		ok bool
	}{
		{bound{"CPU", cpu, ours, fifo, 0.2}, true},
		{bound{"CPU", cpu, ours, fifo, 0.1}, false},
		{bound{"CPU", cpu, ours, "", 11}, true},
		{bound{"CPU", cpu, ours, raw, 11}, false},
	} {
		if ok, text := c.b.holds(m); ok != c.ok {
			t.Errorf("%+v: %s", c.b, text)
		}
	}
}

func TestReport(t *testing.T) {
	m := exampleResults()
	r := newReport(&flags{rounds: 3, scale: 1})
	r.verdicts = []verdict{
		m.against(1, "rate & more", rate, ours, fifo, 5, false),
		m.against(2, "CPU", cpu, ours, fifo, 1.0/20, true),
		m.against(3, "missing", rate, ours, raw, 1, false),
	}
	var text strings.Builder
	r.markdown(&text)
	for _, want := range []string{"| 1 | rate & more | 500 /s | Docker FIFO: 100 /s | 5x | ≥ 5x | yes |", "| no |", "no <socket>"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
	text.Reset()
	plot(&text, r.verdicts)
	for d := xml.NewDecoder(strings.NewReader(text.String())); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, text.String())
		}
	}
	if n := strings.Count(text.String(), plotMissed); n != 1 {
		t.Errorf("%d bars are drawn as missed, expected 1", n)
	}
}

func TestFlags(t *testing.T) {
	f, err := parseFlags([]string{"-quick", "-rows", "1, 13"})
	if err != nil || f.rounds != 1 {
		t.Fatalf("%+v, %v", f, err)
	}
	rows, err := f.selected()
	if err != nil || !rows[1] || !rows[13] || len(rows) != 2 {
		t.Errorf("%v, %v", rows, err)
	}
	for _, args := range [][]string{{"-rounds", "0"}, {"-scale", "-1"}, {"extra"}} {
		if _, err := parseFlags(args); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
	for _, rows := range []string{"0", strconv.Itoa(lastRow + 1), "x"} {
		if _, err := (&flags{rows: rows}).selected(); err == nil {
			t.Errorf("rows %q are accepted", rows)
		}
	}
}
