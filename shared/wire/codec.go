package wire

import (
	"fmt"

	pb "github.com/logplug/logplug/shared/proto/logplug/v1"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // registers the codec that ours falls back to
	"google.golang.org/grpc/mem"
)

// codecName is the content subtype that standard gRPC peers use.
const codecName = "proto"

// Codec is a gRPC codec for standard protobuf: the types of this package that
// carry messages take their own path without allocations, all others are
// generated types.
type Codec struct{ fallback encoding.CodecV2 }

// NewCodec returns a codec for grpc.ForceCodecV2 and grpc.ForceServerCodecV2.
func NewCodec() Codec { return Codec{encoding.GetCodecV2(codecName)} }

// Name implements encoding.CodecV2.
func (Codec) Name() string { return codecName }

type marshaler interface{ marshal() mem.BufferSlice }

type unmarshaler interface{ unmarshal(mem.BufferSlice) error }

// Marshal implements encoding.CodecV2.
func (c Codec) Marshal(v any) (mem.BufferSlice, error) {
	if m, ok := v.(marshaler); ok {
		return m.marshal(), nil
	}
	return c.fallback.Marshal(v)
}

// Unmarshal implements encoding.CodecV2.
func (c Codec) Unmarshal(data mem.BufferSlice, v any) error {
	if u, ok := v.(unmarshaler); ok {
		return u.unmarshal(data)
	}
	if _, ok := v.(*pb.DescribeResponse); ok {
		if err := checkDescription(data); err != nil {
			return err
		}
	}
	return c.fallback.Unmarshal(data, v)
}

// MaxOptions is the highest number of options that a driver may describe.
const MaxOptions = 1000

const tagDescribeOption = 7<<3 | 2

// checkDescription counts the options before they are decoded, as they would take
// many times as much memory as on the wire.
func checkDescription(data mem.BufferSlice) error {
	buf := data.MaterializeToBuffer(&buffers)
	defer buf.Free()
	rest := buf.ReadOnlyData()
	for n := 0; ; n++ {
		elem, next, err := nextElement(rest, tagDescribeOption)
		if err != nil {
			return malformed("description", err)
		}
		if elem == nil {
			return nil
		}
		if n == MaxOptions {
			return malformed("description", fmt.Errorf("more than %d options", MaxOptions))
		}
		rest = next
	}
}
