package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/boxconnection/connector/host"
	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/handshake"
)

// tellEvery is how often the progress of a long execution is told.
const tellEvery = 2 * time.Second

// runFlags are the flags of run.
type runFlags struct {
	input      string
	content    string
	length     int64
	output     string
	checkpoint string
	timeout    time.Duration
	errors     bool
}

func (a *app) runCommand() *cobra.Command {
	var flags runFlags
	cmd := &cobra.Command{
		Use: "run NAME PLUGIN OPERATION", Short: "Run an operation over a connection", Args: exactly(3),
		Long: `Run an operation of a plugin over a connection. Each line of standard input is
one input document, and each output document is a line of standard output, both
in JSON. With --input there is one document and standard input may be content:

  connectorctl run sales box-operations get-folder-items <<<'{"folder_id":"0"}'
  connectorctl run sales box-operations create-file --input '{"name":"a.txt"}' --content a.txt
  connectorctl run sales box-operations get-file --input '{"file_id":"1"}' --output a.txt

A file that is written appears under its name only when it is whole. With
--checkpoint an execution that was cut off goes on where it was when the same
command is given again. Interrupting cancels the work at the service too.`,
		RunE: a.onOperations(func(ctx context.Context, c *host.Connection, ops *host.Operations, args []string) error {
			return a.runAll(ctx, c, ops, args[0], &flags)
		}),
	}
	f := cmd.Flags()
	f.StringVar(&flags.input, "input", "", "the input document, or @FILE (default: standard input, a document in each line)")
	f.StringVar(&flags.content, "content", "", "file whose content belongs to the input document, or - for standard input")
	f.Int64Var(&flags.length, "content-length", -1, "how many bytes the content of a pipe has: what needs to know it, as Box does, keeps\nthe content first otherwise")
	f.StringVar(&flags.output, "output", "", "file that takes the content of the output document, or - for standard output;\nthe documents go to standard error then")
	f.StringVar(&flags.checkpoint, "checkpoint", "", "file that keeps where to go on")
	f.DurationVar(&flags.timeout, "timeout", time.Hour, "how long each execution may take")
	f.BoolVar(&flags.errors, "return-errors", false, "print what the service refuses as a document, and go on")
	return cmd
}

// onOperations runs a command on the saved connection and the plugin with
// operations that its first two arguments name; f gets the others.
func (a *app) onOperations(f func(ctx context.Context, c *host.Connection, ops *host.Operations, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		return a.onConnection(func(ctx context.Context, e *engine, c *host.Connection, _ string) error {
			ops, err := e.operations(ctx, args[1])
			if err != nil {
				return err
			}
			defer ops.Close()
			return f(ctx, c, ops, args[2:])
		})(cmd, args[:1])
	}
}

// operations loads a plugin with operations.
func (e *engine) operations(ctx context.Context, name string) (*host.Operations, error) {
	p, err := e.pluginOf(ctx, name, func(ctx context.Context, p host.Plugin) error {
		_, err := host.DescribeOperations(ctx, p)
		return err
	})
	if err != nil {
		return nil, err
	}
	return e.host.LoadOperations(ctx, p)
}

// runAll runs the operation on each input document.
func (a *app) runAll(ctx context.Context, c *host.Connection, ops *host.Operations, operation string, flags *runFlags) error {
	if flags.timeout <= 0 {
		return usage("--timeout takes how long an execution may take, such as 10m")
	}
	r := &runner{app: a, connection: c, operations: ops, operation: operation, flags: flags, documents: a.stdout}
	if flags.output == "-" {
		r.documents = a.stderr
	}
	if flags.input != "" {
		document := []byte(flags.input)
		if path, ok := bytes.CutPrefix(document, []byte("@")); ok {
			var err error
			if document, err = a.read(ctx, string(path), handshake.MaxDocumentBytes); err != nil {
				return err
			}
		}
		return r.run(ctx, document)
	}
	if flags.content == "-" {
		return usage("with --content - the document comes with --input")
	}
	lines := bufio.NewReaderSize(a.stdin, 64<<10)
	for n := 1; ; n++ {
		line, err := readLine(ctx, lines)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return connector.Diagnose(err, connector.OriginHost).WithDetail("in line %d of the input", n)
		}
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		if err := r.run(ctx, line); err != nil {
			return err
		}
		if flags.content != "" || flags.output != "" || flags.checkpoint != "" {
			return nil // they belong to one document
		}
	}
}

// readLine reads a line, bounded, unless ctx ends before. The reader may stay
// blocked until the process ends.
func readLine(ctx context.Context, r *bufio.Reader) ([]byte, error) {
	type result struct {
		line []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		var line []byte
		for {
			part, err := r.ReadSlice('\n')
			line = append(line, part...)
			switch {
			case len(line) > handshake.MaxDocumentBytes:
				done <- result{nil, usage("a document has more than %d KiB", handshake.MaxDocumentBytes>>10)}
				return
			case errors.Is(err, bufio.ErrBufferFull):
				continue
			case errors.Is(err, io.EOF) && len(line) > 0:
				err = nil
			}
			done <- result{line, err}
			return
		}
	}()
	select {
	case got := <-done:
		return got.line, got.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// runner runs one operation.
type runner struct {
	app        *app
	connection *host.Connection
	operations *host.Operations
	operation  string
	flags      *runFlags
	documents  io.Writer
	contents   int
	told       time.Time
}

func (r *runner) run(ctx context.Context, document []byte) error {
	in := host.Input{
		Document: document, Length: -1, ReturnApplicationErrors: r.flags.errors, Timeout: r.flags.timeout, Progress: r.progress,
	}
	r.told = time.Now()
	if r.flags.content != "" {
		content, length, err := r.app.content(r.flags.content)
		if err != nil {
			return err
		}
		if length < 0 {
			length = max(-1, r.flags.length)
		}
		defer func() { _ = content.Close() }()
		in.Content, in.Length = content, length
	}
	if r.flags.checkpoint != "" {
		var err error
		if in.Checkpoint, err = readCheckpoint(r.flags.checkpoint); err != nil {
			return err
		}
	}
	for event, err := range r.connection.Run(ctx, r.operations, r.operation, in) {
		if err == nil {
			err = r.take(event)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *runner) take(event host.Event) error {
	switch {
	case event.Document != nil:
		return r.document(event.Document)
	case event.Checkpoint != nil && r.flags.checkpoint != "":
		if event.Checkpoint.Done {
			return forgetCheckpoint(r.flags.checkpoint)
		}
		return keepCheckpoint(r.flags.checkpoint, event.Checkpoint.Data)
	}
	return nil
}

// document prints a document, after its content was written whole.
func (r *runner) document(d *host.Document) error {
	if d.Content != nil && r.flags.output != "" {
		if r.contents++; r.contents > 1 {
			return usage("the operation brings several contents, and --output takes one")
		}
		if err := r.app.writeContent(r.flags.output, d.Content); err != nil {
			return err
		}
	}
	var line any = d.JSON
	if d.Error != nil {
		line = map[string]any{"error": d.Error}
	}
	if r.app.json {
		line = map[string]any{"event": "document", "document": d.JSON, "error": d.Error, "properties": d.Properties}
	}
	return r.app.printJSON(r.documents, line)
}

// progress tells how far the work is, if it takes long.
func (r *runner) progress(completed, total int64) {
	if time.Since(r.told) < tellEvery {
		return
	}
	r.told = time.Now()
	switch {
	case r.app.json:
		_ = r.app.printJSON(r.app.stderr, map[string]any{"event": "progress", "completed": completed, "total": total}) // for people
	case total > 0:
		r.app.note("%d of %d (%d %%)", completed, total, completed*100/total)
	default:
		r.app.note("%d", completed)
	}
}

// content opens the content to send; its length is -1 where it isn't known.
func (a *app) content(path string) (io.ReadCloser, int64, error) {
	if path == "-" {
		return io.NopCloser(a.stdin), -1, nil
	}
	f, err := os.Open(path) //nolint:gosec // the person names the file
	if err != nil {
		return nil, 0, usage("%s can't be read", path).Because(err)
	}
	info, err := f.Stat()
	if err != nil || info.IsDir() {
		_ = f.Close()
		return nil, 0, usage("%s can't be read", path).Because(err)
	}
	if !info.Mode().IsRegular() {
		return f, -1, nil
	}
	return f, info.Size(), nil
}

// writeContent writes content to a file that appears when it is whole, or to
// standard output.
func (a *app) writeContent(path string, content io.Reader) error {
	if path == "-" {
		_, err := io.Copy(a.stdout, content)
		return err
	}
	return writeWhole(path, func(w io.Writer) error {
		_, err := io.Copy(w, content)
		return err
	})
}

func readCheckpoint(path string) ([]byte, error) {
	data, err := os.ReadFile(path) //nolint:gosec // the person names the file
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var kept struct {
		Checkpoint []byte `json:"checkpoint"`
	}
	if err == nil {
		err = json.Unmarshal(data, &kept)
	}
	if err != nil {
		return nil, usage("%s isn't a checkpoint; remove it to begin at the beginning", path).Because(err)
	}
	return append([]byte{}, kept.Checkpoint...), nil
}

func keepCheckpoint(path string, data []byte) error {
	return writeWhole(path, func(w io.Writer) error {
		return json.NewEncoder(w).Encode(map[string][]byte{"checkpoint": data})
	})
}

func forgetCheckpoint(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return connector.Errorf(connector.StoreUnwritable, connector.OriginHost, "The checkpoint in %s can't be removed.", path).
			Suggest("Remove it: the work is done.").Because(err)
	}
	return nil
}

// writeWhole writes a file that appears under its name only when it is whole.
// What isn't a regular file, a pipe for one, is written as it is.
func writeWhole(path string, write func(io.Writer) error) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(path, os.O_WRONLY, 0) //nolint:gosec // the person names the file
		if err != nil {
			return unwritableFile(path, err)
		}
		return errors.Join(write(f), f.Close())
	}
	temp := fmt.Sprintf("%s.part-%d", path, os.Getpid())
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the person names the file
	if err != nil {
		return unwritableFile(path, err)
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		_ = os.Remove(temp)
		if _, ok := errors.AsType[*fs.PathError](err); ok {
			return unwritableFile(path, err)
		}
	}
	return err
}

func unwritableFile(path string, err error) error {
	return connector.Errorf(connector.StoreUnwritable, connector.OriginHost, "%s can't be written.", path).
		Suggest("Free some space, or name a file that this user can write.").Because(err)
}
