//go:build unix

package host_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/boxconnection/connector/host"
	"github.com/boxconnection/connector/host/launch"
	"github.com/boxconnection/connector/proto/benchtest"
	operationv1 "github.com/boxconnection/connector/proto/integration/operation/v1"
)

// BenchmarkDownload compares a download through an operation, from the
// service's HTTP answer to the engine's reader, with a bare relay from HTTP to
// gRPC in a process of its own: same chunks, same TLS, one running digest.
func BenchmarkDownload(b *testing.B) {
	const size = 64 << 20
	o := newOperating(b)
	chunk := random(1 << 20)
	o.api.answer(func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Length", strconv.Itoa(size))
		for range size / len(chunk) {
			if _, err := w.Write(chunk); err != nil {
				return true
			}
		}
		return true
	})
	relay := load(b, launcher(b, launch.Options{}), build(b, "./testdata/relay"), launch.AnyDigest())
	input, err := json.Marshal(map[string]string{"URL": o.api.url + "/items/a", "Authorization": "Bearer access-1"})
	if err != nil {
		b.Fatal(err)
	}
	bare := func() time.Duration {
		began := time.Now()
		stream, err := operationv1.NewOperationServiceClient(relay).Run(b.Context())
		if err == nil {
			err = stream.Send(&operationv1.RunRequest{Part: &operationv1.RunRequest_Start{Start: &operationv1.Start{Execution: "x", Input: input}}})
		}
		n := 0
		for err == nil {
			var part *operationv1.RunResponse
			if part, err = stream.Recv(); err == nil {
				n += len(part.GetChunk())
			}
		}
		if !errors.Is(err, io.EOF) || n != size {
			b.Fatal(n, err)
		}
		return time.Since(began)
	}
	through := func() time.Duration {
		began := time.Now()
		var n int64
		for event, err := range o.conn.Run(b.Context(), o.ops, "download", host.Input{Document: json.RawMessage(`{"path":"a"}`)}) {
			if err == nil && event.Document != nil {
				n, err = io.Copy(io.Discard, event.Document.Content)
			}
			if err != nil {
				b.Fatal(err)
			}
		}
		if n != size {
			b.Fatal(n)
		}
		return time.Since(began)
	}
	benchtest.Compare(b, benchtest.Bound{Ratio: 1 / 0.9}, 1, bare, through)
}
