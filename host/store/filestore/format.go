package filestore

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/boxconnection/connector/proto/connector"
)

const (
	magic   = "boxconnection-store"
	version = 1

	kindStore  = "store"
	kindRecord = "record"
	kindFlow   = "flow"
	kindWaits  = "waits"

	// maxHeader is far above the longest header.
	maxHeader = 256
	// maxFile is what a file may hold. A record with everything sealed is some
	// 20 KiB; the contract's own limits keep it far below this.
	maxFile = 16 << 20
)

// encode returns a file's content: the header and the value as JSON.
func encode(kind string, value any) ([]byte, error) {
	body, err := json.Marshal(value)
	if err != nil {
		return nil, connector.Errorf(connector.UsageWrong, connector.OriginHost, "The %s can't be written as JSON.", kind).Because(err)
	}
	body = append(body, '\n')
	if len(body) > maxFile-maxHeader {
		return nil, connector.Errorf(connector.UsageWrong, connector.OriginHost,
			"The %s has %d bytes, more than a store's file can hold.", kind, len(body))
	}
	head := fmt.Sprintf("%s %d %s %d", magic, version, kind, len(body))
	content := make([]byte, 0, len(head)+80+len(body))
	content = append(content, head...)
	content = append(content, " sha256:"...)
	content = append(content, digest(head, body)...)
	content = append(content, '\n')
	return append(content, body...), nil
}

// decode reads what encode wrote. Its diagnostics say which kind of damage it
// found, and name the file.
func decode(path, kind string, content []byte, value any) error {
	switch {
	case len(content) == 0:
		return damagedFault(path, "it is empty", nil)
	case len(bytes.Trim(content, "\x00")) == 0:
		return damagedFault(path, "it holds nothing but zero bytes", nil)
	case !bytes.HasPrefix(content, []byte(magic+" ")):
		if bytes.HasPrefix([]byte(magic+" "), content) {
			return damagedFault(path, "it is cut short within its first line", nil)
		}
		return damagedFault(path, "it wasn't written by this program", nil)
	}
	line, body, ok := bytes.Cut(content, []byte("\n"))
	if !ok {
		return damagedFault(path, "it is cut short within its first line", nil)
	}
	fields := strings.Split(string(line), " ")
	if len(line) > maxHeader || len(fields) != 5 {
		return damagedFault(path, "its first line was changed", nil)
	}
	length, err := strconv.Atoi(fields[3])
	switch {
	case err != nil:
		return damagedFault(path, "its first line was changed", err)
	case len(body) < length:
		return damagedFault(path, fmt.Sprintf("it is cut short: %d of %d bytes are there", len(body), length), nil)
	case len(body) > length:
		return damagedFault(path, fmt.Sprintf("it goes on after its %d bytes", length), nil)
	case fields[4] != "sha256:"+digest(strings.Join(fields[:4], " "), body):
		return damagedFault(path, "its bytes were changed", nil)
	}
	// From here on these are the bytes that somebody wrote.
	switch number, err := strconv.Atoi(fields[1]); {
	case err != nil || number < 1:
		return damagedFault(path, "its version can't be understood", err)
	case number > version:
		return connector.Errorf(connector.StoreVersionNewer, connector.OriginHost,
			"%s was written by a newer version of this program (format %d, this one reads %d).", path, number, version).
			Suggest("Use that version or a later one. Nothing was changed.")
	case fields[2] != kind:
		return damagedFault(path, fmt.Sprintf("it holds a %s where a %s should be", fields[2], kind), nil)
	}
	if err := json.Unmarshal(body, value); err != nil {
		return damagedFault(path, "its content can't be understood", err)
	}
	return nil
}

func digest(head string, body []byte) string {
	h := sha256.New()
	h.Write([]byte(head))
	h.Write([]byte{'\n'})
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil))
}
