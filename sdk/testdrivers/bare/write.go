package main

import (
	"errors"
	"io"
	"sync"

	"google.golang.org/grpc"

	pb "github.com/logplug/logplug/shared/proto/logplug/v1"
)

// acks gathers the acknowledgements of all loggers.
type acks struct {
	wake chan struct{} // holds a token if there are some

	mu  sync.Mutex
	due map[uint64]*pb.Ack
	seq sync.Map // by logger: what is settled
}

func (a *acks) settled(logger, seq uint64) {
	a.seq.Store(logger, seq)
	a.add(&pb.Ack{Logger: logger, Seq: seq})
}

func (a *acks) blocked(logger uint64, why string) {
	seq, _ := a.seq.LoadOrStore(logger, uint64(0))
	a.add(&pb.Ack{Logger: logger, Seq: seq.(uint64), Blocked: why})
}

func (a *acks) add(ack *pb.Ack) {
	a.mu.Lock()
	a.due[ack.Logger] = ack
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

func (a *acks) take() *pb.WriteResponse {
	a.mu.Lock()
	defer a.mu.Unlock()
	resp := &pb.WriteResponse{}
	for id, ack := range a.due {
		resp.Acks = append(resp.Acks, ack)
		delete(a.due, id)
	}
	return resp
}

// Write receives in this goroutine and acknowledges in another one.
func (d *driver) Write(st grpc.BidiStreamingServer[pb.WriteRequest, pb.WriteResponse]) error {
	ctx := st.Context()
	var sender sync.WaitGroup
	defer sender.Wait()
	received := make(chan struct{})
	defer close(received)
	sender.Go(func() {
		for {
			select {
			case <-d.acks.wake:
				if resp := d.acks.take(); len(resp.Acks) > 0 && st.Send(resp) != nil {
					return
				}
			case <-received:
				return
			case <-ctx.Done():
				return
			}
		}
	})
	for {
		req, err := st.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, b := range req.GetBatches() {
			if l, err := d.logger(b.GetLogger()); err == nil {
				l.receive(b)
			}
		}
	}
}
