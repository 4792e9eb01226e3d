package service

import (
	"errors"

	"github.com/logplug/logplug/shared/wire"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// rpcError is an error of the service itself. Errors of the driver never decide
// on the code by a gRPC status in them: that one came from the driver's sink.
type rpcError struct {
	code codes.Code
	text string
}

func (e *rpcError) Error() string { return e.text }

// streamError makes an error of a gRPC stream one of the service.
func streamError(err error) error {
	st := status.Convert(err)
	return &rpcError{st.Code(), st.Message()}
}

// status is the one place where errors become gRPC statuses; nil stays nil.
func (s *Service) status(err error) error {
	var own *rpcError
	if errors.As(err, &own) {
		return status.Error(own.code, s.secrets.Text(err.Error()))
	}
	return wire.ToStatus(s.secrets.Error(err))
}
