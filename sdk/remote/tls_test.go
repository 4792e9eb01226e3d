package remote

import (
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/logplug/logplug/sdk/drivertest/receiver"
	"github.com/logplug/logplug/shared/logdriver"
)

func TestTLSOptions(t *testing.T) {
	dir := t.TempDir()
	certs, err := receiver.NewCertificates(dir)
	if err != nil {
		t.Fatal(err)
	}
	rubbish := filepath.Join(dir, "rubbish")
	if err := os.WriteFile(rubbish, []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, option, reason string
		opts                 TLSOptions
	}{
		{"nothing", "", "", TLSOptions{}},
		{"all", "", "", TLSOptions{CACert: certs.CA, Cert: certs.ClientCert, Key: certs.ClientKey, ServerName: "other"}},
		{"no file", "x-tls-ca-cert", "no such file", TLSOptions{CACert: filepath.Join(dir, "none")}},
		{"no certificate", "x-tls-ca-cert", rubbish, TLSOptions{CACert: rubbish}},
		{"a directory", "x-tls-ca-cert", "not a regular file", TLSOptions{CACert: dir}},
		{"no key", "x-tls-key", "is needed with x-tls-cert", TLSOptions{Cert: certs.ClientCert}},
		{"no certificate of the key", "x-tls-cert", "is needed with x-tls-key", TLSOptions{Key: certs.ClientKey}},
		{"key of another", "x-tls-cert", certs.ServerKey, TLSOptions{Cert: certs.ClientCert, Key: certs.ServerKey}},
		{"no key file", "x-tls-key", "none", TLSOptions{Cert: certs.ClientCert, Key: filepath.Join(dir, "none")}},
	} {
		cfg, err := tc.opts.Config("x-", "example.com")
		var opt *logdriver.OptionError
		switch {
		case tc.option == "" && err != nil:
			t.Errorf("%s: %v", tc.name, err)
		case tc.option == "" && (cfg.MinVersion != tls.VersionTLS12 || cfg.InsecureSkipVerify || cfg.ServerName == ""):
			t.Errorf("%s: %+v", tc.name, cfg)
		case tc.option != "" && (!errors.As(err, &opt) || opt.Option != tc.option || !strings.Contains(opt.Reason, tc.reason)):
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}
