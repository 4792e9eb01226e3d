package service

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/logplug/logplug/shared/wire"
	"google.golang.org/grpc/codes"
)

const (
	// lightBytes is the most whose workers a leader runs.
	lightBytes = 512 << 10
	// gatherBytes is about how much a leader receives, if it is at hand, before it runs workers, and
	// gatherLoggers for how many: many workers at once take much memory.
	gatherBytes   = 256 << 10
	gatherLoggers = 16
	// stallTime is how long one of them may take before somebody else receives, at most
	// twice as long.
	stallTime = 10 * time.Millisecond
	// ledTime is how long those that a leader runs in a row may take together before the rest of them
	// get goroutines of their own.
	ledTime = 5 * quickTime
	// heavyTime is how long they may take before that counts: when leaders were kept for
	// maxDebt in this way, no more than one part in caution of the time is for them.
	heavyTime = 10 * quickTime
	maxDebt   = 5 * heavyTime
	caution   = 50
)

// receiver queues what arrives on a stream, and starts the workers. Its goroutine, the
// leader, runs those itself that were quick before: to wake another goroutine may take longer than
// they do. Should the driver's code keep it nevertheless, another goroutine becomes the leader.
type receiver struct {
	ws  *writeStream
	end chan error // gets the outcome, capacity 1

	mu       sync.Mutex
	left     *atomic.Bool // tells the leader that another has taken over; it goes away then
	working  bool         // it runs a worker
	rest     []*logger    // whose workers it runs next
	runs     uint64       // counts them
	seen     uint64       // runs, when the watchdog looked last
	watching bool
	watchdog *time.Timer
	debt     time.Duration // for how long leaders were kept, less the time that has made up for it
	owed     time.Time     // when that was
}

func newReceiver(ws *writeStream) *receiver {
	r := &receiver{ws: ws, end: make(chan error, 1), left: new(atomic.Bool)}
	r.watchdog = time.AfterFunc(time.Hour, r.look)
	r.watchdog.Stop()
	return r
}

// receive queues what arrives, until the host sends nothing more.
func (ws *writeStream) receive() error {
	r := ws.receiver
	left := r.left
	ws.svc.tasks.Go(func() { r.lead(left) })
	defer r.watchdog.Stop()
	return <-r.end
}

// lead receives until the stream ends or another leader has taken over, when left is set.
func (r *receiver) lead(left *atomic.Bool) {
	var (
		req   wire.WriteRequest
		start []*logger
		size  int
		err   error
	)
	defer req.Free()
	for {
		start, size, err = r.ws.gather(&req, start[:0])
		switch {
		case errors.Is(err, io.EOF):
			r.end <- nil
			return
		case err != nil:
			r.end <- err
			return
		}
		if !r.run(left, start, size) {
			return
		}
		clear(start)
	}
}

// gather receives and queues one request, and those behind it that were read ahead. It returns the
// loggers whose workers are to be run, none with an error, and the size of the requests.
func (ws *writeStream) gather(req *wire.WriteRequest, start []*logger) (_ []*logger, size int, err error) {
	for {
		if start, err = ws.next(req, start); err != nil {
			ws.svc.spawn(start)
			return nil, 0, err
		}
		size += req.Received()
		req.Free() // what is kept of it has its own hold
		if size >= gatherBytes || len(start) >= gatherLoggers || ws.prompt == nil || !ws.prompt.AtHand() {
			return start, size, nil
		}
	}
}

// next receives and queues one request. It appends the loggers whose workers are to be
// run to start, and returns io.EOF when the host sends nothing more.
func (ws *writeStream) next(req *wire.WriteRequest, start []*logger) ([]*logger, error) {
	switch err := ws.RecvMsg(req); {
	case errors.Is(err, io.EOF):
		return start, io.EOF
	case errors.Is(err, wire.ErrMalformed):
		return start, &rpcError{codes.InvalidArgument, err.Error()}
	case err != nil:
		return start, streamError(err)
	case ws.replaced():
		return start, &rpcError{codes.Aborted, "another Write stream has taken the place of this one"}
	}
	if req.Received() == 0 {
		ws.svc.acks.hasten()
		return start, nil
	}
	ws.svc.acks.requests.Add(1)
	lending := ws.svc.buffers.lend(req)
	defer lending.end()
	for b, err := range req.Batches() {
		var l *logger
		if err == nil {
			l, err = ws.svc.receive(&lending, b)
		}
		if err != nil {
			return start, &rpcError{codeOf(err), err.Error()}
		}
		if l != nil {
			start = append(start, l)
		}
	}
	return start, nil
}

// spawn runs the workers of the given loggers in goroutines of their own.
func (s *Service) spawn(start []*logger) {
	for _, l := range start {
		s.tasks.Go(l.work)
	}
}

// run runs the workers of the given loggers, for which so many bytes were received, and sends the
// acknowledgements that are due then. It returns false if another leader has taken over meanwhile.
func (r *receiver) run(left *atomic.Bool, start []*logger, size int) bool {
	if size > lightBytes || len(start) > 0 && r.wary() {
		r.ws.svc.spawn(start)
		return true
	}
	own := start[:0]
	for _, l := range start {
		if l.quick() {
			own = append(own, l)
		} else {
			r.ws.svc.tasks.Go(l.work)
		}
	}
	began, due := time.Now(), false
	for i, l := range own {
		r.begin(own[i+1:])
		due = l.workLed(left) || due
		if !r.finish(left) {
			return false // with acknowledgements others were told of
		}
		took := time.Since(began)
		if took > heavyTime {
			r.beware(took)
		}
		if took > ledTime {
			r.ws.svc.spawn(own[i+1:])
			break
		}
	}
	if due {
		r.ws.sendHere()
	}
	return true
}

// beware takes note that a leader was kept for so long. Now and then that happens to any code,
// where others use the processor.
func (r *receiver) beware(took time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bewareLocked(took)
}

func (r *receiver) bewareLocked(took time.Duration) {
	now := time.Now()
	// Not more than a worker takes until the watchdog sees to it: a process may stand still.
	r.debt = min(r.debtLocked(now)+min(took, 2*stallTime), 2*stallTime)
	r.owed = now
}

// debtLocked returns what is left of the debt. r.mu is held.
func (r *receiver) debtLocked(now time.Time) time.Duration {
	if r.debt == 0 {
		return 0
	}
	return max(0, r.debt-now.Sub(r.owed)/caution)
}

// wary tells whether leaders were kept for too long: then they run no workers.
func (r *receiver) wary() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.debt > maxDebt && r.debtLocked(time.Now()) > maxDebt
}

// quick tells whether the worker of l, which does not run, will not keep a leader.
func (l *logger) quick() bool { return l.pace.brisk() && l.light && len(l.turn) == 0 }

// begin takes note that the leader runs a worker, and those of rest next.
func (r *receiver) begin(rest []*logger) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.working, r.rest = true, rest
	r.runs++
	if !r.watching {
		r.watching = true
		r.watchdog.Reset(stallTime)
	}
}

// finish takes note that the worker has ended. It returns false if there is another
// leader.
func (r *receiver) finish(left *atomic.Bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if left.Load() {
		return false
	}
	r.working, r.rest = false, nil
	return true
}

// look replaces a leader that has been in the same worker since the last look. It looks
// again as long as there are workers that leaders run.
func (r *receiver) look() {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.runs != r.seen:
		r.seen = r.runs
	case r.working:
		r.ws.svc.spawn(r.rest)
		r.working, r.rest = false, nil
		r.bewareLocked(2 * stallTime)
		r.left.Store(true)
		left := new(atomic.Bool)
		r.left = left
		r.ws.svc.acks.poke() // what is due and the leader was to send
		r.ws.svc.tasks.Go(func() { r.lead(left) })
	default:
		r.watching = false
		return
	}
	r.watchdog.Reset(stallTime)
}

// pace tells whether a logger's code is quick enough for a leader: how often it was, up to a
// bound. That it was not, counts as much as several times that it was.
type pace int8

const (
	// quickTime is how long the code may take for a batch to be called quick, besides
	// byteTime for each of its bytes.
	quickTime = 100 * time.Microsecond
	byteTime  = time.Nanosecond
	briskPace = 4
	maxPace   = 8
	minPace   = -4
	slowness  = 4
)

func (p *pace) note(took time.Duration, bytes int) {
	switch {
	case took > quickTime+time.Duration(bytes)*byteTime:
		*p = max(*p-slowness, minPace)
	case *p < maxPace:
		*p++
	}
}

func (p pace) brisk() bool { return p >= briskPace }
