package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/logplug/logplug/host"
)

// Numbers of messages at scale 1.
const (
	discardMessages = 4_000_000
	peerMessages    = 1_000_000 // of slow peers
	fileMessages    = 2_000_000
	mediumBytes     = 16 << 10
	mediumMessages  = 40_000
	largeBytes      = 1 << 20
	largeMessages   = 2000
)

type opener func(context.Context, *job) (*path, error)

// transferring makes a contender of a path.
func transferring(name string, open opener, n, size int) contender {
	return contender{name, func(ctx context.Context, j *job) (sample, error) {
		p, err := open(ctx, j)
		if err != nil {
			return nil, err
		}
		return p.transfer(j.count(n), size)
	}}
}

func through(driver string) opener {
	return func(ctx context.Context, j *job) (*path, error) { return openOurs(ctx, j, driver, host.Config{}) }
}

// withSpool is through with what is accepted kept in a directory.
func withSpool(driver string) opener {
	return func(ctx context.Context, j *job) (*path, error) {
		p, err := openOurs(ctx, j, driver, host.Config{Spool: host.SpoolConfig{Dir: spoolDir(j)}})
		if err != nil {
			return nil, err
		}
		if err := checkSpool(j); err != nil {
			return nil, p.close(err)
		}
		return p, nil
	}
}

func spoolDir(j *job) string { return filepath.Join(j.Scratch, "spool") }

// checkSpool fails if the host has not used its spool directory.
func checkSpool(j *job) error {
	if files, err := os.ReadDir(spoolDir(j)); err != nil || len(files) == 0 {
		return errors.Join(errors.New("the host does not use its spool directory"), err)
	}
	return nil
}

func discardScenario() *scenario {
	return &scenario{
		name: "discard", rows: []int{1, 2},
		contenders: []contender{
			transferring(ours, through("discard"), discardMessages, lineBytes),
			transferring(fifo, openFIFO, peerMessages, lineBytes),
			transferring(raw, openRaw, discardMessages, lineBytes),
		},
		judge: func(m *measured) []verdict {
			return []verdict{
				m.against(1, "to a driver that discards, acknowledged", rate, ours, fifo, 12, false),
				m.informally(1, "the same, against the limit", rate, ours, raw),
				m.against(2, "the same, CPU of both processes", cpu, ours, fifo, 1.0/8, true),
				m.informally(2, "the same, against the limit", cpu, ours, raw),
			}
		},
	}
}

func jsonFileScenario() *scenario {
	return &scenario{
		name: "jsonfile", rows: []int{3, 4}, files: true,
		contenders: []contender{
			transferring(ours, through("jsonfile"), fileMessages, lineBytes),
			transferring(spooled, withSpool("jsonfile"), fileMessages, lineBytes),
			transferring(jsonLog, openDockerJSON, peerMessages, lineBytes),
			transferring(local, openDockerLocal, peerMessages, lineBytes),
		},
		judge: func(m *measured) []verdict {
			return []verdict{
				m.against(3, "jsonfile until written", rate, ours, jsonLog, 6, false),
				m.informally(3, "the same, CPU", cpu, ours, jsonLog),
				m.informally(3, "the same, against Docker's local", rate, ours, local),
				m.against(4, "the same with a spool directory", rate, spooled, jsonLog, 4, false),
				m.informally(4, "the same, CPU", cpu, spooled, jsonLog),
			}
		},
	}
}

func longLinesScenario(name string, n, size int) *scenario {
	return &scenario{
		name: "lines of " + name, rows: []int{13},
		contenders: []contender{
			transferring(ours, through("discard"), n, size),
			transferring(raw, openRaw, n, size),
			transferring(bare, openBare, n, size),
			transferring(socket, openDirect, n, size),
		},
		judge: func(m *measured) []verdict {
			return []verdict{
				m.against(13, "lines of "+name, bandwidth, ours, raw, 1.0/3, false),
				m.informally(13, "gRPC alone", bandwidth, bare, raw),
				m.informally(13, "the prototype's socket", bandwidth, socket, raw),
			}
		},
	}
}

// scenarios returns all there are, in the order of the table.
func scenarios(large bool) []*scenario {
	all := []*scenario{
		discardScenario(), jsonFileScenario(), readAllScenario(), readSomeScenario(""),
	}
	if large {
		all = append(all, readSomeScenario(largeLog))
	}
	return append(all,
		trickleScenario(), logScenario(), latencyScenario(), idleScenario(), startScenario(),
		longLinesScenario("16 KiB", mediumMessages, mediumBytes),
		longLinesScenario("1 MiB", largeMessages, largeBytes),
		driversScenario(), containerScenario(),
	)
}
