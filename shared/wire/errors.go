package wire

import (
	"context"
	"errors"

	"github.com/logplug/logplug/shared/logdriver"
	pb "github.com/logplug/logplug/shared/proto/logplug/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

var (
	// ErrUnknownLogger answers a call for a logger that the driver process
	// does not have.
	ErrUnknownLogger = errors.New("unknown logger")
	// ErrPanic is wrapped by the answer of a driver whose code panicked.
	ErrPanic = errors.New("driver panicked")
	// ErrUnavailable is wrapped by errors of calls that ended because the driver
	// process went away.
	ErrUnavailable = errors.New("driver process is gone")
)

// sentinels maps errors that keep their identity to their kind and status code.
var sentinels = []struct {
	err  error
	kind pb.Error_Kind
	code codes.Code
}{
	{logdriver.ErrReadLogsNotSupported, pb.Error_KIND_READ_NOT_SUPPORTED, codes.Unimplemented},
	{logdriver.ErrClosed, pb.Error_KIND_CLOSED, codes.FailedPrecondition},
	{logdriver.ErrNoLog, pb.Error_KIND_NO_LOG, codes.NotFound},
	{logdriver.ErrLogBusy, pb.Error_KIND_LOG_BUSY, codes.FailedPrecondition},
	{logdriver.ErrGap, pb.Error_KIND_GAP, codes.DataLoss},
	{logdriver.ErrMessageTooLarge, pb.Error_KIND_MESSAGE_TOO_LARGE, codes.InvalidArgument},
	{ErrUnknownLogger, pb.Error_KIND_UNKNOWN_LOGGER, codes.NotFound},
	{ErrPanic, pb.Error_KIND_PANIC, codes.Internal},
}

// ToStatus turns an error of a driver into what its RPC returns; nil stays nil.
func ToStatus(err error) error {
	if err == nil {
		return nil
	}
	code, detail := classify(err)
	st := status.New(code, validUTF8(err.Error(), maxErrorBytes))
	if detail != nil {
		if with, derr := st.WithDetails(detail); derr == nil {
			st = with
		}
	}
	return st.Err()
}

func classify(err error) (codes.Code, *pb.Error) {
	var opt *logdriver.OptionError
	if errors.As(err, &opt) {
		return codes.InvalidArgument, &pb.Error{
			Kind: pb.Error_KIND_OPTION, Option: validUTF8(opt.Option, maxErrorBytes), Reason: validUTF8(opt.Reason, maxErrorBytes),
			Nearest: validUTF8(opt.Nearest, maxErrorBytes), Known: cutList(validSlice(opt.Known), maxErrorBytes),
		}
	}
	for _, s := range sentinels {
		if errors.Is(err, s.err) {
			return s.code, &pb.Error{Kind: s.kind}
		}
	}
	switch {
	case errors.Is(err, context.Canceled):
		return codes.Canceled, nil
	case errors.Is(err, context.DeadlineExceeded):
		return codes.DeadlineExceeded, nil
	}
	return codes.Unknown, nil
}

// FromStatus turns the error of an RPC to the named driver into one of package
// logdriver, this package or package context where it is one; nil stays nil.
// Long texts are cut, as the other side may send any.
func FromStatus(driver string, err error) error {
	if err == nil {
		return nil
	}
	st, ok := status.FromError(err)
	if !ok {
		return err
	}
	text := validUTF8(st.Message(), maxErrorBytes)
	for _, d := range st.Details() {
		if e, ok := d.(*pb.Error); ok {
			if known := fromDetail(driver, e, text); known != nil {
				return known
			}
		}
	}
	switch st.Code() {
	case codes.Canceled:
		return &remoteError{text, context.Canceled}
	case codes.DeadlineExceeded:
		return &remoteError{text, context.DeadlineExceeded}
	case codes.Unavailable:
		return &remoteError{text, ErrUnavailable}
	}
	return &remoteError{text, status.Error(st.Code(), text)}
}

func fromDetail(driver string, e *pb.Error, text string) error {
	if e.GetKind() == pb.Error_KIND_OPTION {
		return &logdriver.OptionError{
			Driver: driver, Option: validUTF8(e.GetOption(), maxErrorBytes), Reason: validUTF8(e.GetReason(), maxErrorBytes),
			Nearest: validUTF8(e.GetNearest(), maxErrorBytes), Known: cutList(e.GetKnown(), maxErrorBytes),
		}
	}
	for _, s := range sentinels {
		if s.kind == e.GetKind() {
			return &remoteError{text, s.err}
		}
	}
	return nil
}

// cutList returns as much of the front of list as limit bytes hold.
func cutList(list []string, limit int) []string {
	for i, s := range list {
		if limit -= len(s) + 1; limit < 0 {
			return list[:i]
		}
	}
	return list
}

// remoteError has the text that the other side gave and the identity of err.
type remoteError struct {
	text string
	err  error
}

func (e *remoteError) Error() string {
	if e.text == "" {
		return e.err.Error()
	}
	return e.text
}

func (e *remoteError) Unwrap() error { return e.err }
