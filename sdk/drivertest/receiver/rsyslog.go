package receiver

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// StartRsyslog runs rsyslogd, at path, with its files in a directory whose path is
// short enough for sockets. Clients of TLS must have a certificate of certs.CA.
func StartRsyslog(ctx context.Context, path, dir string, certs Certificates) (*Syslog, error) {
	s, err := newSyslog(dir, "tcp", "tcp+tls", "udp", "unix", "unixgram")
	if err != nil {
		return nil, err
	}
	conf := filepath.Join(dir, "rsyslog.conf")
	text := fmt.Sprintf(rsyslogConf, dir, certs.CA, certs.ServerCert, certs.ServerKey, s.file,
		s.port("tcp"), s.addresses["unix"], s.port("tcp+tls"), s.port("udp"), s.addresses["unixgram"])
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return nil, err
	}
	s.Process, err = Start(ctx, Command{
		Path:  path,
		Args:  []string{"-n", "-f", conf, "-i", filepath.Join(dir, "rsyslog.pid")},
		Dir:   dir,
		Ready: s.listening,
	})
	return s, err
}

// rsyslogConf: messages come as they are, and are understood by the daemon's own
// parsers.
const rsyslogConf = `global(
	workDirectory="%s"
	parser.escapeControlCharactersOnReceive="off"
	defaultNetstreamDriverCAFile="%s"
	defaultNetstreamDriverCertFile="%s"
	defaultNetstreamDriverKeyFile="%s"
	net.enableDNS="off"
)
module(load="mmpstrucdata")
module(load="imptcp")
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="x509/certvalid")
module(load="imudp")
module(load="imuxsock" sysSock.use="off")

template(name="record" type="list") {
	constant(value="{\"pri\":")
	property(name="pri")
	constant(value=",\"time\":\"")
	property(name="timereported" dateFormat="rfc3339")
	constant(value="\",")
	property(outname="host" name="hostname" format="jsonf")
	constant(value=",")
	property(outname="app" name="app-name" format="jsonf")
	constant(value=",")
	property(outname="proc" name="procid" format="jsonf")
	constant(value=",")
	property(outname="msgid" name="msgid" format="jsonf")
	constant(value=",")
	property(outname="text" name="msg" format="jsonf")
	constant(value=",")
	property(outname="data" name="$!rfc5424-sd" format="jsonf")
	constant(value="}\n")
}
ruleset(name="all") {
	action(type="mmpstrucdata" sd_name.lowercase="off")
	action(type="omfile" file="%s" template="record")
}
input(type="imptcp" address="127.0.0.1" port="%s" ruleset="all")
input(type="imptcp" path="%s" unlink="on" ruleset="all")
input(type="imtcp" address="127.0.0.1" port="%s" ruleset="all")
input(type="imudp" address="127.0.0.1" port="%s" ruleset="all")
input(type="imuxsock" socket="%s" useSpecialParser="off" parseHostname="on" ignoreTimestamp="off" useSysTimeStamp="off" ruleset="all")
`
