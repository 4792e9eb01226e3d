package logdriver

// Limits of one message. A host splits longer lines into parts and refuses
// what exceeds the others with ErrMessageTooLarge.
const (
	// DefaultBufSize is the number of bytes above which a line is split where
	// neither the driver nor the user says otherwise: 16 KiB.
	DefaultBufSize = 16 << 10
	// MaxLineBytes is the most that the Line of one message may hold: 1 MiB.
	MaxLineBytes = 1 << 20
	// MaxSourceBytes is the most that Message.Source may hold.
	MaxSourceBytes = 256
	// MaxAttrs is the highest number of attributes of one message.
	MaxAttrs = 256
	// MaxAttrBytes is the most that keys and values of one message may hold
	// together: 64 KiB.
	MaxAttrBytes = 64 << 10
	// MaxPartialIDBytes is the most that Partial.ID may hold.
	MaxPartialIDBytes = 128
)

// Check returns ErrMessageTooLarge, wrapped with what exceeds which limit, if m
// cannot be carried to a driver in one piece.
func (m *Message) Check() error {
	if len(m.Line) > MaxLineBytes {
		return tooLarge("line", len(m.Line), MaxLineBytes)
	}
	return m.CheckMeta()
}

// CheckMeta is Check without regard to the line.
func (m *Message) CheckMeta() error {
	switch {
	case len(m.Source) > MaxSourceBytes:
		return tooLarge("source", len(m.Source), MaxSourceBytes)
	case len(m.Partial.ID) > MaxPartialIDBytes:
		return tooLarge("partial ID", len(m.Partial.ID), MaxPartialIDBytes)
	case len(m.Attrs) > MaxAttrs:
		return tooLarge("number of attributes", len(m.Attrs), MaxAttrs)
	}
	n := 0
	for i := range m.Attrs {
		n += len(m.Attrs[i].Key) + len(m.Attrs[i].Value)
	}
	if n > MaxAttrBytes {
		return tooLarge("attributes", n, MaxAttrBytes)
	}
	return nil
}
