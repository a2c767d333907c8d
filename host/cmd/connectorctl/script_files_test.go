package main_test

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// same FILE PATTERN wants that all matches have one first group.
func cmdSame(ts *testscript.TestScript, _ *world, args []string) error {
	if len(args) != 2 {
		return errUsage
	}
	re, err := regexp.Compile(args[1])
	if err != nil {
		return err
	}
	all := re.FindAllStringSubmatch(ts.ReadFile(args[0]), -1)
	for _, m := range all {
		if m[1] != all[0][1] {
			return errors.New("the matches differ")
		}
	}
	if len(all) < 2 {
		return errors.New("there are fewer than two matches")
	}
	return nil
}

// user makes a script that root runs go on as a user without rights.
func cmdUser(_ *testscript.TestScript, w *world, _ []string) error { return w.dropRights() }

// capture FILE PATTERN VAR... puts a pattern's groups into variables. The file
// may be stdout or stderr.
func cmdCapture(ts *testscript.TestScript, _ *world, args []string) error {
	if len(args) < 3 {
		return errUsage
	}
	re, err := regexp.Compile("(?m)" + args[1])
	if err != nil {
		return err
	}
	m := re.FindStringSubmatch(ts.ReadFile(args[0]))
	if m == nil {
		return fmt.Errorf("%s doesn't match %q", args[0], args[1])
	}
	return assign(ts, m[1:], args[2:])
}

// json FILE... wants nothing but JSON, one value a line, and at least one.
func cmdJSON(ts *testscript.TestScript, _ *world, args []string) error {
	for _, file := range args {
		if err := jsonLines(ts.ReadFile(file)); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

// suggested FILE wants that each failed check, one JSON value a line, says what
// to do, and that there is one.
func cmdSuggested(ts *testscript.TestScript, _ *world, args []string) error {
	if len(args) != 1 {
		return errUsage
	}
	failed := 0
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		var check struct {
			Status     string `json:"status"`
			Diagnostic struct {
				Suggestion string `json:"suggestion"`
			} `json:"diagnostic"`
		}
		if err := json.Unmarshal([]byte(line), &check); err != nil {
			return err
		}
		if check.Status != "failed" {
			continue
		}
		if failed++; check.Diagnostic.Suggestion == "" {
			return fmt.Errorf("no suggestion: %s", line)
		}
	}
	if failed == 0 {
		return errors.New("no check failed")
	}
	return nil
}

// drafts N wants that so many drafts are stored.
func cmdDrafts(_ *testscript.TestScript, w *world, args []string) error {
	if len(args) != 1 {
		return errUsage
	}
	records, err := filepath.Glob(filepath.Join(w.home(), "store", "records", "*"))
	if err != nil {
		return err
	}
	if len(records) == 0 {
		return errors.New("there are no records")
	}
	n := 0
	for _, path := range records {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if strings.Contains(string(data), `"draft"`) {
			n++
		}
	}
	if args[0] != strconv.Itoa(n) {
		return fmt.Errorf("%d drafts are stored", n)
	}
	return nil
}

// bytes FILE TEXT writes a file; the text is a Go string's inside, so that
// bytes can be written as \xff and characters as \u00a0.
func cmdBytes(ts *testscript.TestScript, _ *world, args []string) error {
	if len(args) != 2 {
		return errUsage
	}
	text, err := strconv.Unquote(`"` + strings.ReplaceAll(args[1], `"`, `\"`) + `"`)
	if err != nil {
		return err
	}
	return os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600)
}

// replace FILE OLD NEW changes a text in a file.
func cmdReplace(ts *testscript.TestScript, _ *world, args []string) error {
	if len(args) != 3 {
		return errUsage
	}
	text := strings.ReplaceAll(ts.ReadFile(args[0]), args[1], args[2])
	return os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600)
}

// flip FILE changes the byte in the middle of a file.
func cmdFlip(ts *testscript.TestScript, _ *world, args []string) error {
	for _, name := range args {
		name = ts.MkAbs(name)
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		data[len(data)/2] ^= 1
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(name, data, info.Mode().Perm()); err != nil {
			return err
		}
	}
	return nil
}

// random FILE BYTES makes a file of random bytes.
func cmdRandom(ts *testscript.TestScript, _ *world, args []string) error {
	if len(args) != 2 {
		return errUsage
	}
	size, err := strconv.ParseInt(args[1], 10, 64)
	if err != nil {
		return err
	}
	f, err := os.Create(ts.MkAbs(args[0]))
	if err != nil {
		return err
	}
	_, err = io.CopyN(f, rand.Reader, size)
	return errors.Join(err, f.Close())
}

// appears FILE waits until there is such a file.
func cmdAppears(ts *testscript.TestScript, _ *world, args []string) error {
	if len(args) != 1 {
		return errUsage
	}
	for end := time.Now().Add(patience); ; {
		if _, err := os.Stat(ts.MkAbs(args[0])); err == nil {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s doesn't appear", args[0])
		}
		time.Sleep(pollFile)
	}
}

// pollFile is how often a file is looked for.
const pollFile = 10 * time.Millisecond
