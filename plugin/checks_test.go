package plugin_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/boxconnection/connector/plugin"
	"github.com/boxconnection/connector/proto/connector"
)

func declared() []connector.CheckDeclaration {
	return []connector.CheckDeclaration{
		{ID: "a", Title: "A", SideEffect: connector.SideEffectNone},
		{ID: "b", Title: "B", SideEffect: connector.SideEffectRead, DependsOn: []string{"a"}},
		{ID: "c", Title: "C", SideEffect: connector.SideEffectRead, DependsOn: []string{"b"}},
		{ID: "d", Title: "D", SideEffect: connector.SideEffectWrite},
	}
}

func pass(context.Context) connector.Check { return plugin.Passed("") }

func outcome(checks []connector.Check) string {
	var parts []string
	for _, c := range checks {
		parts = append(parts, c.ID+":"+string(c.Status))
	}
	return strings.Join(parts, " ")
}

func TestRunChecks(t *testing.T) {
	t.Parallel()
	failure := connector.Errorf(connector.ConnectionFailed, connector.OriginNetwork, "no")
	for name, x := range map[string]struct {
		run  map[string]plugin.CheckFunc
		want string
	}{
		"all pass": {map[string]plugin.CheckFunc{"a": pass, "b": pass, "c": pass, "d": pass}, "a:passed b:passed c:passed d:passed"},
		"a failure skips all below it": {map[string]plugin.CheckFunc{
			"a": func(context.Context) connector.Check { return plugin.Failed(failure) }, "b": pass, "c": pass, "d": pass,
		}, "a:failed b:skipped c:skipped d:passed"},
		"a warning counts as passed": {map[string]plugin.CheckFunc{
			"a": func(context.Context) connector.Check { return plugin.Warned(failure) }, "b": pass, "c": pass, "d": pass,
		}, "a:warning b:passed c:passed d:passed"},
		"what isn't there is not supported": {map[string]plugin.CheckFunc{"a": pass, "c": pass, "d": pass}, "a:passed b:not_supported c:skipped d:passed"},
		"a panic fails one check": {map[string]plugin.CheckFunc{
			"a": func(context.Context) connector.Check { panic(secret) }, "b": pass, "c": pass, "d": pass,
		}, "a:failed b:skipped c:skipped d:passed"},
		"a mute failure gets words": {map[string]plugin.CheckFunc{
			"a": func(context.Context) connector.Check { return connector.Check{Status: connector.CheckFailed} }, "d": pass,
		}, "a:failed b:skipped c:skipped d:passed"},
		"nothing to work on": {map[string]plugin.CheckFunc{
			"a": pass, "b": func(context.Context) connector.Check { return plugin.Skipped("no access yet") }, "c": pass, "d": pass,
		}, "a:passed b:skipped c:skipped d:passed"},
	} {
		checks := slices.Collect(plugin.RunChecks(t.Context(), declared(), x.run))
		if got := outcome(checks); got != x.want {
			t.Errorf("%s: %s", name, got)
		}
		for i, c := range checks {
			d := declared()[i]
			if c.Title != d.Title || c.SideEffect != d.SideEffect || !slices.Equal(c.DependsOn, d.DependsOn) {
				t.Errorf("%s: %+v lacks what was declared", name, c)
			}
			if c.Status == connector.CheckFailed && (c.Diagnostic == nil || strings.Contains(c.Diagnostic.Error(), secret)) {
				t.Errorf("%s: diagnostic %v", name, c.Diagnostic)
			}
		}
	}
}

func TestCancelledTestRunsNoMore(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	checks := slices.Collect(plugin.RunChecks(ctx, declared(), map[string]plugin.CheckFunc{
		"a": pass, "c": pass, "d": pass,
		"b": func(ctx context.Context) connector.Check {
			cancel()
			return plugin.Failed(ctx.Err())
		},
	}))
	if got := outcome(checks); got != "a:passed b:not_run c:not_run d:not_run" {
		t.Errorf("got %s", got)
	}
}

func TestChecksAreTimed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		checks := slices.Collect(plugin.RunChecks(t.Context(), declared(), map[string]plugin.CheckFunc{
			"a": func(context.Context) connector.Check {
				time.Sleep(3 * time.Second) // of the bubble's clock
				return plugin.Passed("")
			},
		}))
		if checks[0].Duration != 3*time.Second || checks[1].Duration != 0 {
			t.Errorf("durations %v, %v", checks[0].Duration, checks[1].Duration)
		}
	})
}

func TestCallerMayStopEarly(t *testing.T) {
	t.Parallel()
	ran := 0
	count := func(context.Context) connector.Check { ran++; return plugin.Passed("") }
	for range plugin.RunChecks(t.Context(), declared(), map[string]plugin.CheckFunc{"a": count, "b": count}) {
		break
	}
	if ran != 1 {
		t.Errorf("%d checks ran", ran)
	}
}
