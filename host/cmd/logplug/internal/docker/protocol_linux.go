package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
)

const (
	contentType = "application/vnd.docker.plugins.v1.2+json"
	// maxRequestBytes bounds a request: it has the container's labels and environment.
	maxRequestBytes = 8 << 20
)

// dockerInfo is logdriver.Info as the daemon sends it.
type dockerInfo struct {
	Config              map[string]string
	ContainerID         string
	ContainerName       string
	ContainerEntrypoint string
	ContainerArgs       []string
	ContainerImageID    string
	ContainerImageName  string
	ContainerCreated    time.Time
	ContainerEnv        []string
	ContainerLabels     map[string]string
	DaemonName          string
}

func (i *dockerInfo) info() logdriver.Info {
	return logdriver.Info{
		Config: i.Config, ContainerID: i.ContainerID, ContainerName: i.ContainerName,
		ContainerEntrypoint: i.ContainerEntrypoint, ContainerArgs: i.ContainerArgs,
		ContainerImageID: i.ContainerImageID, ContainerImageName: i.ContainerImageName,
		ContainerCreated: i.ContainerCreated, ContainerEnv: i.ContainerEnv,
		ContainerLabels: i.ContainerLabels, DaemonName: i.DaemonName,
	}
}

type startRequest struct {
	File string
	Info dockerInfo
}

type stopRequest struct{ File string }

type readRequest struct {
	Info   dockerInfo
	Config logdriver.ReadConfig
}

// capabilities is what is answered for those of a driver.
type capabilities struct {
	Cap struct{ ReadLogs bool }
	Err string
}

// reply is what most calls answer with.
type reply struct{ Err string }

// plugin serves one socket.
type plugin struct {
	service *Service
	driver  string // empty: each container's options name it
}

// handler returns the plugin's calls.
func (p *plugin) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /Plugin.Activate", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string][]string{"Implements": {"LogDriver"}})
	})
	mux.HandleFunc("POST /LogDriver.Capabilities", p.capabilities)
	mux.HandleFunc("POST /LogDriver.StartLogging", p.start)
	mux.HandleFunc("POST /LogDriver.StopLogging", p.stop)
	mux.HandleFunc("POST /LogDriver.ReadLogs", p.read)
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, p.service.Stats())
	})
	return mux
}

func answer(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // the daemon may be gone
}

func answerError(w http.ResponseWriter, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	answer(w, http.StatusOK, reply{text})
}

// request decodes a call's arguments into v.
func request(w http.ResponseWriter, r *http.Request, v any) error {
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequestBytes)).Decode(v)
	if errors.Is(err, io.EOF) {
		// Daemons of that kind forget what they wanted when they repeat a call.
		return fmt.Errorf("%s without arguments", r.URL.Path)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", r.URL.Path, err)
	}
	return nil
}

// capabilities says that logs can be read: the host keeps a copy of what drivers get
// that cannot.
func (p *plugin) capabilities(w http.ResponseWriter, _ *http.Request) {
	var c capabilities
	c.Cap.ReadLogs = true
	answer(w, http.StatusOK, c)
}

func (p *plugin) start(w http.ResponseWriter, r *http.Request) {
	var req startRequest
	err := request(w, r, &req)
	if err == nil {
		err = p.service.Start(r.Context(), req.File, p.driver, req.Info.info())
	}
	if err != nil {
		p.service.log.Warn("a container was not started", "container", req.Info.ContainerID, "error", err)
	}
	answerError(w, err)
}

func (p *plugin) stop(w http.ResponseWriter, r *http.Request) {
	var req stopRequest
	err := request(w, r, &req)
	if err == nil {
		err = p.service.Stop(r.Context(), req.File)
	}
	answerError(w, err)
}

func (p *plugin) read(w http.ResponseWriter, r *http.Request) {
	var req readRequest
	if err := request(w, r, &req); err != nil {
		answer(w, http.StatusBadRequest, reply{err.Error()})
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(p.service.ctx, cancel)()
	info := req.Info.info()
	watcher, err := p.service.Read(ctx, p.driver, info, req.Config)
	if errors.Is(err, logdriver.ErrNoLog) {
		watcher, err = nil, nil
	}
	if err != nil {
		answer(w, http.StatusInternalServerError, reply{err.Error()})
		return
	}
	w.Header().Set("Content-Type", "application/x-json-stream")
	w.WriteHeader(http.StatusOK)
	if watcher == nil {
		return
	}
	out := response{http.NewResponseController(w), w}
	if err := errors.Join(out.Flush(), p.service.copyFrames(out, watcher, info.ID())); err != nil {
		if ctx.Err() == nil {
			p.service.log.Warn("reading ended", "error", err)
		}
		// The stream has no place for errors: the daemon sees that it is cut off.
		panic(http.ErrAbortHandler)
	}
}

// response is a flusher.
type response struct {
	*http.ResponseController
	io.Writer
}
