package filestore

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode/utf8"

	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

// The names in a store's folder.
const (
	storeFile = "store.json"
	records   = "records"
	flows     = "flows"
	waits     = "waits"
	locks     = "locks"
	leases    = "leases"

	suffix     = ".json"
	tempSuffix = ".new"
)

var subfolders = []string{locks, leases, records, flows, waits}

// maxPart is the longest part of a name that is written out. Three of them and
// what stands around stay below the 255 bytes that file systems allow.
const maxPart = 60

const plain = "abcdefghijklmnopqrstuvwxyz0123456789-_"

// recordName returns the file name of a key's record.
func recordName(key store.Key) string {
	return recordPrefix(key.Owner, key.Environment) + escape(key.Connection) + suffix
}

// recordPrefix begins the names of all records of an owner's environment.
func recordPrefix(owner, environment string) string {
	return escape(owner) + "," + escape(environment) + ","
}

// nameParts splits a record's file name into its escaped parts.
func nameParts(name string) (owner, environment, connection string, ok bool) {
	stem, ok := strings.CutSuffix(name, suffix)
	parts := strings.Split(stem, ",")
	if !ok || len(parts) != 3 {
		return "", "", "", false
	}
	return parts[0], parts[1], parts[2], true
}

// keyOf returns what a file's name tells of the key. Parts that are too long
// to be told stay empty.
func keyOf(name string) store.Key {
	owner, environment, connection, ok := nameParts(name)
	if !ok {
		return store.Key{}
	}
	return store.Key{Owner: unescape(owner), Connection: unescape(connection), Environment: unescape(environment)}
}

func escape(part string) string {
	var b strings.Builder
	for i := range len(part) {
		if c := part[i]; strings.IndexByte(plain, c) >= 0 {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteString(hex.EncodeToString([]byte{c}))
		}
	}
	if b.Len() > maxPart {
		sum := sha256.Sum256([]byte(part))
		return "=" + hex.EncodeToString(sum[:20])
	}
	return b.String()
}

// unescape undoes escape, as far as that can be done.
func unescape(part string) string {
	if strings.HasPrefix(part, "=") {
		return ""
	}
	var b strings.Builder
	for i := 0; i < len(part); i++ {
		if part[i] != '%' {
			b.WriteByte(part[i])
			continue
		}
		if i+3 > len(part) {
			return ""
		}
		c, err := hex.DecodeString(part[i+1 : i+3])
		if err != nil {
			return ""
		}
		b.Write(c)
		i += 2
	}
	return b.String()
}

// tempName is where the next content of a file is written. It is the same for
// every writer of the file, since only the holder of its lock writes: what a
// killed process left is replaced by the next one.
func tempName(name string) string { return "." + name + tempSuffix }

// tempTarget returns the name that a temporary file was written for.
func tempTarget(name string) (string, bool) {
	target, ok := strings.CutSuffix(name, tempSuffix)
	if !ok || !strings.HasPrefix(target, ".") {
		return "", false
	}
	return target[1:], true
}

// checkText refuses what JSON can't give back as it was.
func checkText(what, text string, required bool) error {
	switch {
	case required && text == "":
		return connector.Errorf(connector.UsageWrong, connector.OriginHost, "The %s is empty.", what)
	case !utf8.ValidString(text):
		return connector.Errorf(connector.UsageWrong, connector.OriginHost, "The %s isn't UTF-8.", what)
	}
	return nil
}

func checkKey(key store.Key) error {
	if err := checkText("owner", key.Owner, true); err != nil {
		return err
	}
	if err := checkText("connection's ID", key.Connection, true); err != nil {
		return err
	}
	return checkText("environment", key.Environment, true)
}

// randomID returns 128 random bits.
func randomID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
