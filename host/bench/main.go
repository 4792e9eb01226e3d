// Bench compares logplug with its peers, side by side in one run: Docker's
// plugin path over a FIFO, Docker's file drivers inside of a process, and a raw
// unix socket. See README.md.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/logplug/logplug/host/bench/internal/baregrpc"
	"github.com/logplug/logplug/host/bench/internal/direct"
	"github.com/logplug/logplug/host/bench/internal/dockerfifo"
	"github.com/logplug/logplug/host/bench/internal/rawsocket"
)

// The program's first argument selects what a process started by itself does.
const (
	roleWorker       = "worker"
	roleNATS         = "nats-server"
	rolePlugin       = "fifo-plugin"
	roleReader       = "raw-reader"
	roleDirect       = "direct-receiver"
	roleDirectReader = "direct-reader"
	roleBareGRPC     = "bare-grpc"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	if len(args) >= 2 {
		switch args[0] {
		case roleWorker:
			return status(work(args[1]))
		case rolePlugin:
			return status(dockerfifo.Serve(args[1], len(args) > 2))
		case roleReader:
			return status(rawsocket.Serve(args[1]))
		case roleDirect:
			return status(direct.Serve(args[1], strings.Join(args[2:], "")))
		case roleNATS:
			return status(serveNATS(args[1]))
		case roleDirectReader:
			return status(direct.ServeReadings(args[1], strings.Join(args[2:], "")))
		case roleBareGRPC:
			return status(baregrpc.Serve(args[1], strings.Join(args[2:], "")))
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return status(compare(ctx, args))
}

// complaint begins the reason why a process fails.
const complaint = "bench: "

func status(err error) int {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s%v\n", complaint, err)
		return 1
	}
	return 0
}

// flags are the options of a comparison.
type flags struct {
	rounds   int
	rows     string
	scale    float64
	quick    bool
	large    bool
	check    bool
	drivers  string
	scratch  string
	markdown string
	plot     string
	profiles string
}

func parseFlags(args []string) (*flags, error) {
	f := new(flags)
	set := flag.NewFlagSet("bench", flag.ContinueOnError)
	set.IntVar(&f.rounds, "rounds", 5, "how often each contender runs; the table shows medians")
	set.StringVar(&f.rows, "rows", "", "comma-separated numbers of rows to run; all by default")
	set.Float64Var(&f.scale, "scale", 1, "factor on numbers of messages and durations")
	set.BoolVar(&f.quick, "quick", false, "less than two minutes for everything: -rounds 1 -scale 0.1, sizes of logs included")
	set.BoolVar(&f.large, "large", false, "read logs of 20 million records too (needs 8 GB of disk)")
	set.BoolVar(&f.check, "check", false, "a short run that fails if allocations or ratios of CPU time have become worse")
	set.StringVar(&f.drivers, "drivers", "", "directory with logplug's drivers, and beside it logplug itself; they are built by default")
	set.StringVar(&f.scratch, "scratch", "", "directory for logs and sockets; a temporary one by default")
	set.StringVar(&f.markdown, "markdown", "", "file that gets the table")
	set.StringVar(&f.plot, "plot", "", "file that gets the plot (SVG)")
	set.StringVar(&f.profiles, "profiles", "", "directory that gets CPU profiles of the logging process")
	if err := set.Parse(args); err != nil {
		return nil, err
	}
	if set.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", set.Arg(0))
	}
	if f.quick {
		f.rounds, f.scale = 1, 0.1
	}
	if f.rounds < 1 || f.scale <= 0 {
		return nil, fmt.Errorf("-rounds and -scale must be greater than 0")
	}
	return f, nil
}

// selected returns the set of row numbers; nil means all.
func (f *flags) selected() (map[int]bool, error) {
	if f.rows == "" {
		return nil, nil
	}
	rows := make(map[int]bool)
	for _, text := range strings.Split(f.rows, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || n < 1 || n > lastRow {
			return nil, fmt.Errorf("-rows: %q is not a row, there are 1 to %d", text, lastRow)
		}
		rows[n] = true
	}
	return rows, nil
}

func compare(ctx context.Context, args []string) error {
	f, err := parseFlags(args)
	if err != nil {
		return err
	}
	rows, err := f.selected()
	if err != nil {
		return err
	}
	r, err := newRunner(f)
	if err != nil {
		return err
	}
	defer r.close()
	began := time.Now()
	if f.check {
		return r.check(ctx)
	}
	report := newReport(f)
	for _, s := range scenarios(f.large) {
		if s.wanted(rows) {
			report.add(s, r.measure(ctx, s, f.rounds))
		}
	}
	report.took = time.Since(began)
	if err := ctx.Err(); err != nil {
		return err
	}
	return report.write(f)
}
