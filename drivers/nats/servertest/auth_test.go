package servertest

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"github.com/logplug/logplug/sdk/drivertest/receiver"
	"github.com/logplug/logplug/shared/logdriver"
)

// works checks that the options are good for writing and reading.
func works(t *testing.T, n *node, config map[string]string) {
	t.Helper()
	m := newMachine(n, config)
	m.config["nats-timeout"] = "1m"
	w := m.open(t, "id")
	write(t, w, numbered(1, 5))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	same(t, m.read(t, "id", logdriver.ReadConfig{Tail: -1}), 1, 5)
}

// refused checks that the server refuses the options, that this is told, and that
// nothing of a secret is.
func refused(t *testing.T, n *node, config map[string]string, says string) {
	t.Helper()
	var out locked
	old := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&out, nil)))
	defer slog.SetDefault(old)
	config["nats-timeout"] = "500ms"
	m := newMachine(n, config)
	w := m.open(t, "refused")
	defer w.Close()
	eventually(t, "the error says "+says, func() bool { // it says something else until a server has answered
		err := w.LogBatch(t.Context(), numbered(1, 1))
		if err == nil {
			t.Fatal("the message is stored")
		}
		if strings.Contains(err.Error()+out.String(), "s3cret") {
			t.Fatalf("a secret is in %q or %q", err, out.String())
		}
		return strings.Contains(strings.ToLower(err.Error()), says)
	})
}

// locked is a buffer for several goroutines.
type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func file(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestToken(t *testing.T) {
	n := startNode(t, func(o *server.Options) { o.Authorization = "s3cret" })
	works(t, n, map[string]string{"nats-token": "s3cret"})
	refused(t, n, map[string]string{"nats-token": "s3cret-wrong"}, "authorization")
	refused(t, n, map[string]string{}, "authorization")
}

func TestUser(t *testing.T) {
	n := startNode(t, func(o *server.Options) { o.Username, o.Password = "joe", "s3cret" })
	works(t, n, map[string]string{"nats-user": "joe", "nats-password": "s3cret"})
	refused(t, n, map[string]string{"nats-user": "joe", "nats-password": "s3cret-wrong"}, "authorization")
}

func TestNKey(t *testing.T) {
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err := user.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := user.Seed()
	if err != nil {
		t.Fatal(err)
	}
	n := startNode(t, func(o *server.Options) { o.Nkeys = []*server.NkeyUser{{Nkey: public}} })
	works(t, n, map[string]string{"nats-nkey": file(t, "seed", seed)})
	refused(t, n, map[string]string{"nats-token": "s3cret"}, "authorization")
}

func TestCredentials(t *testing.T) {
	operator, err := nkeys.CreateOperator()
	must(t, err)
	account, err := nkeys.CreateAccount()
	must(t, err)
	user, err := nkeys.CreateUser()
	must(t, err)
	public := func(k nkeys.KeyPair) string {
		p, err := k.PublicKey()
		must(t, err)
		return p
	}
	oc := jwt.NewOperatorClaims(public(operator))
	operatorJWT, err := oc.Encode(operator)
	must(t, err)
	ac := jwt.NewAccountClaims(public(account))
	ac.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1}
	accountJWT, err := ac.Encode(operator)
	must(t, err)
	userJWT, err := jwt.NewUserClaims(public(user)).Encode(account)
	must(t, err)
	seed, err := user.Seed()
	must(t, err)
	creds, err := jwt.FormatUserConfig(userJWT, seed)
	must(t, err)
	trusted, err := jwt.DecodeOperatorClaims(operatorJWT)
	must(t, err)
	resolver := &server.MemAccResolver{}
	must(t, resolver.Store(public(account), accountJWT))
	system, err := nkeys.CreateAccount()
	must(t, err)
	systemJWT, err := jwt.NewAccountClaims(public(system)).Encode(operator)
	must(t, err)
	must(t, resolver.Store(public(system), systemJWT))
	n := startNode(t, func(o *server.Options) {
		o.TrustedOperators, o.AccountResolver, o.SystemAccount = []*jwt.OperatorClaims{trusted}, resolver, public(system)
	})
	works(t, n, map[string]string{"nats-credentials": file(t, "user.creds", creds)})
	// A file that is mended while it is in use.
	path := file(t, "later.creds", []byte("s3cret"))
	m := newMachine(n, map[string]string{"nats-credentials": path, "nats-timeout": "200ms"})
	w := closing(t, m.open(t, "later"))
	if err := w.LogBatch(t.Context(), numbered(1, 1)); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("%v", err)
	}
	must(t, os.WriteFile(path, creds, 0o600))
	eventually(t, "the new file is taken", func() bool { return w.LogBatch(t.Context(), numbered(1, 1)) == nil })
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// certificates returns those of an authority of their own.
func certificates(t *testing.T) receiver.Certificates {
	t.Helper()
	certs, err := receiver.NewCertificates(t.TempDir())
	must(t, err)
	return certs
}

func TestTLS(t *testing.T) {
	certs, other := certificates(t), certificates(t)
	pair, err := tls.LoadX509KeyPair(certs.ServerCert, certs.ServerKey)
	must(t, err)
	ca, err := os.ReadFile(certs.CA)
	must(t, err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	n := startNode(t, func(o *server.Options) {
		o.TLS, o.TLSVerify, o.TLSTimeout = true, true, 5
		o.TLSConfig = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, MinVersion: tls.VersionTLS12}
	})
	good := func() map[string]string {
		return map[string]string{"nats-tls-ca-cert": certs.CA, "nats-tls-cert": certs.ClientCert, "nats-tls-key": certs.ClientKey}
	}
	works(t, n, good())
	config := good()
	config["nats-tls-ca-cert"] = other.CA
	refused(t, n, config, "certificate")
	config["nats-tls-skip-verify"] = "true"
	works(t, n, config)
	config = good()
	config["nats-tls-cert"], config["nats-tls-key"] = other.ClientCert, other.ClientKey
	refused(t, n, config, "not connected")
}

// The permissions that README.md names suffice.
func TestPermissions(t *testing.T) {
	reading := []string{
		"$JS.API.STREAM.MSG.GET.LOGPLUG", "$JS.API.CONSUMER.*.LOGPLUG.>", "$JS.API.CONSUMER.MSG.NEXT.LOGPLUG.>",
	}
	writing := []string{
		"logs.id", "$JS.API.STREAM.INFO.LOGPLUG", "$JS.API.STREAM.MSG.GET.LOGPLUG", "$JS.API.STREAM.CREATE.LOGPLUG",
	}
	user := func(name string, publish ...string) *server.User {
		return &server.User{Username: name, Password: "s3cret", Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Allow: publish}, Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX.>"}},
		}}
	}
	n := startNode(t, func(o *server.Options) {
		o.Users = []*server.User{user("reader", reading...), user("writer", writing...), user("both", append(reading, writing...)...)}
	})
	as := func(name string) map[string]string {
		return map[string]string{"nats-user": name, "nats-password": "s3cret", "nats-timeout": "1m"}
	}
	works(t, n, as("both"))
	w := newMachine(n, as("writer")).open(t, "id")
	write(t, w, numbered(6, 10))
	must(t, w.Close())
	r := newMachine(n, as("reader"))
	same(t, r.read(t, "id", logdriver.ReadConfig{Tail: -1}), 1, 10)
}
