package rawclient

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Line is a handshake line, taken apart as far as that goes. Faults hold what
// is wrong with its form; a line with faults may still do for a connection.
type Line struct {
	Raw         string
	Version     int // of the contract
	Network     string
	Address     string
	Certificate *x509.Certificate // nil if the sixth field is empty or unreadable
	DER         []byte            // what the sixth field holds
	Faults      []string
}

// errNoLine says that a line isn't a handshake.
var errNoLine = errors.New("no handshake line")

// parseLine reads a line generously: what a connection needs must be there.
func parseLine(raw string) (*Line, error) {
	l := &Line{Raw: raw}
	fault := func(format string, args ...any) { l.Faults = append(l.Faults, fmt.Sprintf(format, args...)) }
	if strings.HasSuffix(raw, "\r") {
		fault("it ends in a carriage return")
		raw = strings.TrimSuffix(raw, "\r")
	}
	fields := strings.Split(raw, "|")
	if len(fields) < 5 {
		return nil, errNoLine
	}
	if len(fields) != 6 {
		fault("it has %d fields, not 6", len(fields))
	}
	if fields[0] != "1" {
		fault("field 1 isn't 1")
	}
	var err error
	if l.Version, err = strconv.Atoi(fields[1]); err != nil || l.Version < 0 {
		return nil, errNoLine
	}
	l.Network, l.Address = fields[2], fields[3]
	if (l.Network != "unix" && l.Network != "tcp") || l.Address == "" {
		return nil, errNoLine
	}
	if l.Network == "unix" && len(l.Address) > maxSocketPath {
		fault("the socket's path has %d bytes, more than %d", len(l.Address), maxSocketPath)
	}
	if fields[4] != "grpc" {
		fault("field 5 isn't grpc")
	}
	if len(fields) > 5 && fields[5] != "" {
		l.certificate(fields[5], fault)
	}
	return l, nil
}

func (l *Line) certificate(field string, fault func(string, ...any)) {
	der, err := base64.RawStdEncoding.DecodeString(field)
	if err != nil {
		if der, err = base64.RawStdEncoding.DecodeString(strings.TrimRight(field, "=")); err != nil {
			fault("field 6 isn't base64 of the standard alphabet")
			return
		}
		fault("field 6 is padded")
	}
	l.DER = der
	if l.Certificate, err = x509.ParseCertificate(der); err != nil {
		fault("field 6 isn't a certificate")
	}
}
