package wire

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
	pb "github.com/logplug/logplug/shared/proto/logplug/v1"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

// drawMessage draws a message as a host would send it.
func drawMessage(t *rapid.T) *logdriver.Message {
	m := &logdriver.Message{
		Line:         rapid.SliceOf(rapid.Byte()).Draw(t, "line"),
		Source:       rapid.SampledFrom([]string{"", "stdout", "stderr", "☃"}).Draw(t, "source"),
		Unterminated: rapid.Bool().Draw(t, "unterminated"),
	}
	if n := rapid.Int64().Draw(t, "time"); n != 0 {
		m.Timestamp = time.Unix(0, n).UTC()
	}
	for range rapid.IntRange(0, 3).Draw(t, "attrs") {
		m.Attrs = append(m.Attrs, logdriver.Attr{Key: rapid.String().Draw(t, "key"), Value: rapid.String().Draw(t, "value")})
	}
	if rapid.Bool().Draw(t, "partial") {
		m.Partial = logdriver.Partial{
			ID: "p" + rapid.String().Draw(t, "id"), Ordinal: rapid.IntRange(0, 1<<31-1).Draw(t, "ordinal"), Last: rapid.Bool().Draw(t, "last"),
		}
	}
	if rapid.Bool().Draw(t, "failed") {
		m.Err = errors.New("e" + rapid.String().Draw(t, "error"))
	}
	return m
}

func toProto(m *logdriver.Message) *pb.Entry {
	e := &pb.Entry{Source: m.Source, Line: m.Line, Unterminated: m.Unterminated}
	if !m.Timestamp.IsZero() {
		e.TimeUnixNano = m.Timestamp.UnixNano()
	}
	for _, a := range m.Attrs {
		e.Attrs = append(e.Attrs, &pb.Attr{Key: a.Key, Value: a.Value})
	}
	if m.Partial.IsPartial() {
		e.Partial = &pb.Partial{Id: m.Partial.ID, Ordinal: int32(m.Partial.Ordinal), Last: m.Partial.Last}
	}
	if m.Err != nil {
		e.Error = m.Err.Error()
	}
	return e
}

func checkSame(t testing.TB, got *logdriver.Message, want *pb.Entry) {
	t.Helper()
	if g := toProto(got); !proto.Equal(g, want) {
		t.Fatalf("got  %v\nwant %v", g, want)
	}
}

// TestEntryMatchesGeneratedCode encodes by hand and decodes with the generated
// code, and the other way round.
func TestEntryMatchesGeneratedCode(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := drawMessage(rt)
		b := AppendEntry(nil, m)
		if len(b) != EntrySize(m) {
			rt.Fatalf("EntrySize %d, encoded %d", EntrySize(m), len(b))
		}
		var batch pb.Batch
		if err := proto.Unmarshal(b, &batch); err != nil {
			rt.Fatal(err)
		}
		if want := toProto(m); len(batch.Entries) != 1 || !proto.Equal(batch.Entries[0], want) {
			rt.Fatalf("generated code reads %v, want %v", batch.Entries, want)
		}
		encoded, err := proto.Marshal(toProto(m))
		if err != nil {
			rt.Fatal(err)
		}
		var (
			dec Decoder
			out logdriver.Message
		)
		if err := dec.DecodeEntry(encoded, &out); err != nil {
			rt.Fatal(err)
		}
		if !proto.Equal(toProto(&out), toProto(m)) {
			rt.Fatalf("decoded %v, want %v", toProto(&out), toProto(m))
		}
	})
}

// TestWriteRequestMatchesGeneratedCode sends batches through the codec, with
// fields that this version does not know.
func TestWriteRequestMatchesGeneratedCode(t *testing.T) {
	var req WriteRequest
	var want []*pb.Entry
	entries := []byte(nil)
	for i := range 10 {
		m := &logdriver.Message{Line: bytes.Repeat([]byte{'x'}, i*1000), Source: "stdout", Timestamp: time.Unix(int64(i+1), 0)}
		entries = AppendEntry(entries, m)
		want = append(want, toProto(m))
	}
	req.AppendBatch(300, 7, entries)
	req.AttachBatch(1, 1<<40, mem.SliceBuffer(entries))
	data, err := NewCodec().Marshal(&req)
	if err != nil {
		t.Fatal(err)
	}
	raw := data.Materialize()
	var generated pb.WriteRequest
	if err := proto.Unmarshal(raw, &generated); err != nil {
		t.Fatal(err)
	}
	if len(generated.Batches) != 2 || generated.Batches[0].Logger != 300 || generated.Batches[1].FirstSeq != 1<<40 {
		t.Fatalf("generated code reads %v", &generated)
	}
	for _, b := range generated.Batches {
		b.ProtoReflect().SetUnknown(unknownFields())
		for _, e := range b.Entries {
			e.ProtoReflect().SetUnknown(unknownFields())
		}
	}
	generated.ProtoReflect().SetUnknown(unknownFields())
	if raw, err = proto.Marshal(&generated); err != nil {
		t.Fatal(err)
	}
	if err := NewCodec().Unmarshal(mem.BufferSlice{mem.SliceBuffer(raw)}, &req); err != nil {
		t.Fatal(err)
	}
	defer req.Free()
	n := 0
	for b, err := range req.Batches() {
		if err != nil {
			t.Fatal(err)
		}
		n++
		if b.Count != len(want) {
			t.Fatalf("batch of %d, want %d", b.Count, len(want))
		}
		first := b.FirstSeq
		b.Skip(3)
		checkBatch(t, b, first+3, want[3:])
	}
	if n != 2 {
		t.Fatalf("%d batches, want 2", n)
	}
}

func checkBatch(t *testing.T, b Batch, first uint64, want []*pb.Entry) {
	t.Helper()
	var dec Decoder
	for i := range want {
		var m logdriver.Message
		ok, err := b.Next(&dec, &m)
		if err != nil || !ok {
			t.Fatalf("entry %d: %v %v", i, ok, err)
		}
		if m.Seq != first+uint64(i) {
			t.Fatalf("sequence %d, want %d", m.Seq, first+uint64(i))
		}
		checkSame(t, &m, want[i])
	}
	if ok, _ := b.Next(&dec, &logdriver.Message{}); ok {
		t.Fatal("more entries than were sent")
	}
}

// unknownFields are fields of each wire type that no version has defined.
func unknownFields() []byte {
	b := protowire.AppendVarint(protowire.AppendTag(nil, 1000, protowire.VarintType), 5)
	b = protowire.AppendFixed32(protowire.AppendTag(b, 1001, protowire.Fixed32Type), 5)
	b = protowire.AppendFixed64(protowire.AppendTag(b, 15, protowire.Fixed64Type), 5)
	return protowire.AppendBytes(protowire.AppendTag(b, 1003, protowire.BytesType), []byte("future"))
}

func TestAckMatchesGeneratedCode(t *testing.T) {
	sent := WriteResponse{Acks: []Ack{
		{Logger: 1, Seq: 5},
		{Logger: 2, Seq: 1 << 50, Failures: []Failure{{Seq: 3, Reason: "too old"}, {Seq: 4}}, Blocked: "disk is full"},
	}}
	data, err := NewCodec().Marshal(&sent)
	if err != nil {
		t.Fatal(err)
	}
	var generated pb.WriteResponse
	if err := proto.Unmarshal(data.Materialize(), &generated); err != nil {
		t.Fatal(err)
	}
	for _, a := range generated.Acks {
		a.ProtoReflect().SetUnknown(unknownFields())
	}
	raw, err := proto.Marshal(&generated)
	if err != nil {
		t.Fatal(err)
	}
	var got WriteResponse
	if err := NewCodec().Unmarshal(mem.BufferSlice{mem.SliceBuffer(raw)}, &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Acks) != 2 || got.Acks[1].Blocked != "disk is full" || len(got.Acks[1].Failures) != 2 ||
		got.Acks[1].Failures[0] != (Failure{3, "too old"}) || got.Acks[1].Seq != 1<<50 || got.Acks[0].Seq != 5 {
		t.Fatalf("got %+v", got)
	}
}

func TestReadLogsResponse(t *testing.T) {
	var out ReadLogsResponse
	var want []*pb.Entry
	for i := range 5 {
		m := &logdriver.Message{Line: []byte("line\n"), Source: "stderr", Timestamp: time.Unix(int64(i), 1), Err: nil}
		out.Append(m)
		want = append(want, toProto(m))
	}
	data, err := NewCodec().Marshal(&out)
	if err != nil {
		t.Fatal(err)
	}
	var in ReadLogsResponse
	if err := NewCodec().Unmarshal(data, &in); err != nil {
		t.Fatal(err)
	}
	var dec Decoder
	var got []*logdriver.Message
	for {
		m := logdriver.NewMessage()
		ok, err := in.Next(&dec, m)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		got = append(got, m)
	}
	in.Free()
	if len(got) != len(want) {
		t.Fatalf("%d messages, want %d", len(got), len(want))
	}
	for i := range got {
		checkSame(t, got[i], want[i])
	}
}

// FuzzWriteRequest: whatever arrives, decoding neither panics nor reads on
// after an error, and agrees with the generated code on what it accepts.
func FuzzWriteRequest(f *testing.F) {
	var req WriteRequest
	req.AppendBatch(1, 1, AppendEntry(nil, &logdriver.Message{Line: []byte("line"), Source: "stdout", Timestamp: time.Unix(1, 0)}))
	data, _ := NewCodec().Marshal(&req)
	f.Add(data.Materialize())
	f.Add([]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, raw []byte) {
		var generated pb.WriteRequest
		generatedErr := proto.Unmarshal(raw, &generated)
		var in WriteRequest
		if err := NewCodec().Unmarshal(mem.BufferSlice{mem.SliceBuffer(raw)}, &in); err != nil {
			t.Fatal(err)
		}
		defer in.Free()
		var dec Decoder
		entries := 0
		for b, err := range in.Batches() {
			if err != nil {
				if !errors.Is(err, ErrMalformed) {
					t.Fatalf("error of another kind: %v", err)
				}
				return
			}
			for {
				var m logdriver.Message
				ok, err := b.Next(&dec, &m)
				if err != nil {
					return
				}
				if !ok {
					break
				}
				entries++
			}
		}
		if generatedErr == nil {
			n := 0
			for _, b := range generated.Batches {
				n += len(b.Entries)
			}
			if n != entries {
				t.Fatalf("%d entries, generated code reads %d", entries, n)
			}
		}
	})
}

// FuzzWriteResponse: acknowledgements from a driver that may be hostile.
func FuzzWriteResponse(f *testing.F) {
	data := (&WriteResponse{Acks: []Ack{{Logger: 1, Seq: 2, Failures: []Failure{{3, "x"}}, Blocked: "b"}}}).marshal()
	f.Add(data.Materialize())
	f.Fuzz(func(t *testing.T, raw []byte) {
		var got WriteResponse
		if err := NewCodec().Unmarshal(mem.BufferSlice{mem.SliceBuffer(raw)}, &got); err != nil {
			return
		}
		var generated pb.WriteResponse
		if err := proto.Unmarshal(raw, &generated); err == nil && len(generated.Acks) != len(got.Acks) {
			t.Fatalf("%d acks, generated code reads %d", len(got.Acks), len(generated.Acks))
		}
	})
}

func BenchmarkAppendEntry(b *testing.B) {
	m := &logdriver.Message{Line: bytes.Repeat([]byte("x"), 100), Source: "stdout", Timestamp: time.Unix(1, 1)}
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendEntry(buf[:0], m)
	}
}

func BenchmarkDecodeEntry(b *testing.B) {
	m := &logdriver.Message{Line: bytes.Repeat([]byte("x"), 100), Source: "stdout", Timestamp: time.Unix(1, 1)}
	entry, _, _ := nextElement(AppendEntry(nil, m), tagBatchEntry)
	var dec Decoder
	out := logdriver.NewMessage()
	b.ReportAllocs()
	for b.Loop() {
		out.Reset()
		if err := dec.DecodeEntry(entry, out); err != nil {
			b.Fatal(err)
		}
	}
}

// TestHotPathAllocatesNothing holds both codecs to their promise.
func TestHotPathAllocatesNothing(t *testing.T) {
	m := &logdriver.Message{
		Line: bytes.Repeat([]byte("x"), 100), Source: "stdout", Timestamp: time.Unix(1, 1),
		Attrs:   []logdriver.Attr{{Key: "k", Value: "v"}},
		Partial: logdriver.Partial{ID: "abc", Ordinal: 1},
	}
	buf := make([]byte, 0, 1024)
	entry, _, _ := nextElement(AppendEntry(nil, m), tagBatchEntry)
	var dec Decoder
	out := logdriver.NewMessage()
	allocs := testing.AllocsPerRun(1000, func() {
		buf = AppendEntry(buf[:0], m)
		out.Reset()
		if err := dec.DecodeEntry(entry, out); err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Fatalf("%v allocations a message", allocs)
	}
}
