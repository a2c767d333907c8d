package boxsim

import (
	"crypto/sha1" //nolint:gosec // Box's own content hash, not a protection
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
)

// errFull says that the account has no room left for more content.
var errFull = errors.New("the storage limit is reached")

// errClosed says that the emulator has been closed and stores nothing more.
var errClosed = errors.New("the emulator is closed")

// store keeps the content of uploads in files of a private folder, which is
// made for the first one and removed by close. Its methods may be called at
// the same time.
type store struct {
	mu     sync.Mutex
	parent string // where the folder is made; the system's folder if empty
	dir    string
	next   int
	used   int64 // bytes in the folder
	closed bool
}

// piece is one file of the store.
type piece struct {
	path string
	size int64
	refs int // guarded by the store's mu
}

// blob is content: pieces one after the other, or bytes in memory.
type blob struct {
	mem    []byte
	pieces []*piece
	size   int64
	sha1   string
}

func memoryBlob(content []byte) *blob {
	sum := sha1.Sum(content) //nolint:gosec // see the import
	return &blob{mem: content, size: int64(len(content)), sha1: hex.EncodeToString(sum[:])}
}

// draft is content that is being written. It ends with keep or drop.
type draft struct {
	st    *store
	file  *os.File
	piece *piece
	quota int64
	sum   hash.Hash
}

// draft begins new content. It may grow until all content together reaches the
// quota.
func (st *store) draft(quota int64) (*draft, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.closed {
		return nil, errClosed
	}
	if st.dir == "" {
		dir, err := os.MkdirTemp(st.parent, "boxsim-")
		if err != nil {
			return nil, err
		}
		st.dir = dir
	}
	st.next++
	path := filepath.Join(st.dir, strconv.Itoa(st.next))
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // a name of its own in a private folder
	if err != nil {
		return nil, err
	}
	return &draft{st: st, file: file, piece: &piece{path: path, refs: 1}, quota: quota, sum: sha1.New()}, nil //nolint:gosec // see the import
}

// Write appends to the content. It fails with errFull at the quota.
func (d *draft) Write(p []byte) (int, error) {
	if !d.st.take(int64(len(p)), d.quota) {
		return 0, errFull
	}
	n, err := d.file.Write(p)
	d.piece.size += int64(n)
	d.st.take(int64(n-len(p)), 0)
	_, _ = d.sum.Write(p[:n]) // never fails
	return n, err
}

// keep ends the writing.
func (d *draft) keep() (*blob, error) {
	if err := d.file.Close(); err != nil {
		d.st.release(&blob{pieces: []*piece{d.piece}})
		return nil, err
	}
	return &blob{pieces: []*piece{d.piece}, size: d.piece.size, sha1: hex.EncodeToString(d.sum.Sum(nil))}, nil
}

// drop forgets what was written.
func (d *draft) drop() {
	_ = d.file.Close() // it is removed
	d.st.release(&blob{pieces: []*piece{d.piece}})
}

// take counts bytes, less if n is negative, and says whether they fit.
func (st *store) take(n, quota int64) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	if n > 0 && n > quota-st.used {
		return false
	}
	st.used += n
	return true
}

// fits says whether so many more bytes would stay within the quota.
func (st *store) fits(n, quota int64) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return n <= quota-st.used
}

func (st *store) bytes() int64 {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.used
}

// retain keeps a blob's files until one more release.
func (st *store) retain(b *blob) *blob {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, p := range b.pieces {
		p.refs++
	}
	return b
}

// release removes the files that nobody holds any more.
func (st *store) release(b *blob) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, p := range b.pieces {
		if p.refs--; p.refs == 0 && !st.closed {
			st.used -= p.size
			_ = os.Remove(p.path) // the folder is removed at the end
		}
	}
}

// close removes the folder.
func (st *store) close(log *slog.Logger) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.closed = true
	if st.dir == "" {
		return
	}
	if err := os.RemoveAll(st.dir); err != nil {
		log.Warn("removing the content of uploads", "error", err)
	}
	st.dir, st.used = "", 0
}

// join makes one blob of several. Its hash is left empty.
func join(parts []*blob) *blob {
	out := &blob{}
	for _, p := range parts {
		out.pieces = append(out.pieces, p.pieces...)
		out.size += p.size
	}
	return out
}

// hash reads the whole content.
func (b *blob) hash() (string, error) {
	sum := sha1.New() //nolint:gosec // see the import
	r := b.reader(0, b.size)
	_, err := io.CopyBuffer(sum, r, make([]byte, copyBuffer))
	return hex.EncodeToString(sum.Sum(nil)), errors.Join(err, r.Close())
}

// blobReader reads a range of a blob, a file at a time.
type blobReader struct {
	b         *blob
	skip      int64 // bytes to leave out before the next one
	left      int64
	nextPiece int
	file      *os.File
	fileLeft  int64
}

// reader reads n bytes from an offset on. Both must lie within the blob.
func (b *blob) reader(offset, n int64) *blobReader { return &blobReader{b: b, skip: offset, left: n} }

// Read reads on.
func (r *blobReader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	if r.b.mem != nil {
		n := copy(p, r.b.mem[r.skip:r.skip+r.left])
		r.skip, r.left = r.skip+int64(n), r.left-int64(n)
		return n, nil
	}
	for r.fileLeft == 0 {
		if err := r.open(); err != nil {
			return 0, err
		}
	}
	n, err := r.file.Read(p[:min(int64(len(p)), r.left, r.fileLeft)])
	r.left, r.fileLeft = r.left-int64(n), r.fileLeft-int64(n)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // the file is shorter than it was
	}
	return n, err
}

// open goes to the next piece.
func (r *blobReader) open() error {
	if err := r.Close(); err != nil {
		return err
	}
	if r.nextPiece >= len(r.b.pieces) {
		return fmt.Errorf("content: %w", io.ErrUnexpectedEOF)
	}
	p := r.b.pieces[r.nextPiece]
	r.nextPiece++
	if r.skip >= p.size {
		r.skip -= p.size
		return nil
	}
	file, err := os.Open(p.path)
	if err != nil {
		return err
	}
	r.file, r.fileLeft = file, p.size-r.skip
	_, err = file.Seek(r.skip, io.SeekStart)
	r.skip = 0
	return err
}

// Close ends the reading.
func (r *blobReader) Close() error {
	if r.file == nil {
		return nil
	}
	err := r.file.Close()
	r.file = nil
	return err
}
