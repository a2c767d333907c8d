package launch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"

	"github.com/boxconnection/connector/proto/connector"
)

const (
	// maxBinary bounds the size of a plugin's file. Plugins have 15 to 100 MB.
	maxBinary = 1 << 30
	// headLen is what tells the kinds of files apart: a tar archive has its
	// mark behind the first 257 bytes.
	headLen = 512

	copyChunk = 256 << 10
	copyAhead = 4 // chunks that the hashing may lag behind
)

// source is a plugin's file, open for reading.
type source struct {
	name string // the base name of the path that was given
	path string // absolute, with symbolic links resolved
	file *os.File
}

// openSource opens what a path leads to, if it can be a program.
func openSource(path string) (*source, error) {
	name := strings.TrimSuffix(filepath.Base(path), ".exe")
	problem := func(format string, args ...any) *connector.Diagnostic {
		return connector.Errorf(connector.PluginNotExecutable, connector.OriginHost,
			"Plugin %q can't be run: %s.", name, fmt.Sprintf(format, args...)).WithDetail("%s", path)
	}
	if strings.TrimSpace(path) == "" {
		return nil, problem("no path is given").Suggest("Give the path of the plugin's binary.")
	}
	resolved, err := filepath.Abs(path)
	if err == nil {
		resolved, err = filepath.EvalSymlinks(resolved)
	}
	var info fs.FileInfo
	if err == nil {
		info, err = os.Stat(resolved)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, problem("there is no such file").Suggest("Check the path, or install the plugin.").Because(err)
	case err != nil:
		return nil, problem("%v", reason(err)).Suggest("Check the path and its permissions.").Because(err)
	case info.IsDir():
		return nil, problem("it is a folder").Suggest("Give the path of the binary in it.")
	case !info.Mode().IsRegular():
		return nil, problem("it isn't a regular file").Suggest("Give the path of the plugin's binary.")
	case info.Size() == 0:
		return nil, problem("the file is empty").Suggest("Install the plugin again.")
	case info.Size() > maxBinary:
		return nil, problem("the file has more than %d MB", maxBinary>>20).Suggest("Give the path of the plugin's binary.")
	}
	// Without O_NONBLOCK a pipe that took the file's place would block here.
	file, err := os.OpenFile(resolved, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, problem("%v", reason(err)).Suggest("Allow this user to read the file.").Because(err)
	}
	head := make([]byte, headLen)
	n, err := file.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		_ = file.Close()
		return nil, problem("%v", reason(err)).Because(err)
	}
	if kind := notRunnable(head[:n]); kind != "" {
		_ = file.Close()
		return nil, problem("%s", kind).Suggest("Give the path of the plugin's binary for %s on %s.", runtime.GOOS, runtime.GOARCH)
	}
	if runtime.GOOS != "windows" && info.Mode()&0o111 == 0 {
		_ = file.Close()
		return nil, problem("the file isn't marked as executable").Suggest("Allow it with: chmod +x %s", resolved)
	}
	return &source{name: name, path: resolved, file: file}, nil
}

// copyTo copies the file and takes its digest on the way, so that the bytes
// that are checked are the bytes that run. The copy is a new file that only
// this user may read and run.
func (s *source) copyTo(ctx context.Context, path string) (Digest, error) {
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o500)
	if err != nil {
		return Digest{}, err
	}
	digest, err := copyHashing(ctx, out, s.file)
	// No fsync: the copy doesn't outlive the process.
	if err = errors.Join(err, out.Close()); err != nil {
		return Digest{}, err
	}
	return digest, nil
}

// copyHashing copies a file and hashes what it writes. Hashing takes most of
// the time of a first load, so the copying goes on beside it.
func copyHashing(ctx context.Context, out io.Writer, in io.Reader) (Digest, error) {
	hash := sha256.New()
	chunks, free := make(chan []byte, copyAhead), make(chan []byte, copyAhead)
	for range copyAhead {
		free <- make([]byte, copyChunk)
	}
	var hashing sync.WaitGroup
	hashing.Go(func() {
		for chunk := range chunks {
			_, _ = hash.Write(chunk) // a hash never fails
			free <- chunk[:copyChunk]
		}
	})
	err := func() error {
		defer close(chunks)
		for total := 0; total <= maxBinary; {
			if err := ctx.Err(); err != nil {
				return err
			}
			chunk := <-free
			n, err := in.Read(chunk)
			if _, err := out.Write(chunk[:n]); err != nil {
				return err
			}
			chunks <- chunk[:n]
			total += n
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
		}
		return errors.New("the file grew beyond the limit")
	}()
	hashing.Wait()
	return DigestOf([sha256.Size]byte(hash.Sum(nil))), err
}

// notRunnable says what a file is that this system can't run, or "" if it may
// be a program.
func notRunnable(head []byte) string {
	starts := func(magic string) bool { return bytes.HasPrefix(head, []byte(magic)) }
	switch {
	case starts("PK\x03\x04"):
		return "it is a zip archive, which must be unpacked first"
	case starts("\x1f\x8b"):
		return "it is a gzip archive, which must be unpacked first"
	case starts("BZh"), starts("\xfd7zXZ\x00"), starts("\x28\xb5\x2f\xfd"), starts("7z\xbc\xaf\x27\x1c"):
		return "it is an archive, which must be unpacked first"
	case len(head) > 262 && string(head[257:262]) == "ustar":
		return "it is a tar archive, which must be unpacked first"
	case starts("\x7fELF"):
		if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
			return "it is a program for Linux or another Unix"
		}
		if want, ok := elfMachines[runtime.GOARCH]; ok && len(head) > 20 && head[5] == 1 &&
			binary.LittleEndian.Uint16(head[18:]) != want {
			return "it is a program for another processor"
		}
		return ""
	case starts("\xcf\xfa\xed\xfe"), starts("\xce\xfa\xed\xfe"), starts("\xca\xfe\xba\xbe"):
		if runtime.GOOS != "darwin" {
			return "it is a program for macOS"
		}
		return ""
	case starts("MZ"):
		if runtime.GOOS != "windows" {
			return "it is a program for Windows"
		}
		return ""
	case starts("#!"):
		return "" // a script; its digest doesn't cover the interpreter
	}
	return "it isn't a program"
}

// elfMachines are the values of e_machine in little-endian ELF files.
var elfMachines = map[string]uint16{
	"386": 3, "arm": 40, "amd64": 62, "arm64": 183, "riscv64": 243, "ppc64le": 21, "loong64": 258,
}
