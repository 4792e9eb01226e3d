//go:build linux

// Chaos runs hosts with many loggers through a storm: driver processes and hosts
// are killed, stopped and replaced, disks fill up, and bits of the spool flip.
// Afterwards it reads everything back, and fails if a message that was accepted
// is neither there, intact and in its place, nor in a counter that names what
// became of it.
//
//	go run ./host/internal/chaos -minutes 10 -seed 1
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	if text := os.Getenv(envLife); text != "" {
		os.Exit(live(text, os.Stdin, os.Stdout))
	}
	os.Exit(run(os.Args[1:]))
}

// run returns the exit code: 1 if a promise was broken, 2 for wrong usage.
func run(args []string) int {
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	minutes := flags.Float64("minutes", 10, "how long to storm; up to twice as long if the kills are not done by then")
	seed := flags.Uint64("seed", 0, "seed of the storm; 0 makes one up")
	p := plan{}
	flags.IntVar(&p.storms, "lanes", 2, "hosts at a time that are killed; one more lives on")
	flags.IntVar(&p.scale, "scale", 1, "size of each host's set of loggers, in 16s")
	flags.DurationVar(&p.round, "round", 45*time.Second, "how long to storm before everything is read back")
	flags.Uint64Var(&p.driverKills, "driver-kills", 1000, "least number of drivers that are killed")
	flags.Uint64Var(&p.hostKills, "host-kills", 100, "least number of hosts that are killed")
	flags.IntVar(&p.flipEvery, "flip-every", 6, "damage the spool after one of so many kills of hosts")
	flags.DurationVar(&p.life, "life", 4*time.Second, "mean of a host's life")
	keep := flags.Bool("keep", false, "keep the directory of the run")
	if flags.Parse(args) != nil || flags.NArg() > 0 || *minutes <= 0 || p.storms < 1 || p.scale < 1 || p.flipEvery < 1 || p.life <= 0 || p.round <= 0 {
		fmt.Fprintln(os.Stderr, "chaos: wrong usage, see -help")
		return 2
	}
	p.time = time.Duration(*minutes * float64(time.Minute))
	if p.seed = *seed; p.seed == 0 {
		p.seed = uint64(time.Now().UnixNano())
	}
	p.interval, p.gentle = 350*time.Millisecond, 3*time.Second

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	return conduct(ctx, p, *keep)
}

func conduct(ctx context.Context, p plan, keep bool) int {
	dir, err := os.MkdirTemp("", "chaos-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		return 1
	}
	logger := log.New(os.Stdout, "", log.Ltime|log.Lmicroseconds)
	logger.Printf("seed %d, directory %s", p.seed, dir)
	f, err := storm(ctx, p, dir, logger)
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		return 1
	}
	fmt.Printf("\nseed %d\n%v", p.seed, f)
	if f.failed() {
		fmt.Printf("\nFAILED, the directory is %s\n", dir)
		for _, problem := range f.problems {
			fmt.Println(problem)
		}
		return 1
	}
	fmt.Println("\nok")
	if keep {
		return 0
	}
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		return 1
	}
	return 0
}

// storm runs all lanes in dir, and returns when they have ended.
func storm(ctx context.Context, p plan, dir string, logger *log.Logger) (*figures, error) {
	d, err := buildDrivers(dir)
	if err != nil {
		return nil, err
	}
	f := newFigures()
	var wg sync.WaitGroup
	for n := range p.storms + 1 {
		l := newLane(&p, n, dir, d, f, logger)
		if err := os.MkdirAll(l.dir, 0o700); err != nil {
			return nil, err
		}
		wg.Go(func() { l.run(ctx) })
	}
	wg.Wait()
	return f, nil
}
