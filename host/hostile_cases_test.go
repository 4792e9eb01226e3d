package host_test

import (
	"runtime"
	"strings"
	"testing"
	"time"
)

// hostileCase is one way in which a driver misbehaves, and what its user gets.
//
// open, log, flush, read, describe and close are what the calls of these names
// end with: a part of the error's text, or empty where they succeed, or
// anything.
type hostileCase struct {
	name                                    string
	open, log, flush, read, describe, close string

	// heavy ones need the machine for themselves.
	heavy bool
	// stalls tells that the host must notice that the driver does not go on.
	stalls bool
	// reason is what the host's log must tell.
	reason string
	// start is Timeouts.Start where the default is too long to wait for.
	start time.Duration
	// check looks at the logger before it is closed.
	check func(*testing.T, *hostileRun)
}

// elsewhere tells that the case is one of other systems.
func (c *hostileCase) elsewhere() bool {
	return runtime.GOOS != "linux" && strings.HasPrefix(c.name, "memory-")
}

// anything stands for success as well as any error.
const anything = "*"

// briefly is a deadline for what would never end.
const briefly = 400 * time.Millisecond

var hostileCases = []hostileCase{
	{name: "honest"},

	{name: "start-silent", open: "no handshake line within", start: startTime},
	{name: "start-garbage", open: "handshake line"},
	{name: "start-endless", heavy: true, open: "no handshake line"},
	{name: "start-lines", heavy: true, open: "no handshake line"},
	{name: "start-exit", open: "exited with status 0 before it printed a handshake line"},
	{name: "start-noise"},
	{name: "start-certificate"},
	{name: "start-nobody", open: "not healthy within", start: connectTime},
	{name: "health-no", open: "NOT_SERVING", start: connectTime},
	{name: "health-hangs", open: "not healthy within", start: connectTime},
	{name: "health-turns", stalls: true, flush: "acknowledge", read: anything, describe: anything, close: "not delivered", reason: "NOT_SERVING", check: untilRestart},
	{name: "end-ignores-term"},
	{name: "end-forks", flush: "acknowledge", read: anything, describe: anything, close: anything, reason: "exited with status 2"},
	{name: "end-crash", flush: "acknowledge", read: anything, describe: anything, close: anything, reason: "it is all too much"},
	{name: "end-freeze", stalls: true, flush: "acknowledge", read: anything, describe: anything, close: anything, reason: "is not healthy", check: untilRestart},
	{name: "end-freeze-open", stalls: true, open: "deadline", reason: "is not healthy", check: untilReplaced},

	{name: "output-stdout-lines", heavy: true},
	{name: "output-stdout-endless", heavy: true},
	{name: "output-stderr-lines", heavy: true},
	{name: "output-stderr-endless", heavy: true},
	{name: "output-stderr-entries", heavy: true},
	{name: "output-stderr-deep", heavy: true},
	{name: "output-stderr-types"},
	{name: "output-stdio", heavy: true},

	{name: "connection-garbage", heavy: true, open: "not healthy within", start: connectTime},
	{name: "connection-http1", open: "not healthy within", start: connectTime},
	{name: "connection-closes", open: "not healthy within", start: connectTime},
	{name: "connection-mute", open: "not healthy within", start: connectTime},
	{name: "connection-one-stream", open: anything, start: connectTime, flush: anything, read: anything, describe: anything, close: anything},
	{name: "connection-no-streams", open: "opening the write stream", start: connectTime},
	{name: "connection-length", open: "larger than max"},
	{name: "connection-compressed", open: "compress"},
	{name: "connection-flags", open: "payload format"},
	{name: "connection-cut", open: "EOF"},

	{name: "ack-future", flush: "acknowledge", read: anything, describe: anything, close: anything, reason: "violates the protocol"},
	{name: "ack-highest", flush: "acknowledge", read: anything, describe: anything, close: anything, reason: "violates the protocol"},
	{name: "ack-negative", flush: "acknowledge", read: anything, describe: anything, close: anything, reason: "violates the protocol"},
	{name: "ack-backwards", flush: anything, read: anything, describe: anything, close: anything, reason: "violates the protocol"},
	{name: "ack-unknown"},
	{name: "ack-never", stalls: true, flush: "acknowledge", read: anything, describe: anything, close: "not delivered", reason: "has not acknowledged a message", check: untilRestart},
	{name: "ack-late"},
	{name: "ack-asked"},
	{name: "ack-stale", heavy: true, stalls: true, flush: "acknowledge", read: anything, describe: anything, close: "not delivered", reason: "has not acknowledged a message", check: untilRestart},
	{name: "ack-garbage", flush: "acknowledge", read: anything, describe: anything, close: anything, reason: "malformed"},
	{name: "ack-huge", heavy: true, flush: "acknowledge", read: anything, describe: anything, close: anything, reason: "larger than max"},
	{name: "ack-many", heavy: true, flush: "acknowledge", read: anything, describe: anything, close: anything, reason: "acknowledgements in one response"},
	{name: "ack-failures", heavy: true, check: allFailed},
	{name: "ack-failures-same", heavy: true, reason: "driver rejected messages", check: fewFailed},
	{name: "ack-failures-many", heavy: true, flush: anything, read: anything, describe: anything, close: anything, reason: "failures in one"},
	{name: "ack-failures-unsent", check: noneFailed},
	{name: "ack-failures-empty", heavy: true, flush: anything, read: anything, describe: anything, close: anything, reason: "failures in one"},
	{name: "ack-blocked", heavy: true, flush: "because of this", close: "because of this", check: blockedBriefly},

	{name: "write-unread", stalls: true, flush: "acknowledge", read: anything, describe: anything, close: "not delivered", reason: "has not acknowledged a message", check: untilRestart},
	{name: "write-ends", open: anything, flush: anything, read: anything, describe: anything, close: anything, reason: "write stream of driver hostile-write-ends ended"},
	{name: "write-fails", open: anything, flush: anything, read: anything, describe: anything, close: anything, reason: "no more streams"},
	{name: "write-fails-long", heavy: true, open: anything, flush: anything, read: anything, describe: anything, close: anything, reason: "write stream of driver"},
	{name: "write-fails-later", flush: "acknowledge", read: anything, describe: anything, close: anything, reason: "a code that nobody knows"},
	{name: "write-missing", open: anything, flush: anything, read: anything, describe: anything, close: anything, reason: "no method"},

	{name: "socket-honest"},
	{name: "socket-late"},
	{name: "socket-asked"},
	{name: "socket-future", flush: "acknowledge", read: anything, describe: anything, close: anything, reason: "violates the protocol"},
	{name: "socket-highest", flush: "acknowledge", read: anything, describe: anything, close: anything, reason: "violates the protocol"},
	{name: "socket-greeting"},
	{name: "socket-ungreeted"},
	{name: "socket-unread", stalls: true, flush: "acknowledge", read: anything, describe: anything, close: "not delivered", reason: "has not acknowledged a message", check: untilRestart},
	{name: "socket-closes", open: anything, flush: anything, read: anything, describe: anything, close: anything, reason: "has closed its write socket"},
	{name: "socket-ends", open: anything, flush: anything, read: anything, describe: anything, close: anything, reason: "write stream of driver hostile-socket-ends ended"},
	{name: "socket-fails", open: anything, flush: anything, read: anything, describe: anything, close: anything, reason: "no more streams"},
	{name: "socket-garbage", open: anything, flush: anything, read: anything, describe: anything, close: anything, reason: "malformed"},
	{name: "socket-length", open: anything, flush: anything, read: anything, describe: anything, close: anything, reason: "message of 4294967295 bytes, limit"},
	{name: "socket-shared", open: anything, flush: anything, read: anything, describe: anything, close: anything, reason: "message of 2147483653 bytes, limit"},
	{name: "socket-cut", stalls: true, flush: "acknowledge", read: anything, describe: anything, close: "not delivered", reason: "has not acknowledged a message", check: untilRestart},
	{name: "socket-acks", heavy: true, open: anything, flush: anything, read: anything, describe: anything, close: anything, reason: "acknowledgements in one response"},
	{name: "socket-empty", heavy: true, stalls: true, flush: "acknowledge", read: anything, describe: anything, close: "not delivered", reason: "has not acknowledged a message", check: untilRestart},
	{name: "socket-both-sides", open: anything, flush: anything, read: anything, describe: anything, close: anything, reason: "answered through gRPC"},

	{name: "memory-honest"},
	{name: "memory-kept"},
	{name: "memory-scribbled"},
	{name: "memory-holes"},
	{name: "memory-tickets", heavy: true, stalls: true, flush: "acknowledge", read: anything, describe: anything, close: "not delivered", reason: "has not acknowledged a message", check: untilRestart},
	{name: "memory-resized"},

	{name: "open-hangs", open: "deadline"},
	{name: "open-garbage", open: "unmarshal"},
	{name: "open-huge", heavy: true, open: "larger than max"},
	{name: "open-number-0", open: "logger number 0"},
	{name: "open-number-same", flush: anything, read: anything, describe: anything, close: anything, check: secondRefused},
	{name: "open-number-max"},
	{name: "open-window-0"},
	{name: "open-window-1"},
	{name: "open-window-half"},
	{name: "open-window-max"},
	{name: "open-buffer-1", log: anything, flush: anything, close: anything, check: oneByteParts},
	{name: "open-buffer-max"},
	{name: "open-holds-all", reason: "never sent"},
	{name: "open-holds-unsent", reason: "never sent", check: allSentAgain},
	{name: "open-crash", open: "driver process is gone", reason: "it is all too much"},
	{name: "open-then-vanishes", open: anything, flush: anything, read: anything, describe: anything, close: anything},

	{name: "read-silent", read: "no answer within"},
	{name: "read-stuck", read: "deadline"},
	{name: "read-endless", heavy: true, read: "deadline", check: closesEarly},
	{name: "read-large", heavy: true, read: "deadline", check: doesNotRead},
	{name: "read-empty", heavy: true, read: "deadline", check: doesNotRead},
	{name: "read-nothing", heavy: true, read: "deadline"},
	{name: "read-line", heavy: true, read: "limit"},
	{name: "read-source", heavy: true, read: "limit"},
	{name: "read-error", heavy: true, read: "limit"},
	{name: "read-attrs", read: "attributes"},
	{name: "read-huge", heavy: true, read: "larger than max"},
	{name: "read-garbage", read: "malformed"},
	{name: "read-fields", read: "malformed"},
	{name: "read-fails", read: "the disk is on fire"},

	{name: "describe-hangs", describe: "deadline"},
	{name: "describe-missing", describe: "no method"},
	{name: "describe-options", heavy: true, describe: "larger than max"},
	{name: "describe-help", heavy: true, describe: "larger than max"},
	{name: "describe-huge", heavy: true, describe: "larger than max"},
	{name: "describe-empty", heavy: true, describe: "larger than max"},
	{name: "describe-small", heavy: true, describe: "more than 1000 options"},
	{name: "describe-utf8", describe: "UTF-8"},
	{name: "describe-range"},
	{name: "describe-name"},

	{name: "flush-hangs", flush: "deadline"},
	{name: "close-hangs"},
	{name: "close-unknown"},
	{name: "drain-hangs"},
	{name: "shutdown-hangs"},

	{name: "answer-long", heavy: true, open: anything},
	{name: "answer-medium", open: "the reason is long long"},
	{name: "answer-other-detail", open: "no"},
	{name: "answer-unknown-detail", open: "no"},
	{name: "answer-unknown-kind", open: "no"},
	{name: "answer-option", open: `option "o"`},
	{name: "answer-ok", open: anything},
	{name: "answer-headers", heavy: true, open: anything},
}
