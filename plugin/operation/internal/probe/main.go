// Command probe is a set of operations for tests: each does one thing that a
// host must cope with.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/boxconnection/connector/plugin/operation"
	"github.com/boxconnection/connector/proto/connector"
)

func main() {
	operation.Main(operation.Plugin{
		ID: "probe", Title: "Probe", Version: "1", Connector: "fake",
		Operations: operation.Set{
			{ID: "get", Title: "Get", Effect: operation.Read, Scopes: []string{"read"}, Run: operation.Func(get)},
			{ID: "get-narrow", Title: "Get with less", Effect: operation.Read, Narrow: []string{"item_read"}, Resource: "{api}/items/{path}", Run: operation.Func(get)},
			{ID: "admin", Title: "Administer", Effect: operation.Write, Scopes: []string{"read", "admin"}, Run: operation.Func(get)},
			{ID: "pages", Title: "Pages", Effect: operation.Read, Resumable: true, Run: operation.Stream(pages)},
			{ID: "download", Title: "Download", Effect: operation.Read, GivesContent: true, Run: operation.Stream(download)},
			{ID: "upload", Title: "Upload", Effect: operation.Write, TakesContent: true, Run: operation.Func(upload)},
			{ID: "flood", Title: "Flood", Effect: operation.Read, Run: operation.Stream(flood)},
			{ID: "panic", Title: "Panic", Effect: operation.Read, Run: operation.Func(fall)},
			{ID: "hang", Title: "Hang", Effect: operation.Read, Run: operation.Func(hang)},
			{ID: "exit", Title: "Exit", Effect: operation.Read, Run: operation.Func(exit)},
			{ID: "environment", Title: "Environment", Effect: operation.Read, Run: operation.Func(environment)},
		},
	})
}

// Input is what most operations take.
type Input struct {
	Path  string `json:"path" title:"Path" minLength:"1"`
	Times int    `json:"times" default:"1" minimum:"1" maximum:"100000"`
}

// Answer is the service's.
type Answer struct {
	Status int    `json:"status"`
	Body   string `json:"body"`
	Sum    int64  `json:"sum,omitempty"`
}

// Tracked implements operation.Tracker.
func (a *Answer) Tracked() map[string]string {
	return map[string]string{"status": strconv.Itoa(a.Status)}
}

func request(ctx context.Context, s *operation.Session, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Endpoint("api").JoinPath("items", path).String(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := s.HTTPClient().Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusNotFound {
		_ = resp.Body.Close()
		return nil, connector.Errorf(connector.ItemNotFound, connector.OriginService, "There is no such item.")
	}
	return resp, nil
}

func get(ctx context.Context, s *operation.Session, in *Input, out *Answer) error {
	for range in.Times {
		resp, err := request(ctx, s, in.Path)
		if err != nil {
			return err
		}
		body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
		_ = resp.Body.Close()
		if err != nil {
			return err
		}
		out.Status, out.Body = resp.StatusCode, string(body)
	}
	return nil
}

// Page is one of many.
type Page struct {
	Number int `json:"number"`
}

func pages(_ context.Context, s *operation.Session, in *Input, out *operation.Output[Page]) error {
	first := 0
	if at, ok := s.Resume(); ok {
		if err := json.Unmarshal(at, &first); err != nil {
			return connector.Errorf(connector.CheckpointUnreadable, connector.OriginConnector, "The checkpoint isn't one of this operation.")
		}
	}
	for n := first; n < in.Times; n++ {
		if in.Path == "break" && n == in.Times/2 && first == 0 {
			return errors.New("it broke")
		}
		if err := out.Send(&Page{n}); err != nil {
			return err
		}
		if err := s.Checkpoint([]byte(strconv.Itoa(n + 1))); err != nil {
			return err
		}
		s.Progress(int64(n+1), int64(in.Times))
	}
	return nil
}

func download(ctx context.Context, s *operation.Session, in *Input, out *operation.Output[Answer]) error {
	resp, err := request(ctx, s, in.Path)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	return out.SendContent(&Answer{Status: resp.StatusCode}, resp.Body, resp.ContentLength)
}

func upload(ctx context.Context, s *operation.Session, in *Input, out *Answer) error {
	u := s.Endpoint("api").JoinPath("items", in.Path)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), s.Content())
	if err != nil {
		return err
	}
	req.ContentLength = s.Content().Length
	resp, err := s.HTTPClient().Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	out.Status, out.Body = resp.StatusCode, string(body)
	return err
}

func flood(_ context.Context, _ *operation.Session, in *Input, out *operation.Output[Answer]) error {
	big := make([]byte, 1<<15)
	for i := range big {
		big[i] = 'x'
	}
	for n := range in.Times {
		if err := out.Send(&Answer{Status: n, Body: string(big)}); err != nil {
			return err
		}
	}
	return nil
}

func fall(context.Context, *operation.Session, *Input, *Answer) error {
	var none *Input
	return fmt.Errorf("%s", none.Path)
}

func hang(ctx context.Context, _ *operation.Session, in *Input, _ *Answer) error {
	if in.Path == "deaf" {
		time.Sleep(time.Minute)
	}
	<-ctx.Done()
	return ctx.Err()
}

func exit(context.Context, *operation.Session, *Input, *Answer) error {
	os.Exit(3)
	return nil
}

func environment(_ context.Context, _ *operation.Session, _ *Input, out *Answer) error {
	out.Status, out.Body = os.Getpid(), fmt.Sprint(os.Environ(), os.Args)
	return nil
}
