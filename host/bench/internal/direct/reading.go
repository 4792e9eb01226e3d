package direct

import (
	"context"
	"errors"
	"net"
	"os/exec"
	"path/filepath"

	"github.com/logplug/logplug/sdk/logfile"
	"github.com/logplug/logplug/shared/logdriver"
	pb "github.com/logplug/logplug/shared/proto/logplug/v1"
	"github.com/logplug/logplug/shared/wire"
)

const (
	// sharedMessages is how many messages a tail in shared memory begins with.
	sharedMessages = 100
	tailSuffix     = ".tail"
)

// responseBytes is the size above which a response of a reading leaves.
const responseBytes = 64 << 10

// Reader is the host's side of a path for readings, with the process that reads. A
// reading is a request, responses, and an empty response at its end. The last
// responses leave in one write.
type Reader struct {
	*peer
	Tail *Tail
	dec  wire.Decoder
	resp wire.ReadLogsResponse
}

// StartReader starts cmd, which must call ServeReadings with the path that command is
// given.
func StartReader(dir string, command func(socket string) *exec.Cmd) (*Reader, error) {
	p, err := start(dir, command)
	if err != nil {
		return nil, err
	}
	r := &Reader{peer: p}
	if r.Tail, err = openTail(filepath.Join(dir, socketName)+tailSuffix, false); err != nil {
		return nil, errors.Join(err, r.link.conn.Close(), r.cmd.Wait())
	}
	return r, nil
}

// Read calls visit with each message that is selected. The message is valid until it
// returns.
func (r *Reader) Read(cfg logdriver.ReadConfig, visit func(*logdriver.Message)) error {
	if err := r.link.send(&pb.ReadLogsRequest{Config: wire.ReadConfigToProto(cfg)}); err != nil {
		return err
	}
	for {
		if err := r.link.receive(&r.resp); err != nil {
			return err
		}
		n := 0
		for ; ; n++ {
			m := logdriver.NewMessage()
			ok, err := r.resp.Next(&r.dec, m)
			if ok && err == nil {
				visit(m)
			}
			logdriver.PutMessage(m)
			if err != nil {
				return err
			}
			if !ok {
				break
			}
		}
		if n == 0 {
			return nil
		}
	}
}

// Close ends the process.
func (r *Reader) Close() error {
	return errors.Join(r.Tail.close(), r.link.conn.Close(), r.cmd.Wait())
}

// ServeReadings opens a log in the format of Docker's json-file driver, and reads it
// until the host is gone.
func ServeReadings(socket, path string) error {
	log, err := logfile.Open(logfile.Config{Path: path, Format: records{}, Stream: path})
	if err != nil {
		return err
	}
	defer log.Close()
	if err := share(log, socket+tailSuffix); err != nil {
		return err
	}
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return err
	}
	link := newLink(conn)
	for {
		var req pb.ReadLogsRequest
		if err := link.receive(&req); err != nil {
			return nil // the host is gone
		}
		if err := link.answer(log, &req); err != nil {
			return err
		}
	}
}

// share puts the end of a log into memory that is shared.
func share(log logdriver.LogReader, path string) error {
	t, err := openTail(path, true)
	if err != nil {
		return err
	}
	for m, err := range log.ReadLogs(context.Background(), logdriver.ReadConfig{Tail: sharedMessages}).All() {
		if err != nil {
			return err
		}
		t.put(m)
		logdriver.PutMessage(m)
	}
	return nil
}

// answer reads as a driver would.
func (l *link) answer(log logdriver.LogReader, req *pb.ReadLogsRequest) error {
	var resp wire.ReadLogsResponse
	for m, err := range log.ReadLogs(context.Background(), wire.ReadConfigFromProto(req.GetConfig())).All() {
		if err == nil {
			err = m.Err
		}
		if err != nil {
			return err
		}
		resp.Append(m)
		logdriver.PutMessage(m)
		if resp.Len() < responseBytes {
			continue
		}
		if err := l.send(&resp); err != nil {
			return err
		}
	}
	if resp.Len() > 0 {
		if err := l.add(&resp); err != nil {
			return err
		}
	}
	if err := l.add(&resp); err != nil { // empty by now
		return err
	}
	return l.flush()
}
