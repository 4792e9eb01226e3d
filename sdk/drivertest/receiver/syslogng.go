package receiver

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// StartSyslogNG runs syslog-ng, at path, with its files in a directory whose path
// is short enough for sockets. Clients of TLS must have a certificate of certs.CA.
func StartSyslogNG(ctx context.Context, path, dir string, certs Certificates) (*Syslog, error) {
	s, err := newSyslog(dir, "tcp", "tcp/5424", "tcp+tls", "tcp+tls/5424", "udp", "udp/5424", "unix", "unix/5424", "unixgram", "unixgram/5424")
	if err != nil {
		return nil, err
	}
	conf := filepath.Join(dir, "syslog-ng.conf")
	tls := fmt.Sprintf(syslogNGTLS, certs.ServerKey, certs.ServerCert, certs.CA)
	text := fmt.Sprintf(syslogNGConf, s.port("tcp"), s.port("tcp/5424"), s.port("tcp+tls"), tls, s.port("tcp+tls/5424"), tls,
		s.port("udp"), s.port("udp/5424"), s.addresses["unix"], s.addresses["unix/5424"], s.addresses["unixgram"], s.addresses["unixgram/5424"], s.file)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return nil, err
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	s.Process, err = Start(ctx, Command{
		Path: path,
		Args: []string{
			"--foreground", "--no-caps", "--cfgfile", conf, "--pidfile", in("pid"),
			"--persist-file", in("persist"), "--control", in("ctl"),
		},
		Dir:   dir,
		Ready: s.listening,
	})
	return s, err
}

const syslogNGTLS = `tls(key-file("%s") cert-file("%s") ca-file("%s") peer-verify(required-trusted))`

const syslogNGConf = `@version: 3.35
options { keep-hostname(yes); chain-hostnames(no); use-dns(no); dns-cache(no); keep-timestamp(yes); stats-freq(0); log-msg-size(65536); };
source all {
	network(ip("127.0.0.1") port(%s) transport("tcp"));
	syslog(ip("127.0.0.1") port(%s) transport("tcp"));
	network(ip("127.0.0.1") port(%s) transport("tls") %s);
	syslog(ip("127.0.0.1") port(%s) transport("tls") %s);
	network(ip("127.0.0.1") port(%s) transport("udp"));
	syslog(ip("127.0.0.1") port(%s) transport("udp"));
	unix-stream("%s");
	unix-stream("%s" flags(syslog-protocol));
	unix-dgram("%s");
	unix-dgram("%s" flags(syslog-protocol));
};
destination out {
	file("%s" frac-digits(6) ts-format(iso)
		template("{\"pri\":${PRI},\"time\":\"${ISODATE}\",\"data\":$(if ('${SDATA}' eq '') '{}' $(format-json --scope sdata --rekey .SDATA.* --shift 7)),$(substr $(format-json host=${HOST} app=${PROGRAM} proc=${PID} msgid=${MSGID} text=${MESSAGE}) 1)\n"));
};
log { source(all); destination(out); flags(flow-control); };
`
