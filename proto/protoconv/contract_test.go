package protoconv_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/boxconnection/connector/proto/connector"
	"github.com/boxconnection/connector/proto/handshake"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
	"github.com/boxconnection/connector/proto/protoconv"
)

func contract(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../integration/CONTRACT.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Authors in other languages have the contract's table alone.
func TestContractTellsTheGRPCCodes(t *testing.T) {
	t.Parallel()
	told := map[connector.Code]string{}
	row := regexp.MustCompile("(?m)^\\| `([A-Z_]+)` \\| (`[A-Z_]+`(?:, `[A-Z_]+`)*) \\|$")
	for _, m := range row.FindAllStringSubmatch(contract(t), -1) {
		for code := range strings.SplitSeq(m[2], ", ") {
			told[connector.Code(strings.Trim(code, "`"))] = m[1]
		}
	}
	for number, name := range connectorv1.Code_name {
		// From 110 to 139 they are the host's; those about loading a plugin too.
		code := connector.Code(strings.TrimPrefix(name, "CODE_"))
		if number == 0 || number >= 110 && number < 140 || strings.HasPrefix(string(code), "PLUGIN_") && told[code] == "" {
			continue
		}
		var want codes.Code
		if err := want.UnmarshalJSON(fmt.Appendf(nil, "%q", told[code])); err != nil || protoconv.GRPCCode(code) != want {
			t.Errorf("%s is told as %q, and sent as %s", code, told[code], protoconv.GRPCCode(code))
		}
	}
}

func TestContractTellsTheConstants(t *testing.T) {
	t.Parallel()
	text := contract(t)
	for _, want := range []string{
		handshake.CookieKey, handshake.CookieValue, handshake.DeathFD, handshake.SocketDir,
		fmt.Sprintf("(%d bytes)", handshake.MaxMessageBytes), fmt.Sprintf("| %d bytes |", handshake.MaxStatusBytes),
		fmt.Sprintf("| settings | %d KiB |", handshake.MaxSettingsBytes>>10),
		fmt.Sprintf("| credential's data | %d KiB |", handshake.MaxCredentialBytes>>10),
		fmt.Sprintf("| %d KiB each |", handshake.MaxPendingBytes>>10),
		fmt.Sprintf("| checks of one test | %d |", handshake.MaxChecks),
		fmt.Sprintf("| operations of one binary | %d; each schema %d KiB |", handshake.MaxOperations, handshake.MaxSchemaBytes>>10),
		fmt.Sprintf("| %d MiB each |", handshake.MaxDocumentBytes>>20), fmt.Sprintf("| %d MiB each |", handshake.MaxChunkBytes>>20),
		fmt.Sprintf("| a checkpoint's data | %d KiB |", handshake.MaxCheckpointBytes>>10),
		fmt.Sprintf("| properties of a document | %d;", handshake.MaxProperties),
		fmt.Sprintf("At most %d questions", handshake.MaxQuestions),
		fmt.Sprintf("# The connector contract, version %d\n", handshake.Version),
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q isn't there", want)
		}
	}
}

// Suites cite clauses by id, and the messages by range.
func TestContractClauses(t *testing.T) {
	t.Parallel()
	text := contract(t)
	seen := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^- \*\*([A-Z]-\d+)\*\* (.*)$`).FindAllStringSubmatch(text, -1) {
		if seen[m[1]] {
			t.Errorf("%s is there twice", m[1])
		}
		seen[m[1]] = true
		if !regexp.MustCompile(`\b(MUST|SHOULD|MAY)\b`).MatchString(m[2]) {
			t.Errorf("%s doesn't say how much it binds", m[1])
		}
	}
	for _, proto := range []string{
		"connector/v1/access", "connector/v1/check", "connector/v1/connector", "connector/v1/diagnostic",
		"operation/v1/access", "operation/v1/operation", "operation/v1/run",
	} {
		source, err := os.ReadFile("../integration/" + proto + ".proto")
		if err != nil {
			t.Fatal(err)
		}
		joined := regexp.MustCompile(`\s*//\s*|\s+`).ReplaceAllString(string(source), " ")
		for _, m := range regexp.MustCompile(`clauses ([A-Z])-(\d+) to [A-Z]-(\d+)`).FindAllStringSubmatch(joined, -1) {
			var first, last int
			_, _ = fmt.Sscan(m[2]+" "+m[3], &first, &last)
			for n := first; n <= last; n++ {
				if !seen[fmt.Sprintf("%s-%d", m[1], n)] {
					t.Errorf("%s.proto cites %s-%d", proto, m[1], n)
				}
			}
			if seen[fmt.Sprintf("%s-%d", m[1], last+1)] {
				t.Errorf("%s.proto cites %s up to %d only", proto, m[1], last)
			}
		}
	}
	if len(seen) < 100 {
		t.Errorf("only %d clauses found", len(seen))
	}
}
