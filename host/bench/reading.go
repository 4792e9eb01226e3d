package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/docker/docker/daemon/logger"
	"github.com/docker/docker/daemon/logger/jsonfilelog"
	"github.com/logplug/logplug/host"
	"github.com/logplug/logplug/host/bench/internal/direct"
	"github.com/logplug/logplug/host/bench/internal/proc"
	"github.com/logplug/logplug/shared/logdriver"
)

const (
	// Records of the logs that are read. One is logged every millisecond.
	records      = 2_000_000
	largeRecords = 20_000_000
	recordStep   = time.Millisecond
	largeLog     = "20 million"

	tailRecords  = 10
	sinceRecords = 100
	window       = time.Second

	readOnce  = 1 // of Docker's readings that scan the log
	readOften = 21

	sinceTime  = "since"
	windowTime = "window"
	tailTime   = "tail"
)

// selection is what of a log to read.
type selection struct {
	since, until time.Time
	tail         int
	want         int // records it holds
}

// reader reads a log and counts.
type reader struct {
	read  func(context.Context, selection) (int, error)
	pids  []int
	close func(error) error
}

func (j *job) records(size string) int {
	n := records
	if size == largeLog {
		n = largeRecords
	}
	if j.Quick {
		n /= 10
	}
	return n
}

// fixture returns the path of a log of n records, which make writes if there is
// none yet.
func (j *job) fixture(kind string, n int, write func(file string) error) (string, error) {
	dir := filepath.Join(j.Fixtures, fmt.Sprintf("%s-%d", kind, n))
	file, done := filepath.Join(dir, "bench.log"), filepath.Join(dir, "done")
	if _, err := os.Stat(done); err == nil {
		return file, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	if err := write(file); err != nil {
		return "", fmt.Errorf("writing a log to read: %w", err)
	}
	return file, os.WriteFile(done, nil, 0o600)
}

func openOurReader(ctx context.Context, j *job, n int) (*reader, error) {
	r, err := newRig(j, "jsonfile", host.Config{})
	if err != nil {
		return nil, err
	}
	file, err := j.fixture("logplug", n, func(file string) error { return r.write(ctx, file, n) })
	if err != nil {
		return nil, r.close(err)
	}
	info := r.info("bench", nil)
	info.LogPath = file
	l, err := r.Open(ctx, r.driver, info) // as Docker's, which reads through its open logger
	if err != nil {
		return nil, r.close(err)
	}
	pid, err := r.pid()
	if err != nil {
		return nil, r.close(err)
	}
	read := func(ctx context.Context, s selection) (n int, err error) {
		cfg := logdriver.ReadConfig{Since: s.since, Until: s.until, Tail: s.tail}
		for m, err := range l.(logdriver.LogReader).ReadLogs(ctx, cfg).All() {
			if err != nil {
				return n, err
			}
			logdriver.PutMessage(m)
			n++
		}
		return n, nil
	}
	return &reader{read, []int{pid}, r.close}, nil
}

// openDirectReader is the prototype of a path beside gRPC, to the same log as ours.
func openDirectReader(ctx context.Context, j *job, n int) (*reader, error) {
	return openPrototype(ctx, j, n, false)
}

// openPrototype reads through a socket, or tails from shared memory.
func openPrototype(ctx context.Context, j *job, n int, sharing bool) (*reader, error) {
	ours, err := openOurReader(ctx, j, n) // makes the log
	if err != nil {
		return nil, err
	}
	if err := ours.close(nil); err != nil {
		return nil, err
	}
	file, err := j.fixture("logplug", n, nil)
	if err != nil {
		return nil, err
	}
	r, err := direct.StartReader(j.Scratch, func(socket string) *exec.Cmd { return command(roleDirectReader, socket, file) })
	if err != nil {
		return nil, err
	}
	read := func(_ context.Context, s selection) (n int, err error) {
		cfg := logdriver.ReadConfig{Since: s.since, Until: s.until, Tail: s.tail}
		if sharing {
			err = r.Tail.Read(s.tail, func(*logdriver.Message) { n++ })
			return n, err
		}
		err = r.Read(cfg, func(*logdriver.Message) { n++ })
		return n, err
	}
	return &reader{read, []int{r.Pid()}, func(err error) error { return errors.Join(err, r.Close()) }}, nil
}

// write fills a log with n records.
func (r *rig) write(ctx context.Context, file string, n int) error {
	info := r.info("bench", nil)
	info.LogPath = file
	l, err := r.Open(ctx, r.driver, info)
	if err != nil {
		return err
	}
	in := newLines(lineBytes, recordStep)
	for range n {
		line, at := in.next()
		if err := send(l, line, at); err != nil {
			return err
		}
	}
	return l.Close()
}

func openDockerReader(_ context.Context, j *job, n int) (*reader, error) {
	file, err := j.fixture("docker", n, func(file string) error { return writeDocker(file, n) })
	if err != nil {
		return nil, err
	}
	l, err := jsonfilelog.New(dockerInfo(file))
	if err != nil {
		return nil, err
	}
	read := func(ctx context.Context, s selection) (n int, err error) {
		w := l.(logger.LogReader).ReadLogs(ctx, logger.ReadConfig{Since: s.since, Until: s.until, Tail: s.tail})
		defer w.ConsumerGone()
		for {
			select {
			case _, ok := <-w.Msg:
				if !ok {
					return n, nil
				}
				n++
			case err := <-w.Err:
				return n, err
			}
		}
	}
	return &reader{read, nil, func(err error) error { l.Close(); return err }}, nil
}

func writeDocker(file string, n int) error {
	l, err := jsonfilelog.New(dockerInfo(file))
	if err != nil {
		return err
	}
	in := newLines(lineBytes, recordStep)
	for range n {
		line, at := in.next()
		if err := sendDocker(l, line, at); err != nil {
			return err
		}
	}
	return l.Close()
}

// bareTailBytes is what 10 records take on the wire, about.
const bareTailBytes = tailRecords * (lineBytes + 20)

// bareTail times gRPC with nothing else, in place of a tail: a call with an answer of
// the same size.
func bareTail(ctx context.Context, j *job) (s sample, err error) {
	p, err := startBare(ctx, j, "")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	r := reader{read: func(ctx context.Context, s selection) (int, error) { return s.want, p.Tail(ctx, bareTailBytes) }}
	return r.tails(ctx)
}

// tails is the sample of a contender that can do nothing else.
func (r *reader) tails(ctx context.Context) (sample, error) {
	took, err := r.often(ctx, readOften, selection{tail: tailRecords, want: tailRecords})
	return sample{tailTime: took}, err
}

type readerOpener func(context.Context, *job, int) (*reader, error)

func readAllScenario() *scenario {
	contending := func(name string, open readerOpener) contender {
		return contender{name, func(ctx context.Context, j *job) (s sample, err error) {
			r, err := open(ctx, j, j.records(""))
			if err != nil {
				return nil, err
			}
			defer func() { err = r.close(err) }()
			meter, err := proc.NewMeter(r.pids...)
			if err != nil {
				return nil, err
			}
			n := j.records("")
			took, err := r.timed(ctx, selection{tail: -1, want: n})
			if err != nil {
				return nil, err
			}
			used, err := meter.Used()
			return sample{rate: float64(n) / took.Seconds(), cpu: float64(used) / float64(n)}, err
		}}
	}
	return &scenario{
		name: "reading all", rows: []int{5}, maxRounds: 5,
		contenders: []contender{contending(ours, openOurReader), contending(jsonLog, openDockerReader)},
		judge: func(m *measured) []verdict {
			return []verdict{
				m.against(5, "reading everything back", rate, ours, jsonLog, 6, false),
				m.informally(5, "the same, CPU", cpu, ours, jsonLog),
			}
		},
	}
}

// timed reads and checks that it got what there is.
func (r *reader) timed(ctx context.Context, s selection) (time.Duration, error) {
	began := time.Now()
	n, err := r.read(ctx, s)
	took := time.Since(began)
	if err == nil && n != s.want {
		err = fmt.Errorf("read %d records, expected %d", n, s.want)
	}
	return took, err
}

// often returns the median time of several readings, in nanoseconds.
func (r *reader) often(ctx context.Context, times int, s selection) (float64, error) {
	var all []float64
	for range times {
		took, err := r.timed(ctx, s)
		if err != nil {
			return 0, err
		}
		all = append(all, float64(took))
	}
	return median(all), nil
}

// readSomeScenario reads parts of a log.
func readSomeScenario(size string) *scenario {
	contending := func(name string, open readerOpener, times int) contender {
		return contender{name, func(ctx context.Context, j *job) (s sample, err error) {
			n := j.records(size)
			r, err := open(ctx, j, n)
			if err != nil {
				return nil, err
			}
			defer func() { err = r.close(err) }()
			return r.parts(ctx, n, times)
		}}
	}
	name, of := "reading parts", ""
	if size != "" {
		name, of = name+" of "+size, ", "+size
	}
	return &scenario{
		name: name, rows: []int{6, 7}, maxRounds: 3,
		contenders: []contender{
			contending(ours, openOurReader, readOften), contending(jsonLog, openDockerReader, readOnce),
			contending(socket, openDirectReader, readOften), {bare, bareTail},
			{shared, func(ctx context.Context, j *job) (s sample, err error) {
				r, err := openPrototype(ctx, j, j.records(size), true)
				if err != nil {
					return nil, err
				}
				defer func() { err = r.close(err) }()
				return r.tails(ctx)
			}},
		},
		judge: func(m *measured) []verdict {
			return []verdict{
				m.against(6, "since the last 100"+of, sinceTime, ours, jsonLog, 1.0/500, true),
				m.against(6, "one second in the middle"+of, windowTime, ours, jsonLog, 1.0/500, true),
				m.against(7, "tail 10"+of, tailTime, ours, jsonLog, 1, true),
				m.informally(7, "gRPC alone: a call with an answer of that size"+of, tailTime, bare, jsonLog),
				m.informally(7, "the prototype's socket"+of, tailTime, socket, jsonLog),
				m.informally(7, "the prototype's shared memory"+of, tailTime, shared, jsonLog),
			}
		},
	}
}

func (r *reader) parts(ctx context.Context, n, times int) (sample, error) {
	at := func(i int) time.Time { return epoch.Add(time.Duration(i) * recordStep) } // records count from 1
	since, err := r.often(ctx, times, selection{since: at(n - sinceRecords + 1), tail: -1, want: sinceRecords})
	if err != nil {
		return nil, fmt.Errorf("since: %w", err)
	}
	// The end of a window is inclusive.
	middle, err := r.often(ctx, times, selection{
		since: at(n / 2), until: at(n / 2).Add(window - recordStep), tail: -1, want: int(window / recordStep),
	})
	if err != nil {
		return nil, fmt.Errorf("window: %w", err)
	}
	s, err := r.tails(ctx)
	if err != nil {
		return nil, fmt.Errorf("tail: %w", err)
	}
	s[sinceTime], s[windowTime] = since, middle
	return s, nil
}
