package wire

import (
	"bytes"
	"errors"
	"testing"

	"github.com/logplug/logplug/shared/logdriver"
	pb "github.com/logplug/logplug/shared/proto/logplug/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// FuzzReadLogsResponse: a log from a driver that may be hostile. What is accepted
// agrees with the generated code and keeps to the limits.
func FuzzReadLogsResponse(f *testing.F) {
	var out ReadLogsResponse
	out.Append(&logdriver.Message{
		Line: []byte("line\n"), Source: "stdout", Err: errors.New("damaged"),
		Attrs: []logdriver.Attr{{Key: "k", Value: "v"}}, Partial: logdriver.Partial{ID: "p", Ordinal: 2, Last: true},
	})
	f.Add(out.marshal().Materialize())
	f.Add([]byte("\x0a\x7f\x1a\x05abc"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var in ReadLogsResponse
		if err := NewCodec().Unmarshal(mem.BufferSlice{mem.SliceBuffer(raw)}, &in); err != nil {
			t.Fatal(err)
		}
		defer in.Free()
		var dec Decoder
		for n := 0; ; n++ {
			var m logdriver.Message
			ok, err := in.Next(&dec, &m)
			if err != nil {
				if !errors.Is(err, ErrMalformed) {
					t.Fatalf("error of another kind: %v", err)
				}
				return
			}
			if len(m.Line) > MaxEntryBytes || len(m.Attrs) > logdriver.MaxAttrs {
				t.Fatalf("a line of %d bytes, %d attributes", len(m.Line), len(m.Attrs))
			}
			if ok {
				continue
			}
			var generated pb.ReadLogsResponse
			if err := proto.Unmarshal(raw, &generated); err == nil && len(generated.Entries) != n {
				t.Fatalf("%d entries, generated code reads %d", n, len(generated.Entries))
			}
			return
		}
	})
}

// FuzzDescribeResponse: what was found to be in bounds is so when decoded.
func FuzzDescribeResponse(f *testing.F) {
	some, _ := proto.Marshal(&pb.DescribeResponse{Name: "n", Options: []*pb.Option{{Name: "o", Values: []string{"a"}}}})
	f.Add(some)
	f.Add(bytes.Repeat([]byte("\x3a\x00"), MaxOptions+1))
	f.Add([]byte("\xba\x80\x00\x00")) // a tag that is longer than it need be
	f.Fuzz(func(t *testing.T, raw []byte) {
		var resp pb.DescribeResponse
		if err := NewCodec().Unmarshal(mem.BufferSlice{mem.SliceBuffer(raw)}, &resp); err != nil {
			return
		}
		if n := len(DescriptionFromProto(&resp).Options); n > MaxOptions {
			t.Fatalf("%d options", n)
		}
	})
}

// FuzzParseAttach: what is accepted can be written and read again.
func FuzzParseAttach(f *testing.F) {
	f.Add(FormatAttach("jsonfile", Attachment{PID: 4711, Network: "unix", Address: "/tmp/x", Protocol: 1}))
	f.Add(`{"a":{"pid":-1}}`)
	f.Fuzz(func(t *testing.T, text string) {
		all, err := ParseAttach(text)
		if err != nil {
			return
		}
		for name, a := range all {
			again, err := ParseAttach(FormatAttach(name, a))
			if err != nil || again[name] != a {
				t.Fatalf("%+v becomes %+v, %v", a, again[name], err)
			}
		}
	})
}

// TestLimitsOfResponses: small messages on the wire that would be large in memory.
func TestLimitsOfResponses(t *testing.T) {
	failures := append([]byte{0x0a, 0x82, 0x80, 0x08}, bytes.Repeat([]byte("\x1a\x00"), MaxFailures+1)...)
	for name, c := range map[string]struct {
		raw []byte
		out any
	}{
		"acks":     {bytes.Repeat([]byte("\x0a\x00"), MaxAcks+1), &WriteResponse{}},
		"failures": {failures, &WriteResponse{}},
		"tags":     {bytes.Repeat([]byte("\xba\x00\x00"), 1<<10), &pb.DescribeResponse{}},
		"options":  {bytes.Repeat([]byte("\x3a\x00"), MaxOptions+1), &pb.DescribeResponse{}},
	} {
		if err := NewCodec().Unmarshal(mem.BufferSlice{mem.SliceBuffer(c.raw)}, c.out); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestErrorsAreCut: a status may be as long as the other side likes.
func TestErrorsAreCut(t *testing.T) {
	long := string(bytes.Repeat([]byte("x"), 1<<20))
	st, err := status.New(codes.InvalidArgument, long).WithDetails(&pb.Error{
		Kind: pb.Error_KIND_OPTION, Option: long, Reason: long, Nearest: long, Known: []string{"a", long, "b"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{st.Err(), status.Error(codes.Internal, long), status.Error(codes.Unavailable, long)} {
		if n := len(FromStatus("d", err).Error()); n > 5*maxErrorBytes {
			t.Errorf("an error of %d bytes", n)
		}
	}
	var opt *logdriver.OptionError
	if !errors.As(FromStatus("d", st.Err()), &opt) || len(opt.Known) != 1 {
		t.Errorf("got %+v", opt)
	}
}
