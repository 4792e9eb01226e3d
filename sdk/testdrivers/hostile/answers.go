package main

import (
	"strings"

	pb "github.com/logplug/logplug/shared/proto/logplug/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/anypb"
)

// answers refuse to open a logger, with statuses that are more than an error.
func answers() map[string]behaviour {
	refuse := func(st func() *status.Status) behaviour {
		return func(d *driver) {
			d.methods[pb.Driver_Open_FullMethodName] = func(grpc.ServerStream) error { return st().Err() }
		}
	}
	known := make([]string, 5000)
	for i := range known {
		known[i] = "k"
	}
	return map[string]behaviour{
		"answer-long": refuse(func() *status.Status {
			return status.New(codes.Internal, "the reason is "+strings.Repeat("long ", 1<<20))
		}),
		"answer-medium": refuse(func() *status.Status {
			return status.New(codes.Internal, "the reason is "+strings.Repeat("long ", 4<<10))
		}),
		"answer-other-detail": refuse(func() *status.Status {
			return withDetail("no", &pb.OpenRequest{Info: &pb.Info{DaemonName: "what is this"}})
		}),
		"answer-unknown-detail": refuse(func() *status.Status {
			st := status.New(codes.Internal, "no").Proto()
			st.Details = append(st.Details, &anypb.Any{TypeUrl: "type.googleapis.com/no.such.Type", Value: []byte("\xff\xff")},
				&anypb.Any{TypeUrl: "\x00", Value: nil}, &anypb.Any{TypeUrl: "type.googleapis.com/logplug.v1.Error", Value: []byte("\xff\xff")})
			return status.FromProto(st)
		}),
		"answer-unknown-kind": refuse(func() *status.Status { return withDetail("no", &pb.Error{Kind: 12345}) }),
		"answer-option": refuse(func() *status.Status {
			return withDetail("no", &pb.Error{
				Kind: pb.Error_KIND_OPTION, Option: "o", Reason: strings.Repeat("r", 10<<10), Nearest: strings.Repeat("n", 10<<10), Known: known,
			})
		}),
		"answer-ok": refuse(func() *status.Status { return status.New(codes.OK, "") }),
		"answer-headers": func(d *driver) {
			d.methods[pb.Driver_Open_FullMethodName] = func(s grpc.ServerStream) error {
				md := metadata.MD{}
				for range 2000 {
					md.Append("x", strings.Repeat("h", 4<<10))
				}
				if err := s.SendHeader(md); err != nil {
					return err
				}
				return s.SendMsg(opened(d.loggers.next()))
			}
		},
	}
}

func withDetail(text string, m proto.Message) *status.Status {
	st, err := status.New(codes.Internal, text).WithDetails(protoadapt.MessageV1Of(m))
	if err != nil {
		panic(err)
	}
	return st
}
