package main_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// stepWithin bounds what a person does and sees in one step.
const stepWithin = 25 * time.Second

// artifacts is where screenshots are kept.
var artifacts = filepath.Join("..", "..", "..", ".artifacts", "page")

// chromium starts a browser, which ends with the test.
func chromium(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("the tests of the connection page need Chromium (Debian: apt-get install chromium)")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-popup-blocking", false), chromedp.WindowSize(900, 900),
		chromedp.WSURLReadTimeout(2*time.Minute),
	)
	ctx, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, leave := chromedp.NewContext(ctx)
	t.Cleanup(leave)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// action is a step that brings nothing back.
type action = chromedp.Action[chromedp.Void]

// css names elements of a page.
func css(selector string) chromedp.CSS { return chromedp.CSS(selector) }

// window is a browser's window, as a person uses it.
type window struct {
	t   *testing.T
	ctx context.Context
}

// person opens a window that shares nothing with those of others.
func person(t *testing.T, browser context.Context) *window {
	t.Helper()
	ctx, leave := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t.Cleanup(leave)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	return &window{t, ctx}
}

// another opens a further window of the same person.
func (w *window) another() *window {
	w.t.Helper()
	ctx, leave := chromedp.NewContext(w.ctx)
	w.t.Cleanup(leave)
	if err := chromedp.Do(ctx); err != nil {
		w.t.Fatal(err)
	}
	return &window{w.t, ctx}
}

// do runs actions and wants them to work.
func (w *window) do(actions ...action) {
	w.t.Helper()
	if err := w.try(actions...); err != nil {
		w.shot("failed")
		w.t.Fatalf("%v; the page says:\n%s", err, w.all())
	}
}

func (w *window) try(actions ...action) error {
	ctx, cancel := context.WithTimeout(w.ctx, stepWithin)
	defer cancel()
	return chromedp.Do(ctx, actions...)
}

// ask evaluates a script's expression.
func ask[T any](w *window, expression string) (T, error) {
	ctx, cancel := context.WithTimeout(w.ctx, stepWithin)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[T](expression))
}

// open goes to an address.
func (w *window) open(address string) {
	w.t.Helper()
	w.do(chromedp.Navigate(address))
}

// press clicks what is shown.
func (w *window) press(selector string) {
	w.t.Helper()
	w.do(chromedp.WaitVisible(css(selector)), chromedp.ScrollIntoView(css(selector)), chromedp.Click(css(selector)))
}

// fill replaces what is in an input by typing.
func (w *window) fill(selector, text string) {
	w.t.Helper()
	w.do(chromedp.WaitVisible(css(selector)), chromedp.Focus(css(selector)),
		chromedp.Evaluate[chromedp.Void](fmt.Sprintf("document.querySelector(%q).select()", selector)),
		chromedp.SendKeys(css(selector), text))
}

// value evaluates a script's expression.
func (w *window) value(expression string) string {
	w.t.Helper()
	s, err := ask[string](w, "String("+expression+")")
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// all is the text that the window shows.
func (w *window) all() string {
	s, _ := ask[string](w, "document.body.innerText") // a window that is gone shows nothing
	return s
}

// sees waits until an element shows each of the texts.
func (w *window) sees(selector string, texts ...string) {
	w.t.Helper()
	var shown string
	err := eventually(fmt.Sprintf("%s shows %q", selector, texts), stepWithin, func() bool {
		shown, _ = ask[string](w, fmt.Sprintf("(document.querySelector(%q) ?? {}).innerText ?? ''", selector)) // the page may be on its way
		for _, text := range texts {
			if !strings.Contains(shown, text) {
				return false
			}
		}
		return true
	})
	if err != nil {
		w.shot("failed")
		w.t.Fatalf("%v; it shows %q on:\n%s", err, shown, w.all())
	}
}

// at waits until the window's address holds a text.
func (w *window) at(text string) {
	w.t.Helper()
	var at string
	err := eventually("the address holds "+text, stepWithin, func() bool {
		at, _ = ask[string](w, "location.href")
		return strings.Contains(at, text)
	})
	if err != nil {
		w.shot("failed")
		w.t.Fatalf("%v; it is %s:\n%s", err, at, w.all())
	}
}

// popup presses what opens a window, and returns that one.
func (w *window) popup(selector string) *window {
	w.t.Helper()
	opened := chromedp.WaitNewTarget(w.ctx, func(i *target.Info) bool { return i.Type == "page" })
	w.press(selector)
	select {
	case id := <-opened:
		ctx, leave := chromedp.NewContext(w.ctx, chromedp.WithTargetID(id))
		w.t.Cleanup(leave)
		if err := chromedp.Do(ctx); err != nil {
			w.t.Fatal(err)
		}
		return &window{w.t, ctx}
	case <-time.After(stepWithin):
		w.shot("failed")
		w.t.Fatalf("no window opened; the page says:\n%s", w.all())
		return nil
	}
}

// close closes the window as a person does.
func (w *window) close() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, stepWithin)
	defer cancel()
	if _, err := cdp.Call(ctx, chromedp.FromContext(w.ctx).Target, page.Close, cdp.Empty{}); err != nil {
		w.t.Fatal(err)
	}
}

// shot keeps a picture of the window: wide and light, and dark on a phone.
func (w *window) shot(name string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, stepWithin)
	defer cancel()
	for _, look := range []struct {
		suffix, scheme string
		width          int64
	}{{"", "light", 900}, {"-dark", "dark", 360}} {
		err := w.picture(ctx, filepath.Join(artifacts, name+look.suffix+".png"), look.scheme, look.width)
		if errors.Is(err, errSideways) {
			w.t.Errorf("%s%s: %v", name, look.suffix, err)
		} else if err != nil {
			w.t.Logf("no picture of %s: %v", name, err)
		}
	}
}

// errSideways is a page that is too wide for its window.
var errSideways = errors.New("it scrolls sideways")

func (w *window) picture(ctx context.Context, path, scheme string, width int64) error {
	tab := chromedp.FromContext(w.ctx).Target
	_, err := cdp.Call(ctx, tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
	if err != nil {
		return err
	}
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(width, 900)); err != nil {
		return err
	}
	wide, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("document.documentElement.scrollWidth > document.documentElement.clientWidth"))
	if err != nil {
		return err
	}
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		return err
	}
	if err := chromedp.Do(ctx, chromedp.ResetViewport()); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, png, 0o644); err != nil {
		return err
	}
	if wide {
		return errSideways
	}
	return nil
}
