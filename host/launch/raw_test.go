//go:build unix

package launch_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/boxconnection/connector/proto/handshake"
)

// runRaw is a plugin without go-plugin and gRPC: HTTP/2 by hand, to do what
// those would not.
func runRaw(mode string) {
	folder := os.Getenv(handshake.SocketDir)
	if mode == "elsewhere" {
		folder = filepath.Dir(folder)
	}
	listener, err := net.Listen("unix", filepath.Join(folder, "plugin1"))
	if err != nil {
		panic(err)
	}
	announced := certificate()
	served := announced
	if mode == "stranger" {
		served = certificate()
	}
	field := base64.RawStdEncoding.EncodeToString(announced.Certificate[0])
	if mode == "nocert" {
		field = ""
	}
	fmt.Printf("1|%d|unix|%s|grpc|%s\n", handshake.Version, listener.Addr(), field)
	if mode == "elsewhere" {
		_ = os.Remove(listener.Addr().String())
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{
		Handler: http.HandlerFunc(rawHandler), Protocols: protocols, ReadHeaderTimeout: time.Minute,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{served}, ClientAuth: tls.RequireAnyClientCert, NextProtos: []string{"h2"}},
	}
	if mode == "plain" {
		err = server.Serve(listener)
	} else {
		err = server.ServeTLS(listener, "", "")
	}
	panic(err)
}

func certificate() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// rawHandler answers health checks, and every command with what it names.
func rawHandler(w http.ResponseWriter, r *http.Request) {
	message := func(length uint32, body ...byte) {
		_, _ = w.Write(append(binary.BigEndian.AppendUint32([]byte{0}, length), body...))
	}
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Trailer", "Grpc-Status, Grpc-Message")
	if strings.HasPrefix(r.URL.Path, "/grpc.health.v1.Health/") {
		message(2, 8, 1) // SERVING
		w.Header().Set("Grpc-Status", "0")
		return
	}
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<10))
	command := string(body)
	switch {
	case strings.Contains(command, "claims"): // 2 GiB, of which a little comes
		message(1<<31-1, make([]byte, 1<<20)...)
	case strings.Contains(command, "garbage"):
		message(3, 0xff, 0xff, 0xff)
	case strings.Contains(command, "headers"):
		w.Header().Set("X-Large", strings.Repeat("h", 1<<20))
		message(0)
	case strings.Contains(command, "trailers"):
		message(0)
		w.Header().Set("Grpc-Message", strings.Repeat("m", 1<<20))
		w.Header().Set("Grpc-Status", "2")
		return
	case strings.Contains(command, "cut"):
		message(100, 1, 2, 3)
	case strings.Contains(command, "html"):
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<html>")
	}
	w.Header().Set("Grpc-Status", "0")
}
