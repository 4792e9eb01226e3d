package main

import (
	"bytes"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	pb "github.com/logplug/logplug/shared/proto/logplug/v1"
)

// responseBytes is about how much one response carries.
const responseBytes = 64 << 10

// reading is one call of ReadLogs.
type reading struct {
	grpc.ServerStreamingServer[pb.ReadLogsResponse]
	cfg     *pb.ReadConfig
	matched bool // since
	resp    *pb.ReadLogsResponse
	size    int
}

func (d *driver) ReadLogs(req *pb.ReadLogsRequest, st grpc.ServerStreamingServer[pb.ReadLogsResponse]) error {
	log, live, err := d.log(req)
	if err != nil {
		return err
	}
	cfg := req.GetConfig()
	if cfg == nil {
		cfg = &pb.ReadConfig{Tail: -1}
	}
	r := &reading{st, cfg, cfg.SinceUnixNano == nil, &pb.ReadLogsResponse{}, 0}
	past, _, _ := log.from(0)
	at := 0
	if tail := cfg.GetTail(); tail >= 0 {
		at = len(past) - int(min(tail, int64(len(past))))
	}
	var expired <-chan time.Time
	if cfg.UntilUnixNano != nil {
		if left := time.Until(time.Unix(0, cfg.GetUntilUnixNano())); left > 0 {
			expired = time.After(left)
		}
	}
	if err := st.SendHeader(nil); err != nil {
		return err
	}
	if !cfg.GetFollow() || !live {
		_, err := r.deliver(past[at:])
		return err
	}
	for {
		entries, open, changed := log.from(at)
		if more, err := r.deliver(entries); err != nil || !more || !open {
			return err
		}
		at += len(entries)
		select {
		case <-changed:
		case <-expired:
			return nil
		case <-st.Context().Done():
			return st.Context().Err()
		}
	}
}

// deliver sends what of the entries is selected. more is false at the end of the
// selection.
func (r *reading) deliver(entries []*pb.Entry) (more bool, err error) {
	for _, e := range entries {
		r.matched = r.matched || e.GetTimeUnixNano() >= r.cfg.GetSinceUnixNano()
		if !r.matched {
			continue
		}
		if r.cfg.UntilUnixNano != nil && e.GetTimeUnixNano() > r.cfg.GetUntilUnixNano() {
			return false, r.flush()
		}
		if err := r.add(e); err != nil {
			return false, err
		}
	}
	return true, r.flush()
}

func (r *reading) add(e *pb.Entry) error {
	out := proto.CloneOf(e)
	if more := e.GetPartial() != nil && !e.GetPartial().GetLast(); !more && !e.GetUnterminated() {
		out.Line = append(bytes.Clone(e.GetLine()), '\n')
	}
	r.resp.Entries = append(r.resp.Entries, out)
	if r.size += proto.Size(out); r.size < responseBytes {
		return nil
	}
	return r.flush()
}

func (r *reading) flush() error {
	if len(r.resp.Entries) == 0 {
		return nil
	}
	err := r.Send(r.resp)
	r.resp, r.size = &pb.ReadLogsResponse{}, 0
	return err
}
