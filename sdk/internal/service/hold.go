package service

import (
	"context"
	"errors"
	"time"
)

// ErrHold, in a logdriver.BatchError with Done below the whole, tells that the
// driver is well and waits for further messages before it can settle the rest:
// the parts of a line whose end has not come, for one. The rest is offered again
// with the messages that follow.
var ErrHold = errors.New("waiting for further messages")

// holdTime is how long a rest is held when no further message comes.
const holdTime = 2 * time.Second

// Urgency tells a LogBatch why it is called.
type Urgency int

const (
	// Routine is for messages that have arrived.
	Routine Urgency = iota
	// Overdue is for a rest that was held long enough: it should be settled now,
	// since acknowledgements are being waited for.
	Overdue
	// Closing is for the last messages of a logger: none will follow.
	Closing
)

type urgencyKey struct{}

func withUrgency(ctx context.Context, u Urgency) context.Context {
	if u == Routine {
		return ctx
	}
	return context.WithValue(ctx, urgencyKey{}, u)
}

// UrgencyOf returns the urgency of the call that ctx was given to.
func UrgencyOf(ctx context.Context) Urgency {
	u, _ := ctx.Value(urgencyKey{}).(Urgency)
	return u
}
