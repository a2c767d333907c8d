package main_test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// visit [deny] URL [LOGIN] goes the browser's way; stdout is the last page's
// status and text.
func cmdVisit(ts *testscript.TestScript, w *world, args []string) error {
	var v visitor
	if len(args) > 0 && args[0] == "deny" {
		v.deny, args = true, args[1:]
	}
	if len(args) == 2 {
		v.login, args = args[1], args[:1]
	}
	if len(args) != 1 {
		return errUsage
	}
	page, err := w.visit(context.Background(), args[0], v)
	_, _ = ts.Stdout().Write([]byte(page)) // in memory
	return err
}

// browse NAME URL is visit in the background.
func cmdBrowse(_ *testscript.TestScript, w *world, args []string) error {
	if len(args) != 2 {
		return errUsage
	}
	w.browse(args[0], args[1])
	return nil
}

// leave NAME closes the window of a background visit.
func cmdLeave(_ *testscript.TestScript, w *world, args []string) error {
	if len(args) != 1 || w.leave[args[0]] == nil {
		return errUsage
	}
	w.leave[args[0]]()
	<-w.pages[args[0]]
	return nil
}

// page NAME waits for the last page of a background visit and makes it stdout;
// empty if there was none.
func cmdPage(ts *testscript.TestScript, w *world, args []string) error {
	if len(args) != 1 || w.pages[args[0]] == nil {
		return errUsage
	}
	_, _ = ts.Stdout().Write([]byte(<-w.pages[args[0]])) // in memory
	return nil
}

// fetch METHOD URL [HEADER...] sends a request; stdout is the answer's status,
// location and text. Negated, nobody may answer.
func cmdFetch(ts *testscript.TestScript, neg bool, args []string) {
	w := ts.Value(worldKey{}).(*world)
	if len(args) < 2 {
		ts.Check(errUsage)
	}
	page, err := w.fetch(args[0], args[1], args[2:])
	_, _ = ts.Stdout().Write([]byte(page)) // in memory
	if neg {
		if err == nil {
			ts.Fatalf("somebody answered")
		}
		return
	}
	ts.Check(err)
}

// port VAR finds a port that is free on both of localhost's addresses.
func cmdPort(ts *testscript.TestScript, _ *world, args []string) error {
	if len(args) != 1 {
		return errUsage
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return err
	}
	ts.Setenv(args[0], port)
	return l.Close()
}

// occupy ADDRESS listens there until the script ends; with "free" after it, it
// only looks whether it can.
func cmdOccupy(_ *testscript.TestScript, w *world, args []string) error {
	if len(args) == 0 {
		return errUsage
	}
	l, err := net.Listen("tcp", args[0])
	if err != nil {
		return err
	}
	if len(args) == 2 && args[1] == "free" {
		return l.Close()
	}
	w.onClose(func() { _ = l.Close() })
	return nil
}

// boxsim NAME ARGS... starts an emulator that allows every sign-in at once. It
// writes NAME.json and NAME.secret and sets the variables of its addresses.
func cmdBoxsim(ts *testscript.TestScript, w *world, args []string) error {
	if len(args) == 0 {
		return errUsage
	}
	for i, a := range args {
		if strings.HasSuffix(a, ".pem") || strings.HasSuffix(a, ".secret") {
			args[i] = ts.MkAbs(a)
		}
	}
	e, err := w.boxsim(args[0], args[1:]...)
	if err != nil {
		return err
	}
	return export(ts, e)
}

// using NAME makes an emulator that was started before the one that is meant.
func cmdUsing(ts *testscript.TestScript, w *world, args []string) error {
	if len(args) != 1 || w.boxes[args[0]] == nil {
		return errUsage
	}
	w.box = w.boxes[args[0]]
	return export(ts, w.box)
}

// export sets the variables of an emulator's addresses.
func export(ts *testscript.TestScript, e *emulator) error {
	host, err := url.Parse(e.APIURL)
	if err != nil {
		return err
	}
	for name, value := range map[string]string{
		"AUTHORIZE_URL": e.AuthorizeURL, "TOKEN_URL": e.TokenURL, "REVOKE_URL": e.RevokeURL, "API_URL": e.APIURL,
		"CLIENT_ID": e.ClientID, "BOX_HOST": host.Host, "BOX_PORT": host.Port(),
	} {
		ts.Setenv(name, value)
	}
	return nil
}

// sim METHOD PATH [BODY] calls the emulator's control API; stdout is the
// answer.
func cmdSim(ts *testscript.TestScript, w *world, args []string) error {
	if len(args) < 2 || len(args) > 3 {
		return errUsage
	}
	answer, err := w.box.control(args[0], args[1], strings.Join(args[2:], ""))
	_, _ = ts.Stdout().Write(answer) // in memory
	return err
}

// fault FAULT [VAR] adds a fault to the emulator and puts its ID into a
// variable.
func cmdFault(ts *testscript.TestScript, w *world, args []string) error {
	if len(args) == 0 || len(args) > 2 {
		return errUsage
	}
	id, err := w.box.fault(args[0])
	if err != nil {
		return err
	}
	return assign(ts, []string{id}, args[1:])
}

// seen N QUERY wants that exactly so many requests reached the emulator.
func cmdSeen(_ *testscript.TestScript, w *world, args []string) error {
	if len(args) != 2 {
		return errUsage
	}
	want, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	list, err := w.box.requests(args[1])
	if err == nil && len(list) != want {
		err = fmt.Errorf("%d requests match %s, want %d: %+v", len(list), args[1], want, list)
	}
	return err
}

// spaced DURATION QUERY wants the last request that reached the emulator at
// least so long after the one before.
func cmdSpaced(_ *testscript.TestScript, w *world, args []string) error {
	if len(args) != 2 {
		return errUsage
	}
	least, err := time.ParseDuration(args[0])
	if err != nil {
		return err
	}
	list, err := w.box.requests(args[1])
	if err != nil {
		return err
	}
	if len(list) < 2 {
		return fmt.Errorf("only %d requests match %s", len(list), args[1])
	}
	before, last := list[len(list)-2], list[len(list)-1]
	if gap := last.Time.Sub(before.Time); gap < least {
		return fmt.Errorf("%s after %+v came %+v", gap, before, last)
	}
	return nil
}

// await QUERY [N] waits until a request, or N of them, reach the emulator.
func cmdAwait(_ *testscript.TestScript, w *world, args []string) error {
	n := 1
	switch len(args) {
	case 1:
	case 2:
		var err error
		if n, err = strconv.Atoi(args[1]); err != nil {
			return err
		}
	default:
		return errUsage
	}
	return w.box.await(args[0], n)
}

// issue NAME makes a private CA in NAME.pem and a certificate of it for
// localhost and box.test in NAME-server.pem and NAME-key.pem, and lets the browser trust it.
func cmdIssue(_ *testscript.TestScript, w *world, args []string) error {
	if len(args) != 1 {
		return errUsage
	}
	return w.issue(filepath.Join(w.dir, args[0]))
}

// proxy [USER PASSWORD] starts a recording proxy, sets PROXY_HOST, and writes
// its URL, with the password, to proxy.url.
func cmdProxy(ts *testscript.TestScript, w *world, args []string) error {
	u := &url.URL{Scheme: "http"}
	if len(args) == 2 {
		u.User = url.UserPassword(args[0], args[1])
	}
	p, err := w.startProxy(u.User)
	if err != nil {
		return err
	}
	u.Host = p.host()
	ts.Setenv("PROXY_HOST", u.Host)
	return os.WriteFile(filepath.Join(w.dir, "proxy.url"), []byte(u.String()+"\n"), 0o600)
}

// proxied PATTERN wants a request line in the proxy's record, or none if
// negated; without a pattern the record is emptied.
func cmdProxied(ts *testscript.TestScript, neg bool, args []string) {
	w := ts.Value(worldKey{}).(*world)
	record := w.proxy.lines(len(args) == 0)
	if len(args) == 0 {
		return
	}
	re, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	if re.MatchString(record) == neg {
		ts.Fatalf("the proxy's record:\n%s", record)
	}
}

// apart NAME NAME wants that two emulators have seen nothing of each other's:
// neither the client nor a token, code or secret.
func cmdApart(_ *testscript.TestScript, w *world, args []string) error {
	if len(args) != 2 || w.boxes[args[0]] == nil || w.boxes[args[1]] == nil {
		return errUsage
	}
	return apart(w.boxes[args[0]], w.boxes[args[1]])
}

func apart(boxes ...*emulator) error {
	owners := map[string]*emulator{}
	for _, box := range boxes {
		seen, err := box.requests("")
		if err != nil {
			return err
		}
		for _, r := range seen {
			words := []string{r.ClientID}
			for _, fingerprint := range r.Tokens {
				words = append(words, fingerprint)
			}
			for _, word := range words {
				if owner := owners[word]; word != "" && owner != nil && owner != box {
					return fmt.Errorf("%s at %s belongs to another service: %+v", word, r.Path, r)
				}
				owners[word] = box
			}
		}
	}
	return nil
}
