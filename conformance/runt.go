package conformance

import "testing"

// RunT judges a target in a test, each check as a subtest. A MUST that isn't
// green fails the test, and so does a SHOULD that wasn't run; a SHOULD that is
// broken is logged.
func RunT(t *testing.T, target Target, o Options) {
	t.Helper()
	r, err := Run(t.Context(), target, o)
	if r == nil {
		t.Fatal(err)
	}
	for i := range r.Results {
		res := &r.Results[i]
		t.Run(res.ID, func(t *testing.T) {
			for _, m := range res.Messages {
				t.Log(m)
			}
			switch {
			case res.Known:
				t.Log("a known failure")
			case !res.Verdict.Green() && (res.Level == "MUST" || res.Verdict != Warn):
				t.Errorf("%s: %v, %s", res.Verdict, res.Clauses, res.Title)
			}
		})
	}
	for _, stale := range r.Stale {
		t.Error(stale)
	}
	if err != nil {
		t.Error(err)
	}
}
