//go:build unix

// Payload is what runs in the containers of the tests: "payload DO ARG...".
//
//	lines N STEP   N numbered lines on standard output, every STEP-th on standard error
//	turns N STEP T N such lines T times, each time but the first after SIGUSR1
//	text OUT ERR   the texts, and nothing behind them
//	bytes N        N pseudo-random bytes, with long lines among them
//	wait           a line, then nothing until SIGTERM
package main

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
)

func main() {
	if len(os.Args) < 2 {
		os.Exit(2)
	}
	switch args := os.Args[2:]; os.Args[1] {
	case "lines":
		lines(0, number(args[0]), number(args[1]))
	case "turns":
		n, turns := number(args[0]), number(args[2])
		signals := make(chan os.Signal, turns)
		signal.Notify(signals, syscall.SIGUSR1)
		for turn := range turns {
			if turn > 0 {
				<-signals
			}
			lines(turn*n, (turn+1)*n, number(args[1]))
		}
	case "text":
		fmt.Fprint(os.Stdout, args[0])
		fmt.Fprint(os.Stderr, args[1])
	case "bytes":
		_, _ = os.Stdout.Write(Bytes(number(args[0])))
	case "wait":
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, syscall.SIGTERM)
		fmt.Println("waiting")
		<-signals
		fmt.Println("ended")
	default:
		os.Exit(2)
	}
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	return n
}

func lines(from, to, step int) {
	out := bufio.NewWriterSize(os.Stdout, 4<<10)
	for i := from; i < to; i++ {
		fmt.Fprintf(out, "out %d %s\n", i, strings.Repeat("x", i%100))
		if i%step == 0 {
			fmt.Fprintf(os.Stderr, "err %d\n", i)
		}
	}
	_ = out.Flush()
}

// Bytes returns the same n bytes each time: every value occurs, and lines of up to
// 200 KB.
func Bytes(n int) []byte {
	rnd := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	long := 0
	for i := range b {
		b[i] = byte(rnd.Uint32())
		switch {
		case long > 0:
			long--
			if b[i] == '\n' {
				b[i] = ' '
			}
		case rnd.IntN(20_000) == 0:
			long = rnd.IntN(200_000)
		}
	}
	return b
}
