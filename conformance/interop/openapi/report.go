package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// report is what a run found.
type report struct {
	checked  int // success answers that the file has a say in
	success  []finding
	failures []finding // rows of the catalogue, and what the emulator refuses by itself
	problems []string  // what makes the run fail beside the success answers
	notes    []string  // where the file contradicts itself

	evidence map[string]string // entry: grade
}

// finding is an answer that was held against the file.
type finding struct {
	name  string
	where string
	grade string // of an error answer
	// status is the answer's.
	status int
	// differs says where the answer doesn't fit; nothing if it does.
	differs []string
	// known are differences that are made on purpose, with their grades.
	known []string
}

// verdict is nil, or errMismatch.
func (rep *report) verdict() error {
	wrong := len(rep.problems)
	for _, f := range rep.success {
		if len(f.differs) > 0 {
			wrong++
		}
	}
	if wrong > 0 {
		return fmt.Errorf("%w: %d findings", errMismatch, wrong)
	}
	return nil
}

// write prints the report.
func (rep *report) write(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(t, format, args...) }
	var wrong, known []string
	say("Success answers\n")
	for _, f := range rep.success {
		outcome := "fits"
		if len(f.differs) > 0 {
			outcome = "DIFFERS"
		}
		say("  %s\t%d\t%s\t%s\n", outcome, f.status, f.name, f.where)
		for _, d := range f.differs {
			wrong = append(wrong, f.name+": "+d)
		}
		known = append(known, f.known...)
	}
	list := func(title string, lines []string) {
		if len(lines) > 0 {
			say("\n%s\n  %s\n", title, strings.Join(lines, "\n  "))
		}
	}
	list("Success answers that differ on purpose", known)
	list("Where the file contradicts itself, which isn't held against anybody", rep.notes)

	differ := 0
	say("\nError answers that differ from the file, with their evidence\n")
	for _, f := range rep.failures {
		if len(f.differs) > 0 {
			differ++
			say("  %s\t%d\t%s\t%s\n", f.grade, f.status, f.name, strings.Join(f.differs, "; "))
		}
	}
	list("DIFFERENCES", wrong)
	list("PROBLEMS", rep.problems)
	say("\n%d success answers, %d of them checked against the file, %d differ; %d error answers, %d differ.\n",
		len(rep.success), rep.checked, len(wrong), len(rep.failures), differ)
	_ = t.Flush() // a terminal that went away misses it
}
