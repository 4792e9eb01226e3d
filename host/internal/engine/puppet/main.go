//go:build unix

// Puppet is the program in the containers of tests. It does what its arguments say,
// in their order, and ends:
//
//	out:TEXT, err:TEXT  write TEXT and a newline
//	raw:TEXT            write TEXT alone
//	quoted:TEXT         write TEXT, which has Go's escapes, alone
//	long:N              write a line of N bytes
//	count:FROM:TO       write a line for each number, on both streams in turn
//	flood:SIZE:MOST     write numbered lines of SIZE bytes from SIGUSR1 on until SIGTERM, and their number;
//	                    pause after MOST lines
//	bursts:SIZE:LINES   write LINES numbered lines of SIZE bytes at each SIGUSR1 until SIGTERM, and their number
//	begin               wait for SIGUSR1
//	pour:SIZE:LINES     write numbered lines of SIZE bytes as fast as can be, in writes of 64 KiB
//	sleep:DURATION      wait
//	wait                wait until it is told to end
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	begin := make(chan os.Signal, 1)
	signal.Notify(begin, syscall.SIGUSR1)
	for _, arg := range os.Args[1:] {
		if err := perform(arg, begin, end); err != nil {
			fmt.Fprintf(os.Stderr, "puppet: %s: %v\n", arg, err)
			os.Exit(1)
		}
	}
}

func perform(arg string, begin, end <-chan os.Signal) error {
	name, value, _ := strings.Cut(arg, ":")
	switch name {
	case "out":
		fmt.Println(value)
	case "err":
		fmt.Fprintln(os.Stderr, value)
	case "raw":
		fmt.Print(value)
	case "quoted":
		text, err := strconv.Unquote(`"` + value + `"`)
		if err != nil {
			return err
		}
		fmt.Print(text)
	case "long":
		n, err := strconv.Atoi(value)
		if err != nil {
			return err
		}
		fmt.Println(Long(n))
	case "count":
		return count(value)
	case "flood":
		return flood(value, begin, end)
	case "bursts":
		return bursts(value, begin, end)
	case "begin":
		<-begin
	case "pour":
		return pour(value)
	case "sleep":
		d, err := time.ParseDuration(value)
		if err != nil {
			return err
		}
		time.Sleep(d)
	case "wait":
		<-end
	default:
		return fmt.Errorf("what is %q?", name)
	}
	return nil
}

// Long is a line of n bytes.
func Long(n int) string {
	return strings.Repeat("0123456789abcdef", n/16+1)[:n]
}

func count(value string) error {
	first, last, _ := strings.Cut(value, ":")
	from, err := strconv.Atoi(first)
	if err != nil {
		return err
	}
	to, err := strconv.Atoi(last)
	if err != nil {
		return err
	}
	out, err1 := bufio.NewWriter(os.Stdout), bufio.NewWriter(os.Stderr)
	defer out.Flush()
	defer err1.Flush()
	for i := from; i <= to; i++ {
		w := io.Writer(out)
		if i%10 == 0 {
			w = err1
		}
		fmt.Fprintf(w, "line %d\n", i)
	}
	return nil
}

func flood(value string, begin, end <-chan os.Signal) error {
	var size, most int
	if _, err := fmt.Sscanf(value, "%d:%d", &size, &most); err != nil {
		return err
	}
	select {
	case <-begin:
	case <-end:
		most = 0
	}
	for i := 1; ; i++ {
		if i > most {
			if most > 0 {
				<-end
			}
			fmt.Printf("total %d\n", i-1)
			return nil
		}
		select {
		case <-end:
			fmt.Printf("total %d\n", i-1)
			return nil
		default:
		}
		fmt.Println(flooded(i, size))
	}
}

// flooded is line i of a flood, of size bytes without its newline.
func flooded(i, size int) string {
	line := fmt.Sprintf("%d ", i)
	if n := size - len(line); n > 0 {
		line += strings.Repeat("x", n)
	}
	return line
}

func bursts(value string, begin, end <-chan os.Signal) error {
	var size, lines int
	if _, err := fmt.Sscanf(value, "%d:%d", &size, &lines); err != nil {
		return err
	}
	total := 0
	for {
		select {
		case <-end:
			fmt.Printf("total %d\n", total)
			return nil
		case <-begin:
		}
		for range lines {
			total++
			fmt.Println(flooded(total, size))
		}
	}
}

// pour takes little time for a line: those who read are to be the slower ones.
func pour(value string) error {
	var size, lines int
	if _, err := fmt.Sscanf(value, "%d:%d", &size, &lines); err != nil {
		return err
	}
	if size < len(numbered(0, 0)) {
		return fmt.Errorf("there is no room for a number in lines of %d bytes", size)
	}
	line := []byte(numbered(0, size))
	out := bufio.NewWriterSize(os.Stdout, 64<<10)
	for i := 1; i <= lines; i++ {
		for n, at := i, numberDigits-1; at >= 0; n, at = n/10, at-1 {
			line[at] = byte('0' + n%10)
		}
		if _, err := out.Write(line); err != nil {
			return err
		}
	}
	return out.Flush()
}

// numberDigits is what a number in a poured line has.
const numberDigits = 10

// numbered is line n, of size bytes with its newline.
func numbered(n, size int) string {
	text := fmt.Sprintf("%0*d ", numberDigits, n)
	if more := size - len(text) - 1; more > 0 {
		text += Long(more)
	}
	return text + "\n"
}
