package operations

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // Box's digest of a file, not a protection
	"encoding/hex"
	"errors"
	"io"
	"os"

	"github.com/boxconnection/connector/plugin/operation"
	"github.com/boxconnection/connector/proto/connector"
)

// inMemory is the size up to which content is kept in memory; more of it lies
// in a file of its own.
const inMemory = 1 << 20

// content is the content to upload. What is sent in one request is kept, so
// that it can be sent again with a newer token; what is sent in parts is read
// as it comes.
type content struct {
	size   int64
	stream io.Reader // nil once it was kept
	begun  bool
	memory []byte
	file   *os.File
}

// newContent looks at what came with the input. Box wants to know a file's size
// before its content, so content of unknown length is kept first.
func newContent(c *operation.Content) (*content, error) {
	if c == nil {
		return &content{stream: bytes.NewReader(nil)}, nil
	}
	kept := &content{size: c.Length, stream: c}
	if c.Length >= 0 {
		return kept, nil
	}
	if err := kept.keep(); err != nil {
		kept.close()
		return nil, err
	}
	return kept, nil
}

// keep reads the whole content.
func (c *content) keep() error {
	if c.stream == nil {
		return nil
	}
	r := c.stream
	c.stream = nil
	memory, err := io.ReadAll(io.LimitReader(r, inMemory+1))
	if err != nil {
		return err
	}
	if len(memory) <= inMemory {
		c.memory, c.size = memory, int64(len(memory))
		return nil
	}
	if c.file, err = os.CreateTemp("", "upload-"); err != nil {
		return noRoom(err)
	}
	// Without a name it is gone with the process. Where that can't be, close
	// removes it.
	_ = os.Remove(c.file.Name())
	c.size, err = io.Copy(c.file, io.MultiReader(bytes.NewReader(memory), r))
	if _, ok := errors.AsType[*os.PathError](err); ok {
		return noRoom(err)
	}
	return err
}

func noRoom(err error) error {
	return connector.Errorf(connector.Internal, connector.OriginConnector, "The content can't be kept until it is sent: its length isn't known, and the temporary folder takes no more.").
		Suggest("Give the content's length, or free space in the temporary folder.").Because(err)
}

// spent reports whether the content can't be read from its beginning any more.
func (c *content) spent() bool { return c.stream != nil && c.begun }

// reader returns the kept content from its beginning.
func (c *content) reader() (io.Reader, error) {
	if err := c.keep(); err != nil {
		return nil, err
	}
	if c.file == nil {
		return bytes.NewReader(c.memory), nil
	}
	return io.NewSectionReader(c.file, 0, c.size), nil
}

// once returns the content for one reading, kept or not.
func (c *content) once() (io.Reader, error) {
	if c.stream == nil {
		return c.reader()
	}
	c.begun = true
	return c.stream, nil
}

// digest returns the SHA-1 of the whole content in hexadecimal.
func (c *content) digest() (string, error) {
	r, err := c.reader()
	if err != nil {
		return "", err
	}
	sum := sha1.New() //nolint:gosec // see above
	if _, err := io.Copy(sum, r); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func (c *content) close() {
	if c.file != nil {
		_ = c.file.Close()
		_ = os.Remove(c.file.Name()) // gone already, as a rule
	}
}
