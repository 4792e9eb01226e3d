package render

import "github.com/logplug/logplug/shared/logdriver"

// Printer writes messages. It is not safe for concurrent use.
type Printer interface {
	// Print writes one message, which stays the caller's.
	Print(m *logdriver.Message) error
	// Flush writes out what is buffered. It is called whenever no message is
	// waiting.
	Flush() error
}
