package logfile

import "github.com/logplug/logplug/shared/logdriver"

const (
	outboxMessages = 512
	outboxBytes    = 64 << 10 // of lines
)

// outbox collects messages for a consumer that takes them in batches.
type outbox struct {
	msgs  []*logdriver.Message
	bytes int
}

// send delivers m, or puts it into the outbox. It owns m.
func (r *reading) send(m *logdriver.Message) error {
	if !r.w.Batching() {
		if !r.w.Send(r.ctx, m) {
			logdriver.PutMessage(m)
			return r.gone()
		}
		return nil
	}
	o := &r.out
	if o.msgs == nil {
		o.msgs = make([]*logdriver.Message, 0, outboxMessages)
	}
	o.msgs = append(o.msgs, m)
	o.bytes += len(m.Line)
	if len(o.msgs) < outboxMessages && o.bytes < outboxBytes {
		return nil
	}
	return o.flush(r)
}

// flush delivers what is in the outbox. The slice is the consumer's then.
func (o *outbox) flush(r *reading) error {
	msgs := o.msgs
	*o = outbox{}
	if len(msgs) == 0 || r.w.SendBatch(r.ctx, msgs) == len(msgs) {
		return nil
	}
	return r.gone()
}
