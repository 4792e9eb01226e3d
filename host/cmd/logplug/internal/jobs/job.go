package jobs

import (
	"time"

	"github.com/logplug/logplug/shared/logdriver"
)

// Job is the record of one command and of where its output went.
type Job struct {
	// Format is the version of the record's format.
	Format int `json:"format"`
	// ID identifies the job in its state directory.
	ID string `json:"id"`
	// Driver is the name of the driver.
	Driver string `json:"driver"`
	// Cache is the name of the driver that keeps a copy of the log, because Driver
	// cannot read; empty if there is none.
	Cache string `json:"cache,omitempty"`
	// Info is what the logger was opened with; Info.Config are the options, secret
	// ones too.
	Info logdriver.Info `json:"info"`
	// Command is the command with its arguments.
	Command []string `json:"command"`
	// Dir is the working directory, to which paths in options may be relative.
	Dir string `json:"dir"`

	// HostPID and HostStart identify the logplug process that runs the job.
	HostPID   int    `json:"hostPid"`
	HostStart string `json:"hostStart,omitempty"`
	// CommandPID is the command's process, 0 before it was started.
	CommandPID int `json:"commandPid,omitempty"`

	// Created is when the job began, Ended when everything was delivered or given up.
	Created time.Time `json:"created"`
	Ended   time.Time `json:"ended,omitzero"`
	// ExitCode is what logplug exited with, once Ended is set.
	ExitCode int `json:"exitCode"`
	// Trouble says what was not delivered; empty if nothing was lost.
	Trouble string `json:"trouble,omitempty"`
	// CacheTrouble says what the copy lacks.
	CacheTrouble string `json:"cacheTrouble,omitempty"`
	// Quarantined tells, of an active job, which drivers its process does not start at
	// present, because their processes ended again and again, and the reason.
	Quarantined map[string]string `json:"quarantined,omitempty"`
}

// format is the version of the records that this package writes.
const format = 1

// State says where a job is in its life.
type State string

// The states of a job.
const (
	Starting State = "starting" // the driver is being opened
	Running  State = "running"
	Exited   State = "exited"
	Lost     State = "lost" // logplug was killed before it could note the end
)

// State tells the state at this moment. A job whose process cannot be looked at is
// taken for one that has not ended.
func (j *Job) State() State {
	s, _ := j.state()
	return s
}

func (j *Job) state() (State, error) {
	if !j.Ended.IsZero() {
		return Exited, nil
	}
	running, err := alive(j.HostPID, j.HostStart)
	switch {
	case !running:
		return Lost, nil
	case j.CommandPID == 0:
		return Starting, err
	default:
		return Running, err
	}
}

// Active tells whether the job is starting or running.
func (j *Job) Active() bool { return j.State().active() }

func (s State) active() bool { return s == Starting || s == Running }

// idle returns a RunningError unless the job has ended.
func (j *Job) idle() error {
	if s, err := j.state(); s.active() {
		return &RunningError{ID: j.ID, PID: j.HostPID, Err: err}
	}
	return nil
}

// Duration is how long the job took or has taken by now; 0 for a lost one.
func (j *Job) Duration(now time.Time) time.Duration {
	switch j.State() {
	case Exited:
		return j.Ended.Sub(j.Created)
	case Lost:
		return 0
	default:
		return now.Sub(j.Created)
	}
}
