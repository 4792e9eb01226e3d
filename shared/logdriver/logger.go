package logdriver

import "context"

// Logger takes the messages of one source of logs.
//
// Log may be called from several goroutines; messages of one goroutine keep
// their order. Close is called once, after the last Log has returned. Log after
// Close returns ErrClosed.
type Logger interface {
	// Log hands over one message. On success Log owns m, and whoever has
	// finished with it calls PutMessage. On error the caller keeps m and may try
	// again or give it up.
	//
	// In a driver, nil means that the sink holds the message; what that amounts
	// to is for the driver's documentation to say. An error that
	// Permanent made marks this message as one that can never be stored: it is
	// counted as failed and reported. Any other error is taken for a
	// passing one, and the same message is offered again.
	Log(m *Message) error

	// Name returns the driver's name, such as "jsonfile".
	Name() string

	// Close lets go of everything the logger holds. What was logged
	// before is with the sink when Close returns nil.
	Close() error
}

// BatchLogger is a Logger that stores many messages at once: a file driver turns
// a batch into one write, a network driver into one request.
//
// Where a driver's logger implements it, LogBatch is called in place of Log, by
// one goroutine at a time.
type BatchLogger interface {
	Logger

	// LogBatch stores msgs, at least one, in order. It returns nil once the
	// sink holds all of them. Neither the slice nor the messages belong to the
	// logger: both, and the bytes of each Line, are reused as soon as LogBatch
	// returns. These bytes must not be changed: they may lie in memory that the driver's
	// process can only read, where a write ends it.
	//
	// After an error the whole batch is offered again, with messages
	// that arrived meanwhile; a *BatchError says how many messages
	// from the front the sink does hold, or which ones it never will.
	// ctx ends when the logger is being closed and its time is up.
	LogBatch(ctx context.Context, msgs []*Message) error
}

// SizedLogger is a Logger that prefers lines of a certain size.
type SizedLogger interface {
	Logger

	// BufSize returns the number of bytes of a line above which it is split into
	// parts. A value of 0 or less leaves the choice to the caller, which
	// takes DefaultBufSize. Values above MaxLineBytes mean MaxLineBytes.
	BufSize() int
}

// Flusher is a Logger that can be asked to make durable what it acknowledged.
type Flusher interface {
	// Flush returns nil once everything that was logged before would survive a
	// loss of power, as far as the sink can promise that.
	Flush(ctx context.Context) error
}

// Sequencer is a Logger whose sink remembers how far it got, so that messages
// sent again after a crash are stored once.
type Sequencer interface {
	// LastSeq returns the highest Message.Seq such that it and all before it are
	// held durably for the stream that the logger was opened with
	// (Info.Stream), and 0 where nothing of that stream is held. It is called
	// once, before the first message.
	LastSeq() uint64
}

// Capability says what a driver can do beyond logging.
type Capability struct {
	// ReadLogs tells that the driver's loggers implement LogReader.
	ReadLogs bool `json:"readLogs"`
}
