package remote

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"github.com/logplug/logplug/shared/logdriver"
)

// maxPEMBytes bounds a file of certificates or a key: 4 MiB.
const maxPEMBytes = 4 << 20

// TLSOptions adds options about TLS to a driver's struct. Embedded as it is, they
// are called "tls-ca-cert", "tls-cert" and so on; a field of this type with the
// tag `logplug:"syslog-,prefix"` calls them "syslog-tls-ca-cert" and so on.
type TLSOptions struct {
	CACert     string `logplug:"tls-ca-cert" help:"PEM file of the authorities that may sign the server's certificate; not given: those of the system"`
	Cert       string `logplug:"tls-cert" help:"PEM file of the client's certificate, with intermediate ones after it; needs the key"`
	Key        string `logplug:"tls-key" help:"PEM file of the client certificate's private key"`
	SkipVerify bool   `logplug:"tls-skip-verify" help:"Accept any certificate of the server: whoever is on the way can read and change what is sent"`
	ServerName string `logplug:"tls-server-name" help:"Name that the server's certificate must have; not given: the host in the address"`
}

// Given tells whether any of the options was given.
func (o *TLSOptions) Given() bool { return *o != TLSOptions{} }

// Config reads the files and returns a configuration for clients: TLS 1.2 or
// later. prefix is what the driver put before the names of the options, and
// serverName what the certificate must be for unless the options say otherwise;
// it may be empty if whoever dials fills it in.
//
// Errors are *logdriver.OptionError, joined if there are several, that name the
// option and the file.
func (o *TLSOptions) Config(prefix, serverName string) (*tls.Config, error) {
	var errs []error
	refuse := func(option, reason string) {
		errs = append(errs, &logdriver.OptionError{Option: prefix + option, Reason: reason})
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: serverName, InsecureSkipVerify: o.SkipVerify}
	if o.ServerName != "" {
		cfg.ServerName = o.ServerName
	}
	if o.CACert != "" {
		pool, reason := readPool(o.CACert)
		if reason != "" {
			refuse("tls-ca-cert", reason)
		}
		cfg.RootCAs = pool
	}
	switch {
	case o.Cert != "" && o.Key == "":
		refuse("tls-key", fmt.Sprintf("is needed with %stls-cert: the private key of that certificate", prefix))
	case o.Cert == "" && o.Key != "":
		refuse("tls-cert", fmt.Sprintf("is needed with %stls-key: the certificate of that key", prefix))
	case o.Cert != "":
		pair, err := o.readPair(prefix)
		if err != nil {
			errs = append(errs, err)
			break
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, errors.Join(errs...)
}

// readPool reads certificates of authorities, or returns what is wrong.
func readPool(path string) (*x509.CertPool, string) {
	pem, err := readPEM(path)
	if err != nil {
		return nil, err.Error()
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Sprintf("the file %s holds no certificate in PEM format", path)
	}
	return pool, ""
}

func (o *TLSOptions) readPair(prefix string) (tls.Certificate, error) {
	cert, err := readPEM(o.Cert)
	if err != nil {
		return tls.Certificate{}, &logdriver.OptionError{Option: prefix + "tls-cert", Reason: err.Error()}
	}
	key, err := readPEM(o.Key)
	if err != nil {
		return tls.Certificate{}, &logdriver.OptionError{Option: prefix + "tls-key", Reason: err.Error()}
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		reason := fmt.Sprintf("the certificate in %s and the key in %s do not go together: %v", o.Cert, o.Key, err)
		return tls.Certificate{}, &logdriver.OptionError{Option: prefix + "tls-cert", Reason: reason}
	}
	return pair, nil
}

// readPEM reads a regular file of a sane size: the text of its errors is for users.
func readPEM(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("cannot read the file: %w", err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file", path)
	case info.Size() > maxPEMBytes:
		return nil, fmt.Errorf("the file %s has %d bytes, more than the %d that are read", path, info.Size(), maxPEMBytes)
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the file: %w", err)
	}
	return pem, nil
}
