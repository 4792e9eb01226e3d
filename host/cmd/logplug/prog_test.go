//go:build unix

package main

import (
	"bufio"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
)

// progMain is the command that tests run with logplug: "prog DO ARG".
func progMain() {
	arg := ""
	if len(os.Args) > 2 {
		arg = os.Args[2]
	}
	switch os.Args[1] {
	case "exit":
		code, _ := strconv.Atoi(arg)
		os.Exit(code)
	case "kill":
		n, _ := strconv.Atoi(arg)
		_ = syscall.Kill(os.Getpid(), syscall.Signal(n))
		select {}
	case "signals":
		progSignals()
	case "lines":
		progLines(arg)
	case "env":
		fmt.Println(os.Getenv(arg))
	}
}

// progSignals prints each signal that it gets, until SIGTERM.
func progSignals() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2,
		syscall.SIGTERM, syscall.SIGWINCH)
	fmt.Println("ready", os.Getpid())
	for s := range signals {
		fmt.Println("got", s)
		if s == syscall.SIGTERM {
			os.Exit(7)
		}
	}
}

// progLines prints its input's lines, until one that is "end".
func progLines(prefix string) {
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		if strings.TrimSpace(in.Text()) == "end" {
			return
		}
		fmt.Println(prefix + in.Text())
	}
}
