package demo

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // Box's digest of a file, not a protection
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

const (
	smallFile = 1 << 10
	// largeFile is uploaded in parts.
	largeFile = 120 << 20
)

// item is an output document of the operations.
type item struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Size int64  `json:"size"`
	SHA1 string `json:"sha1"`
}

func (d *demo) pair(ctx context.Context) error {
	out, err := d.ctl(ctx, nil, "plugin", "pair", "demo", "box-operations")
	d.show(out)
	return err
}

// run runs an operation and returns its documents.
func (d *demo) run(ctx context.Context, operation string, input map[string]any, flags ...string) ([]item, error) {
	document, err := json.Marshal(input)
	if err != nil {
		return nil, err
	}
	out, err := d.ctl(ctx, nil, append([]string{"run", "demo", "box-operations", operation, "--input", string(document)}, flags...)...)
	if err != nil {
		return nil, err
	}
	var items []item
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var i item
		if err := decoder.Decode(&i); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		items = append(items, i)
	}
	for _, i := range items {
		d.say("   | %s %s (%d bytes)", i.ID, i.Name, i.Size)
	}
	return items, nil
}

// one wants one document.
func (d *demo) one(ctx context.Context, operation string, input map[string]any, flags ...string) (item, error) {
	items, err := d.run(ctx, operation, input, flags...)
	if err == nil && len(items) != 1 {
		err = fmt.Errorf("%s brought %d documents, want one", operation, len(items))
	}
	if err != nil {
		return item{}, err
	}
	return items[0], nil
}

// work makes a folder, fills it, finds and changes what is in it, compares
// what comes back, and deletes it.
func (d *demo) work(ctx context.Context) error {
	small, smallSum, err := d.file("small.bin", smallFile)
	if err != nil {
		return err
	}
	large, largeSum, err := d.file("large.bin", largeFile)
	if err != nil {
		return err
	}
	// Box's search finds new items some minutes later; the demo doesn't wait.
	if err := d.control(ctx, http.MethodPatch, "/knobs", map[string]string{"index_delay": "0s"}); err != nil {
		return err
	}
	folder, err := d.one(ctx, "create-folder", map[string]any{"name": "Demo"})
	if err != nil {
		return err
	}
	a, err := d.one(ctx, "create-file", map[string]any{"name": "report.bin", "parent_id": folder.ID}, "--content", small)
	if err != nil {
		return err
	}
	b, err := d.one(ctx, "create-file", map[string]any{"name": "archive.bin", "parent_id": folder.ID}, "--content", large)
	if err != nil {
		return err
	}
	if a.SHA1 != smallSum || b.SHA1 != largeSum || b.Size != largeFile {
		return errors.New("what the service has isn't what was sent")
	}
	if listed, err := d.run(ctx, "get-folder-items", map[string]any{"folder_id": folder.ID, "fields": []string{"name", "size"}}); err != nil || len(listed) != 2 {
		return errors.Join(err, fmt.Errorf("%d items are listed, want 2", len(listed)))
	}
	if found, err := d.run(ctx, "search", map[string]any{"query": "archive", "type": "file"}); err != nil || len(found) == 0 {
		return errors.Join(err, errors.New("the search found nothing"))
	}
	if _, err := d.one(ctx, "update-folder", map[string]any{"folder_id": folder.ID, "description": "Made by the demo"}); err != nil {
		return err
	}
	next, err := d.one(ctx, "upsert-file", map[string]any{"name": "archive.bin", "parent_id": folder.ID}, "--content", small)
	if err != nil {
		return err
	}
	if next.ID != b.ID || next.SHA1 != smallSum {
		return errors.New("that was no new version")
	}
	if _, err := d.one(ctx, "upsert-file", map[string]any{"name": "archive.bin", "parent_id": folder.ID}, "--content", large); err != nil {
		return err
	}
	for id, want := range map[string]string{a.ID: smallSum, b.ID: largeSum} {
		target := filepath.Join(d.home, "downloaded")
		if _, err := d.one(ctx, "get-file", map[string]any{"file_id": id}, "--output", target); err != nil {
			return err
		}
		if got, err := sum(target); err != nil || got != want {
			return errors.Join(err, errors.New("the file that came back is another"))
		}
	}
	d.say("   both files came back as they were sent: %s, %s", smallSum, largeSum)
	if _, err := d.run(ctx, "delete-folder", map[string]any{"folder_id": folder.ID}); err == nil || !strings.Contains(err.Error(), "ITEM_REFUSED") {
		return errors.New("a folder that isn't empty was deleted without being told to")
	}
	d.say("   | a folder that isn't empty is deleted only if it is told")
	_, err = d.run(ctx, "delete-folder", map[string]any{"folder_id": folder.ID, "recursive": true})
	return err
}

// file makes a file of random bytes and returns its digest.
func (d *demo) file(name string, size int64) (path, digest string, err error) {
	path = filepath.Join(d.home, name)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600) //nolint:gosec // in the demo's own folder
	if err != nil {
		return "", "", err
	}
	_, err = io.CopyN(f, rand.Reader, size)
	if err := errors.Join(err, f.Close()); err != nil {
		return "", "", err
	}
	digest, err = sum(path)
	return path, digest, err
}

func sum(path string) (string, error) {
	f, err := os.Open(path) //nolint:gosec // in the demo's own folder
	if err != nil {
		return "", err
	}
	h := sha1.New() //nolint:gosec // see above
	_, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), errors.Join(err, f.Close())
}

// narrowed asks the emulator which tokens the operations' requests carried.
func (d *demo) narrowed(ctx context.Context) error {
	var seen struct {
		Requests []struct {
			Method   string   `json:"method"`
			Path     string   `json:"path"`
			Narrowed bool     `json:"narrowed"`
			Scopes   []string `json:"scopes"`
			Resource string   `json:"resource"`
		} `json:"requests"`
	}
	if err := d.look(ctx, "/requests", &seen); err != nil {
		return err
	}
	shown := map[string]bool{}
	uploads := 0
	for _, r := range seen.Requests {
		upload := strings.Contains(r.Path, "/upload_sessions") || strings.HasSuffix(r.Path, "/files/content")
		if upload && r.Method != http.MethodOptions {
			uploads++
			if !r.Narrowed {
				return fmt.Errorf("%s %s had the whole access", r.Method, r.Path)
			}
		}
		if line := fmt.Sprintf("%s for %s", strings.Join(r.Scopes, " "), or(r.Resource, "everything")); r.Narrowed && !shown[line] {
			shown[line] = true
			d.say("   | narrowed to %s", line)
		}
	}
	if uploads == 0 || len(shown) == 0 {
		return errors.New("the emulator saw no narrowed access")
	}
	return nil
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// look reads from the emulator's control API.
func (d *demo) look(ctx context.Context, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.box.ControlURL+path, http.NoBody)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+d.box.ControlToken)
	resp, err := d.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the emulator's control API answered %d", resp.StatusCode)
	}
	return json.NewDecoder(io.LimitReader(resp.Body, maxLog)).Decode(into)
}

// maxLog bounds what is read of the emulator's log.
const maxLog = 16 << 20
