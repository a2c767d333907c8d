package host

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/boxconnection/connector/host/seal"
	"github.com/boxconnection/connector/host/store"
	"github.com/boxconnection/connector/proto/connector"
)

// The format of an export, version 1, in lines:
//
//	boxconnection-export VERSION ID
//	NUMBER VALUE
//	end VALUE
//
// ID is random. NUMBER counts the connections from 1 on. VALUE is a sealed
// value in base64, bound to version, ID and number: a line can't be moved, nor
// come from another export. It holds an [exported] as JSON, and in the last
// line an [exportEnd]. Nothing else stands in clear.
const (
	exportMagic   = "boxconnection-export"
	exportVersion = 1

	// maxExportLine bounds a line. A record may have 16 MiB in a store, with its
	// values in base64 already.
	maxExportLine = 32 << 20
	// maxExport bounds a file.
	maxExport = 4 << 30

	numberEnd = "end"
)

var exportID = regexp.MustCompile(`^[0-9a-f]{32}$`)

// exported is a connection on its way: its record without sealed values and
// lease, and the values themselves.
type exported struct {
	Record store.Record           `json:"record"`
	Values map[store.Field][]byte `json:"values"`
}

// exportEnd tells that an export is whole.
type exportEnd struct {
	Connections int `json:"connections"`
}

// exportWriter writes an export.
type exportWriter struct {
	to     *bufio.Writer
	sealer seal.Sealer
	id     string
	count  int
	size   int64
}

func newExport(w io.Writer, sealer seal.Sealer) (*exportWriter, error) {
	x := &exportWriter{to: bufio.NewWriter(w), sealer: sealer, id: token(16)}
	return x, x.line(fmt.Sprintf("%s %d %s", exportMagic, exportVersion, x.id))
}

func (x *exportWriter) add(ctx context.Context, e exported) error {
	err := x.value(ctx, strconv.Itoa(x.count+1), e)
	if err == nil {
		x.count++
	}
	return err
}

func (x *exportWriter) end(ctx context.Context) error {
	if err := x.value(ctx, numberEnd, exportEnd{x.count}); err != nil {
		return err
	}
	if err := x.to.Flush(); err != nil {
		return exportUnwritable(err)
	}
	return nil
}

func (x *exportWriter) value(ctx context.Context, number string, value any) error {
	plain, err := json.Marshal(value)
	if err != nil {
		return connector.Diagnose(err, connector.OriginHost)
	}
	key, field := exportPlace(x.id, number)
	sealed, err := x.sealer.Seal(ctx, key, field, plain)
	if err != nil {
		return err
	}
	return x.line(number + " " + base64.StdEncoding.EncodeToString(sealed))
}

func (x *exportWriter) line(text string) error {
	x.size += int64(len(text)) + 1
	if len(text) > maxExportLine || x.size > maxExport {
		return connector.Errorf(connector.LimitExceeded, connector.OriginHost, "The export gets larger than an export can be.").
			WithDetail("a connection may have %d bytes and an export %d", maxExportLine, int64(maxExport))
	}
	if _, err := x.to.WriteString(text + "\n"); err != nil {
		return exportUnwritable(err)
	}
	return nil
}

// exportReader reads an export.
type exportReader struct {
	from   *bufio.Scanner
	left   *io.LimitedReader
	sealer seal.Sealer
	id     string
	read   int
	seen   map[int]bool
}

func openExport(r io.Reader, sealer seal.Sealer) (*exportReader, error) {
	x := &exportReader{left: &io.LimitedReader{R: r, N: maxExport + 1}, sealer: sealer, seen: map[int]bool{}}
	x.from = bufio.NewScanner(x.left)
	x.from.Buffer(nil, maxExportLine+1)
	line, err := x.line()
	if errors.Is(err, io.EOF) {
		return nil, exportDamaged("it is empty")
	}
	if err != nil {
		return nil, err
	}
	fields := strings.Split(line, " ")
	switch {
	case fields[0] != exportMagic:
		if strings.HasPrefix(exportMagic, line) {
			return nil, exportDamaged("it is cut short within its first line")
		}
		return nil, exportDamaged("it isn't an export of this program").Suggest("Name a file that connectorctl store export wrote.")
	case len(fields) < 3:
		return nil, exportDamaged("it is cut short within its first line")
	}
	version, err := strconv.Atoi(fields[1])
	switch {
	case err == nil && version > exportVersion:
		return nil, connector.Errorf(connector.StoreVersionNewer, connector.OriginHost,
			"The export was written by a newer version of this program (format %d, this one reads %d).", version, exportVersion).
			Suggest("Use that version or a later one. Nothing was imported.")
	case err != nil || version != exportVersion || len(fields) != 3 || !exportID.MatchString(fields[2]):
		return nil, exportDamaged("its first line was changed, or is cut short")
	}
	x.id = fields[2]
	return x, nil
}

// next returns the next connection. io.EOF is the proper end. Any other error
// that isn't an [errExportLine] ends the reading.
func (x *exportReader) next(ctx context.Context) (*exported, error) {
	line, err := x.line()
	if errors.Is(err, io.EOF) {
		return nil, exportDamaged("it is cut short after %d connection(s)", x.read)
	}
	if err != nil {
		return nil, err
	}
	number, text, _ := strings.Cut(line, " ")
	if number == numberEnd {
		return nil, x.checkEnd(ctx, text)
	}
	x.read++
	n, err := strconv.Atoi(number)
	if err != nil || strconv.Itoa(n) != number || x.seen[n] {
		return nil, &errExportLine{exportDamaged("line %d of it was changed, or is there twice", x.read+1)}
	}
	e := new(exported)
	if err := x.open(ctx, number, text, e); err != nil {
		return nil, err
	}
	x.seen[n] = true
	return e, nil
}

// checkEnd fails if connections are missing, or something comes after the end.
func (x *exportReader) checkEnd(ctx context.Context, text string) error {
	var end exportEnd
	if err := x.open(ctx, numberEnd, text, &end); err != nil {
		if line := (*errExportLine)(nil); errors.As(err, &line) {
			return exportDamaged("its last line was changed, so it isn't known to be whole")
		}
		return err
	}
	if _, err := x.line(); !errors.Is(err, io.EOF) {
		return exportDamaged("it goes on after its end")
	}
	if x.read != end.Connections {
		return exportDamaged("%d of its connections are there, and %d were written", x.read, end.Connections)
	}
	return io.EOF
}

// open opens a line's value.
func (x *exportReader) open(ctx context.Context, number, text string, value any) error {
	sealed, err := base64.StdEncoding.DecodeString(text)
	if err == nil {
		key, field := exportPlace(x.id, number)
		var plain []byte
		plain, err = x.sealer.Open(ctx, key, field, sealed)
		if is(err, connector.SealingKeyWrong) {
			return connector.Errorf(connector.SealingKeyWrong, connector.OriginHost, "The export was sealed with another key.").
				Suggest("Name the key file that it was written with. Nothing was changed.").Because(err)
		}
		if err != nil && !is(err, connector.StoreDamaged) {
			return err
		}
		if err == nil {
			err = json.Unmarshal(plain, value)
		}
	}
	if err != nil {
		return &errExportLine{exportDamaged("the line of connection %s was changed, or is cut short", number).Because(err)}
	}
	return nil
}

func (x *exportReader) line() (string, error) {
	if x.from.Scan() {
		return x.from.Text(), nil
	}
	switch err := x.from.Err(); {
	case errors.Is(err, bufio.ErrTooLong), x.left.N <= 0:
		return "", connector.Errorf(connector.LimitExceeded, connector.OriginHost, "The file is larger than an export can be, or isn't one.").
			WithDetail("a line may have %d bytes and the file %d", maxExportLine, int64(maxExport))
	case err != nil:
		return "", connector.Errorf(connector.StoreUnavailable, connector.OriginHost, "The export can't be read.").
			Suggest("See that the file is there and that this process may read it.").Because(err)
	}
	return "", io.EOF
}

// errExportLine is what is wrong with one line; the others may be fine.
type errExportLine struct{ *connector.Diagnostic }

func (e *errExportLine) Unwrap() error { return e.Diagnostic }

// exportPlace is what a line's value is bound to.
func exportPlace(id, number string) (store.Key, store.Field) {
	return store.Key{Owner: exportMagic, Connection: id, Environment: strconv.Itoa(exportVersion)}, store.Field(number)
}

func exportDamaged(how string, args ...any) *connector.Diagnostic {
	return connector.Errorf(connector.StoreDamaged, connector.OriginHost, "The export is damaged: %s.", fmt.Sprintf(how, args...)).
		Suggest("Take another copy of the file, or export again. A connection that is there already is never imported twice.")
}

func exportUnwritable(err error) *connector.Diagnostic {
	return connector.Errorf(connector.StoreUnwritable, connector.OriginHost, "The export can't be written.").
		Suggest("Look after the disk, or name another file.").Because(err)
}
