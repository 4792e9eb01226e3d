package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime/pprof"
)

// work makes one measurement and writes its sample to stdout.
func work(text string) error {
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return fmt.Errorf("job: %w", err)
	}
	c, err := j.contender()
	if err != nil {
		return err
	}
	if j.Profile != "" {
		f, err := os.Create(j.Profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	got, err := c.run(context.Background(), &j)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(got)
}

func (j *job) contender() (*contender, error) {
	for _, s := range scenarios(true) {
		for i := range s.contenders {
			if s.name == j.Scenario && s.contenders[i].name == j.Contender {
				return &s.contenders[i], nil
			}
		}
	}
	return nil, fmt.Errorf("no contender %q in scenario %q", j.Contender, j.Scenario)
}

// command returns a command that runs this program in another role.
func command(role string, args ...string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	return exec.Command(self, append([]string{role}, args...)...)
}
