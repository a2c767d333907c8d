//go:build unix

// Faulty is a small, correct OAuth connector that has one fault at a time, by
// the name of the check that must find it. It proves the suite. It serves by
// means of its own: no SDK, no library for plugins.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/boxconnection/connector/proto/handshake"
)

func main() { os.Exit(serve(os.Args[1:])) }

// fault is the name of the fault that is switched on, empty for none.
type fault string

func (f fault) is(names ...string) bool { return slices.Contains(names, string(f)) }

func serve(args []string) int {
	var f fault
	if len(args) > 0 {
		f = fault(args[0])
	}
	if os.Getenv(handshake.CookieKey) != handshake.CookieValue {
		fmt.Fprintln(os.Stderr, "A connector for the conformance suite's own tests.")
		if f.is("process.cookie") {
			return 0
		}
		return 1
	}
	if f.is("suite.crash") {
		return 7
	}
	if f.is("suite.hang") {
		select {}
	}
	if !f.is("network.environment") {
		_, _ = os.Unsetenv("SSL_CERT_FILE"), os.Unsetenv("SSL_CERT_DIR")
	}
	death := os.Getenv(handshake.DeathFD)
	if !f.is("process.children") {
		_, _ = os.Unsetenv(handshake.CookieKey), os.Unsetenv(handshake.DeathFD)
	}
	p := &process{fault: f}
	if err := p.run(death); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// process is the connector's process.
type process struct {
	fault
	socket string
	*server
}

func (p *process) run(death string) error {
	if !p.is("process.interrupt") {
		signal.Ignore(syscall.SIGINT)
	}
	listener, err := p.listen()
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }()
	config, field, err := p.tls()
	if err != nil {
		return err
	}
	p.server = newServer(p.fault, config)
	if death != "" {
		go p.watch()
	}
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	go func() {
		<-terminated
		if p.is("process.terminate") {
			os.Exit(3)
		}
		p.grpc.GracefulStop()
	}()
	if p.is("process.quiet") {
		fmt.Println("Hello!")
	}
	line := fmt.Sprintf("1|%d|unix|%s|grpc|%s", p.version(), p.socket, field)
	if p.is("process.handshake") {
		line += "|false"
	}
	if p.is("process.version-none") && p.version() == 1 && !offers("1") {
		return fmt.Errorf("no version in common")
	}
	fmt.Println(line)
	if p.is("suite.noise") {
		go func() {
			for {
				fmt.Println(strings.Repeat("noise ", 1000))
				fmt.Fprintln(os.Stderr, strings.Repeat("noise ", 1000))
			}
		}()
	}
	return p.grpc.Serve(listener)
}

func offers(version string) bool {
	return slices.Contains(strings.Split(os.Getenv("PLUGIN_PROTOCOL_VERSIONS"), ","), version)
}

func (p *process) version() int {
	if p.is("process.version-highest") && offers("1") && offers("97") {
		return 97
	}
	return 1
}

func (p *process) listen() (net.Listener, error) {
	dir := os.Getenv(handshake.SocketDir)
	if dir == "" {
		dir = os.TempDir()
	}
	name := fmt.Sprintf("plugin%d", os.Getpid())
	if p.is("process.socket-place") {
		name = "socket"
	}
	p.socket = filepath.Join(dir, name)
	syscall.Umask(0o077)
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "unix", p.socket)
	if err == nil && p.is("process.socket-mode") {
		err = os.Chmod(p.socket, 0o777) //nolint:gosec // the fault
	}
	return l, err
}

// tls makes the certificate, and the handshake line's field with it.
func (p *process) tls() (*tls.Config, string, error) {
	given := os.Getenv("PLUGIN_CLIENT_CERT")
	if given == "" {
		return nil, "", nil
	}
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM([]byte(given))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, "", err
	}
	var private any = key
	var public any = key.Public()
	switch {
	case p.is("transport.tls-version"):
		c.MinVersion = tls.VersionTLS10 //nolint:gosec // the fault
		c.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
	case p.is("transport.stranger-bare"):
		c.ClientAuth = tls.VerifyClientCertIfGiven
	case p.is("transport.stranger-other"):
		c.ClientAuth = tls.RequireAnyClientCert
	case p.is("transport.certificate"):
		fixed := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
		private, public = fixed, fixed.Public()
		template.SerialNumber = big.NewInt(1)
		template.NotBefore, template.NotAfter = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	c.Certificates = []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: private}}
	return c, base64.RawStdEncoding.EncodeToString(der), err
}

// watch ends the process with its host.
func (p *process) watch() {
	syscall.CloseOnExec(3)
	pipe := os.NewFile(3, "host")
	for {
		if _, err := pipe.Read(make([]byte, 1)); err != nil {
			break
		}
	}
	busy := p.active.Load() > 0
	if p.is("process.host-gone") && !busy || p.is("process.host-gone-busy") && busy {
		return
	}
	if !p.is("process.host-gone-socket") {
		_ = os.Remove(p.socket)
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
}
