package wire

import (
	"strings"
	"time"

	"github.com/logplug/logplug/shared/logdriver"
	pb "github.com/logplug/logplug/shared/proto/logplug/v1"
)

func toValidUTF8(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// InfoToProto converts i. Text that is not valid UTF-8 gets U+FFFD for what is
// not, since protobuf strings cannot hold it.
func InfoToProto(i *logdriver.Info) *pb.Info {
	p := &pb.Info{
		Config:                   validMap(i.Config),
		ContainerId:              toValidUTF8(i.ContainerID),
		ContainerName:            toValidUTF8(i.ContainerName),
		ContainerEntrypoint:      toValidUTF8(i.ContainerEntrypoint),
		ContainerArgs:            validSlice(i.ContainerArgs),
		ContainerImageId:         toValidUTF8(i.ContainerImageID),
		ContainerImageName:       toValidUTF8(i.ContainerImageName),
		ContainerCreatedUnixNano: optionalTime(i.ContainerCreated),
		ContainerEnv:             validSlice(i.ContainerEnv),
		ContainerLabels:          validMap(i.ContainerLabels),
		LogPath:                  toValidUTF8(i.LogPath),
		DaemonName:               toValidUTF8(i.DaemonName),
		Stream:                   toValidUTF8(i.Stream),
	}
	return p
}

// InfoFromProto converts p; nil gives the zero Info.
func InfoFromProto(p *pb.Info) logdriver.Info {
	return logdriver.Info{
		Config:              p.GetConfig(),
		ContainerID:         p.GetContainerId(),
		ContainerName:       p.GetContainerName(),
		ContainerEntrypoint: p.GetContainerEntrypoint(),
		ContainerArgs:       p.GetContainerArgs(),
		ContainerImageID:    p.GetContainerImageId(),
		ContainerImageName:  p.GetContainerImageName(),
		ContainerCreated:    timeFromOptional(p.GetContainerCreatedUnixNano(), p != nil && p.ContainerCreatedUnixNano != nil),
		ContainerEnv:        p.GetContainerEnv(),
		ContainerLabels:     p.GetContainerLabels(),
		LogPath:             p.GetLogPath(),
		DaemonName:          p.GetDaemonName(),
		Stream:              p.GetStream(),
	}
}

// ReadConfigToProto converts c.
func ReadConfigToProto(c logdriver.ReadConfig) *pb.ReadConfig {
	return &pb.ReadConfig{
		SinceUnixNano: optionalTime(c.Since),
		UntilUnixNano: optionalTime(c.Until),
		Tail:          int64(c.Tail),
		Follow:        c.Follow,
	}
}

// ReadConfigFromProto converts p. No configuration at all means all messages.
func ReadConfigFromProto(p *pb.ReadConfig) logdriver.ReadConfig {
	if p == nil {
		return logdriver.ReadConfig{Tail: -1}
	}
	return logdriver.ReadConfig{
		Since:  timeFromOptional(p.GetSinceUnixNano(), p.SinceUnixNano != nil),
		Until:  timeFromOptional(p.GetUntilUnixNano(), p.UntilUnixNano != nil),
		Tail:   int(p.GetTail()),
		Follow: p.GetFollow(),
	}
}

// DescriptionToProto converts d.
func DescriptionToProto(d *logdriver.Description) *pb.DescribeResponse {
	p := &pb.DescribeResponse{
		Name:        d.Name,
		Version:     d.Version,
		Summary:     d.Summary,
		ProtocolMin: int32(d.Protocol.Min),
		ProtocolMax: int32(d.Protocol.Max),
		Capability:  CapabilityToProto(d.Capability),
		Needs:       needsToProto(&d.Needs),
	}
	for _, o := range d.Options {
		p.Options = append(p.Options, &pb.Option{
			Name: o.Name, Type: string(o.Type), Default: o.Default, Values: o.Values,
			Required: o.Required, Secret: o.Secret, Help: o.Help,
		})
	}
	return p
}

// DescriptionFromProto converts p.
func DescriptionFromProto(p *pb.DescribeResponse) logdriver.Description {
	d := logdriver.Description{
		Name:       p.GetName(),
		Version:    p.GetVersion(),
		Summary:    p.GetSummary(),
		Protocol:   logdriver.VersionRange{Min: int(p.GetProtocolMin()), Max: int(p.GetProtocolMax())},
		Capability: CapabilityFromProto(p.GetCapability()),
		Needs:      needsFromProto(p.GetNeeds()),
	}
	for _, o := range p.GetOptions() {
		d.Options = append(d.Options, logdriver.Option{
			Name: o.GetName(), Type: logdriver.OptionType(o.GetType()), Default: o.GetDefault(), Values: o.GetValues(),
			Required: o.GetRequired(), Secret: o.GetSecret(), Help: o.GetHelp(),
		})
	}
	return d
}

// needsToProto converts n; no needs give nil.
func needsToProto(n *logdriver.Needs) *pb.Needs {
	if n.IsZero() {
		return nil
	}
	return &pb.Needs{
		Network: n.Network, ConnectPorts: portsToProto(n.ConnectPorts), ListenPorts: portsToProto(n.ListenPorts),
		WritePaths: validSlice(n.WritePaths), Root: n.Root,
	}
}

func needsFromProto(p *pb.Needs) logdriver.Needs {
	return logdriver.Needs{
		Network: p.GetNetwork(), ConnectPorts: portsFromProto(p.GetConnectPorts()), ListenPorts: portsFromProto(p.GetListenPorts()),
		WritePaths: p.GetWritePaths(), Root: p.GetRoot(),
	}
}

func portsToProto(ports []int) (out []uint32) {
	for _, p := range ports {
		out = append(out, uint32(p))
	}
	return out
}

func portsFromProto(ports []uint32) (out []int) {
	for _, p := range ports {
		out = append(out, int(p))
	}
	return out
}

// CapabilityToProto converts c.
func CapabilityToProto(c logdriver.Capability) *pb.Capability {
	return &pb.Capability{ReadLogs: c.ReadLogs}
}

// CapabilityFromProto converts p; nil means no capabilities.
func CapabilityFromProto(p *pb.Capability) logdriver.Capability {
	return logdriver.Capability{ReadLogs: p.GetReadLogs()}
}

func optionalTime(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	n := UnixNano(t)
	return &n
}

func timeFromOptional(n int64, ok bool) time.Time {
	if !ok {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

// The times that a count of nanoseconds since 1970 in 64 bits can tell.
var (
	minTime = time.Unix(0, -1<<63)
	maxTime = time.Unix(0, 1<<63-1)
)

// UnixNano is t.UnixNano with times out of its range moved to the nearest end.
func UnixNano(t time.Time) int64 {
	switch {
	case t.Before(minTime):
		return -1 << 63
	case t.After(maxTime):
		return 1<<63 - 1
	}
	return t.UnixNano()
}

func validSlice(in []string) []string {
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = toValidUTF8(s)
	}
	return out
}

func validMap(in map[string]string) map[string]string {
	out := make(map[string]string, len(in))
	for k, v := range in {
		out[toValidUTF8(k)] = toValidUTF8(v)
	}
	return out
}
