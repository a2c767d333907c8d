// Command webdav-service is a WebDAV server on a loopback address that speaks
// the control protocol of the conformance suite. It prints one line of JSON
// with its addresses, and ends when its standard input is closed.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/boxconnection/connector/conformance/interop/webdav/internal/service"
)

func main() {
	if err := run(); err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "webdav-service: %v\n", err)
		os.Exit(1)
	}
}

func run() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	base := "http://" + l.Addr().String()
	s := service.New()
	if err := json.NewEncoder(os.Stdout).Encode(map[string]string{
		"folder_url": base + "/team/", "user": s.User, "password": s.Password,
		"control_url": base + "/_control", "control_token": s.Control,
	}); err != nil {
		return err
	}
	failed := make(chan error, 1)
	server := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	go func() { failed <- server.Serve(l) }()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, os.Stdin)
	}()
	select {
	case err := <-failed:
		return err
	case <-ended:
		return server.Close()
	}
}
