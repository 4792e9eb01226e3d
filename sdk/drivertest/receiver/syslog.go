package receiver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Syslog is a syslog daemon that writes what it receives to a file. It forgets
// nothing when it is killed and started again but what it had in memory.
type Syslog struct {
	*Process
	file      string
	addresses map[string]string
}

// SyslogRecord is a message as the daemon has understood it.
type SyslogRecord struct {
	// Priority is PRI: facility * 8 + severity.
	Priority int
	// Time is the message's own, with the resolution of its format.
	Time                           time.Time
	Host, App, ProcID, MsgID, Text string
	// Data is the structured data: SD-ID, PARAM-NAME, value.
	Data map[string]map[string]any
}

// Address returns where the daemon takes messages with a transport, "tcp",
// "tcp+tls", "udp", "unix" or "unixgram", in the form TRANSPORT://ADDRESS. Some
// daemons want to know beforehand whether they are in the format of RFC 5424, on
// streams with octet counting.
func (s *Syslog) Address(transport string, rfc5424 bool) string {
	if a, ok := s.addresses[transport+"/5424"]; ok && rfc5424 {
		return transport + "://" + a
	}
	return transport + "://" + s.addresses[transport]
}

// Records returns all messages so far. A record that is cut off, as by a kill, is
// left out.
func (s *Syslog) Records() ([]SyslogRecord, error) {
	data, err := os.ReadFile(s.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	end := bytes.LastIndexByte(data, '\n')
	var records []SyslogRecord
	for line := range bytes.SplitSeq(data[:end+1], []byte{'\n'}) {
		if len(line) == 0 {
			continue
		}
		r, err := parseRecord(line)
		if err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	return records, nil
}

// recordStart is how each line of the file begins.
const recordStart = `{"pri":`

func parseRecord(line []byte) (SyslogRecord, error) {
	// After a kill a record may follow the beginning of another.
	if i := bytes.LastIndex(line, []byte(recordStart)); i > 0 {
		line = line[i:]
	}
	var fields struct {
		Pri                          json.Number
		Time                         string
		Host, App, Proc, Msgid, Text string
		Data                         json.RawMessage
	}
	if err := json.Unmarshal(line, &fields); err != nil {
		return SyslogRecord{}, fmt.Errorf("a record of the daemon, %q: %w", line, err)
	}
	r := SyslogRecord{Host: fields.Host, App: fields.App, ProcID: fields.Proc, MsgID: fields.Msgid, Text: fields.Text}
	pri, err := fields.Pri.Int64()
	r.Priority = int(pri)
	if err == nil {
		r.Time, err = time.Parse(time.RFC3339Nano, fields.Time)
	}
	if err == nil {
		r.Data, err = parseData(fields.Data)
	}
	if err != nil {
		return r, fmt.Errorf("a record of the daemon, %q: %w", line, err)
	}
	return r, nil
}

// parseData reads an object, or the text of one.
func parseData(raw json.RawMessage) (data map[string]map[string]any, err error) {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		raw = json.RawMessage(text)
	}
	if len(raw) == 0 {
		return nil, nil
	}
	return data, json.Unmarshal(raw, &data)
}

// listening returns nil once all of the daemon's addresses are in use.
func (s *Syslog) listening(context.Context) error {
	for transport, address := range s.addresses {
		transport, _, _ = strings.Cut(transport, "/")
		if err := isListening(transport, address); err != nil {
			return err
		}
	}
	return nil
}

func isListening(transport, address string) error {
	switch transport {
	case "udp":
		return udpIsBound(address)
	case "tcp+tls":
		transport = "tcp"
	}
	conn, err := net.DialTimeout(transport, address, time.Second)
	if err != nil {
		return err
	}
	return conn.Close()
}

// udpIsBound asks the system whether somebody receives at an address: sending
// something would show in the log.
func udpIsBound(address string) error {
	a, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		return err
	}
	table, err := os.ReadFile("/proc/net/udp")
	if err != nil {
		return err
	}
	if !bytes.Contains(table, fmt.Appendf(nil, ":%04X 00000000:0000", a.Port)) {
		return fmt.Errorf("nobody receives at %s", address)
	}
	return nil
}

// newSyslog chooses addresses, in a directory of its own. Names are as in
// Syslog.addresses.
func newSyslog(dir string, names ...string) (*Syslog, error) {
	s := &Syslog{file: filepath.Join(dir, "received"), addresses: make(map[string]string)}
	ports, err := FreePorts(len(names))
	if err != nil {
		return nil, err
	}
	for i, name := range names {
		if strings.HasPrefix(name, "unix") {
			s.addresses[name] = filepath.Join(dir, fmt.Sprintf("s%d", i))
			continue
		}
		s.addresses[name] = fmt.Sprintf("127.0.0.1:%d", ports[i])
	}
	return s, nil
}

// port returns the port of an address.
func (s *Syslog) port(name string) string {
	_, port, _ := net.SplitHostPort(s.addresses[name])
	return port
}
