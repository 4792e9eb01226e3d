package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	pb "github.com/logplug/logplug/shared/proto/logplug/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// starts misbehave around the process: its handshake, its health, its end.
func starts() map[string]behaviour {
	return map[string]behaviour{
		"start-silent":  func(*driver) { hang() },
		"start-garbage": func(*driver) { fmt.Println("1|\x00\xff|;;|\x1b[31m|||"); hang() },
		"start-endless": func(*driver) { flood(os.Stdout, bytes.Repeat([]byte("x"), 1<<16)) },
		"start-lines":   func(*driver) { flood(os.Stdout, bytes.Repeat([]byte("1|x\n"), 1<<14)) },
		"start-exit":    func(*driver) { os.Exit(0) },
		"start-noise":   func(*driver) { fmt.Print("starting\n||\nalmost 1|2\n\x00\n") },
		// go-plugin fails on a certificate that it did not ask for.
		"start-certificate": func(d *driver) { d.line = "1|1|unix|%s|grpc|" + strings.Repeat("A", 300) + "|true\n" },
		"start-nobody":      func(*driver) { fmt.Println("1|1|unix|/nowhere/at/all|grpc|"); hang() },

		"health-no":    func(d *driver) { d.methods[methodHealth] = unhealthyAfter(0) },
		"health-hangs": func(d *driver) { d.methods[methodHealth] = never },
		"health-turns": func(d *driver) {
			d.methods[methodHealth] = unhealthyAfter(1)
			d.methods[pb.Driver_Write_FullMethodName] = each(func(grpc.ServerStream, *pb.Batch) error { return nil })
		},

		"end-ignores-term": func(d *driver) {
			signal.Ignore(syscall.SIGTERM)
			d.orphan = true
			d.methods[methodShutdown] = never
			d.methods[pb.Driver_Drain_FullMethodName] = never
		},
		"end-forks":  forks,
		"end-crash":  func(d *driver) { d.methods[pb.Driver_Write_FullMethodName] = each(crash) },
		"end-freeze": func(d *driver) { d.methods[pb.Driver_Write_FullMethodName] = each(freeze) },
		"end-freeze-open": func(d *driver) {
			d.methods[pb.Driver_Open_FullMethodName] = func(s grpc.ServerStream) error { return freeze(s, nil) }
		},
	}
}

func unhealthyAfter(checks uint64) handler {
	var n counter
	return unary(func(context.Context, *grpc_health_v1.HealthCheckRequest) (any, error) {
		if n.next() <= checks {
			return healthy(), nil
		}
		return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_NOT_SERVING}, nil
	})
}

func crash(grpc.ServerStream, *pb.Batch) error {
	fmt.Fprintln(os.Stderr, "panic: it is all too much")
	os.Exit(2)
	return nil
}

func freeze(grpc.ServerStream, *pb.Batch) error {
	if err := syscall.Kill(os.Getpid(), syscall.SIGSTOP); err != nil {
		return err
	}
	select {} // this thread may run on for a moment
}

// heir is the variable that makes this program the process that a forker leaves
// behind, and heirLife how long that lives at most.
const (
	heir     = "LOGPLUG_HOSTILE_HEIR"
	heirLife = 4 * time.Second
)

// forks leaves two processes behind, one of them in a session of its own, that
// hold stdout and stderr, and ends with the first batch.
func forks(d *driver) {
	if os.Getenv(heir) != "" {
		signal.Ignore(syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
		<-time.After(heirLife)
		os.Exit(0)
	}
	for _, escape := range []bool{false, true} {
		cmd := exec.Command(os.Args[0])
		cmd.Env = []string{heir + "=1"}
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: escape}
		if err := cmd.Start(); err != nil {
			panic(err)
		}
	}
	d.methods[pb.Driver_Write_FullMethodName] = each(crash)
}
