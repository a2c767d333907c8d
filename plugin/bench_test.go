package plugin_test

import (
	"context"
	"math"
	"os"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/boxconnection/connector/descriptor"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

// BenchmarkValidateSettings compares ValidateSettings through a real process
// with the sum of its parts: a call that does nothing, go-plugin's health
// check, over the same connection, and the reading and validation of the
// settings. Rounds of both are taken in turns; reported
// are the median of the ratios and its 95 % interval. The aim is 1.3.
func BenchmarkValidateSettings(b *testing.B) {
	cmd, dir, err := command()
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	c, err := connect(cmd)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Kill()
	form, err := descriptor.Parse([]byte(schema), []byte(layout))
	if err != nil {
		b.Fatal(err)
	}
	raw := []byte(`{"base_url":"https://api.example.com","mode":"plain","client_secret":"abc"}`)
	ctx := context.Background()
	health := grpc_health_v1.NewHealthClient(c.conn)
	const calls = 300
	validate := func() float64 {
		return perCall(calls, func() {
			if resp, err := c.calls.ValidateSettings(ctx, &connectorv1.ValidateSettingsRequest{Settings: raw}); err != nil || len(resp.GetDiagnostics()) > 0 {
				b.Fatal(resp, err)
			}
		})
	}
	parts := func() float64 {
		return perCall(calls, func() {
			if _, err := health.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: "plugin"}); err != nil {
				b.Fatal(err)
			}
			values, err := descriptor.Decode(raw)
			if err != nil || form.Validate(values) != nil {
				b.Fatal(err)
			}
		})
	}
	validate()
	parts()
	var ratios, times []float64
	for i := 0; b.Loop() || i < 10; i++ {
		var whole, sum float64
		if i%2 == 0 {
			whole, sum = validate(), parts()
		} else {
			sum, whole = parts(), validate()
		}
		ratios, times = append(ratios, whole/sum), append(times, whole)
	}
	low, median, high := interval(ratios)
	_, us, _ := interval(times)
	b.ReportMetric(median, "ratio")
	b.ReportMetric(low, "ratio-low")
	b.ReportMetric(high, "ratio-high")
	b.ReportMetric(us, "µs/call")
}

// BenchmarkStart measures a plugin from its start to its first answer, with
// the certificates of AutoMTLS on both sides.
func BenchmarkStart(b *testing.B) {
	var times []float64
	for b.Loop() {
		cmd, dir, err := command()
		if err != nil {
			b.Fatal(err)
		}
		began := time.Now()
		c, err := connect(cmd)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := c.calls.Describe(context.Background(), &connectorv1.DescribeRequest{}); err != nil {
			b.Fatal(err)
		}
		times = append(times, float64(time.Since(began))/1e6)
		c.Kill()
		_ = os.RemoveAll(dir)
	}
	_, median, _ := interval(times)
	b.ReportMetric(median, "ms/start")
}

// perCall returns the microseconds of one of n calls.
func perCall(n int, call func()) float64 {
	start := time.Now()
	for range n {
		call()
	}
	return float64(time.Since(start)) / 1e3 / float64(n)
}

// interval returns the median and its 95 % interval by order statistics.
func interval(values []float64) (low, median, high float64) {
	slices.Sort(values)
	n := len(values)
	half := int(math.Ceil(0.98 * math.Sqrt(float64(n))))
	return values[max(0, n/2-half)], values[n/2], values[min(n-1, n/2+half)]
}
