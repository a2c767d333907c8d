package main_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// minSecret is the length from which on a secret can be looked for: a shorter
// one would be found by chance.
const minSecret = 12

// vault is all that must not be found anywhere, by what it is.
type vault struct {
	mu      sync.Mutex
	secrets map[string]canary
}

// canary is a secret's kind and its forms, by encoding.
type canary struct {
	what  string
	forms map[string]string
}

// keep remembers a secret.
func (v *vault) keep(what, secret string) {
	if len(secret) < minSecret {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.secrets == nil {
		v.secrets = map[string]canary{}
	}
	if _, known := v.secrets[secret]; !known {
		v.secrets[secret] = canary{what, encodings(secret)}
	}
}

// kinds counts the secrets by what they are.
func (v *vault) kinds() map[string]int {
	v.mu.Lock()
	defer v.mu.Unlock()
	counts := map[string]int{}
	for _, c := range v.secrets {
		counts[c.what]++
	}
	return counts
}

// find names the secrets that stand in data, in whatever encoding.
func (v *vault) find(data []byte) []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	var found []string
	for _, c := range v.secrets {
		for encoding, form := range c.forms {
			if bytes.Contains(data, []byte(form)) {
				found = append(found, fmt.Sprintf("%s (%s)", c.what, encoding))
			}
		}
	}
	slices.Sort(found)
	return found
}

// encodings are the forms in which a secret may slip out.
func encodings(secret string) map[string]string {
	quoted, _ := json.Marshal(secret) // a string can always be marshalled
	var plain bytes.Buffer
	e := json.NewEncoder(&plain)
	e.SetEscapeHTML(false)
	_ = e.Encode(secret)
	forms := map[string]string{
		"raw": secret, "query": url.QueryEscape(secret), "path": url.PathEscape(secret),
		"JSON": strings.Trim(string(quoted), `"`), "plain JSON": strings.Trim(strings.TrimSpace(plain.String()), `"`),
		"Go":  strings.Trim(fmt.Sprintf("%q", secret), `"`),
		"hex": hex.EncodeToString([]byte(secret)), "HEX": strings.ToUpper(hex.EncodeToString([]byte(secret))),
	}
	for shift := range 3 { // base64 looks different at each offset
		padded := []byte(strings.Repeat("\x00", shift) + secret)
		// The first characters also hold what comes before, the last ones what
		// comes after.
		from, to := (shift*8+5)/6, len(padded)*8/6
		forms[fmt.Sprintf("base64+%d", shift)] = base64.RawStdEncoding.EncodeToString(padded)[from:to]
		forms[fmt.Sprintf("base64url+%d", shift)] = base64.RawURLEncoding.EncodeToString(padded)[from:to]
	}
	return forms
}

// scanFiles looks through all files below a folder. Programs are left out:
// they are copies of the tested ones, which know no secret.
func (v *vault) scanFiles(folder string, allowed func(path string) bool) (found []string, files int) {
	for path, data := range smallFiles(folder) {
		if allowed(path) {
			continue
		}
		files++
		for _, what := range append(v.find(data), v.find([]byte(path))...) {
			found = append(found, what+" in "+path)
		}
	}
	return found, files
}

// smallFiles reads the files below a folder that aren't programs. What goes
// away meanwhile is left out.
func smallFiles(folder string) map[string][]byte {
	files := map[string][]byte{}
	_ = filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil && info.Size() <= maxScanned {
				if data, err := os.ReadFile(path); err == nil {
					files[path] = data
				}
			}
		}
		return nil
	})
	return files
}

// maxScanned is above all files but the programs.
const maxScanned = 4 << 20

// A planted secret is found in each encoding, whatever stands before and after
// it: the scan can fail.
func TestScanFindsEachEncoding(t *testing.T) {
	t.Parallel()
	const secret = `p+l/a%n&t=e"d <secrét> 0815`
	var v vault
	v.keep("planted", secret)
	quoted, err := json.Marshal(map[string]string{"k": secret})
	if err != nil {
		t.Fatal(err)
	}
	planted := map[string]string{
		"raw": "x" + secret + "y", "query": "?a=" + url.QueryEscape(secret) + "&b", "json": string(quoted),
		"hex": hex.EncodeToString([]byte("ab" + secret + "cd")), "HEX": strings.ToUpper(hex.EncodeToString([]byte(secret))),
		"quoted": fmt.Sprintf("value=%q", secret),
	}
	for before := range 7 {
		text := []byte(strings.Repeat("x", before) + secret + "tail")
		for after := range 3 {
			planted[fmt.Sprintf("std%d%d", before, after)] = base64.StdEncoding.EncodeToString(text[:len(text)-after])
			planted[fmt.Sprintf("url%d%d", before, after)] = base64.RawURLEncoding.EncodeToString(text[:len(text)-after])
		}
	}
	for name, text := range planted {
		folder := t.TempDir()
		if err := os.WriteFile(filepath.Join(folder, "log"), []byte("some text\n"+text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if found, _ := v.scanFiles(folder, func(string) bool { return false }); len(found) == 0 {
			t.Errorf("%s isn't found: %s", name, text)
		}
	}
	if found := v.find([]byte("nothing of it: planted secret 0815")); len(found) > 0 {
		t.Errorf("found what isn't there: %v", found)
	}
}
