package protoconv

import (
	"slices"
	"time"

	"github.com/boxconnection/connector/proto/connector"
	connectorv1 "github.com/boxconnection/connector/proto/integration/connector/v1"
)

// An unknown status says nothing about the check, and must not pass for a
// good one; an unknown side effect must not pass for none.
var (
	checkStatuses = newEnum("", connectorv1.CheckStatus_CHECK_STATUS_UNSPECIFIED,
		map[connector.CheckStatus]connectorv1.CheckStatus{
			connector.CheckPassed:       connectorv1.CheckStatus_CHECK_STATUS_PASSED,
			connector.CheckFailed:       connectorv1.CheckStatus_CHECK_STATUS_FAILED,
			connector.CheckWarning:      connectorv1.CheckStatus_CHECK_STATUS_WARNING,
			connector.CheckSkipped:      connectorv1.CheckStatus_CHECK_STATUS_SKIPPED,
			connector.CheckNotSupported: connectorv1.CheckStatus_CHECK_STATUS_NOT_SUPPORTED,
			connector.CheckNotRun:       connectorv1.CheckStatus_CHECK_STATUS_NOT_RUN,
		})
	sideEffects = newEnum("", connectorv1.SideEffect_SIDE_EFFECT_UNSPECIFIED,
		map[connector.SideEffect]connectorv1.SideEffect{
			connector.SideEffectNone:  connectorv1.SideEffect_SIDE_EFFECT_NONE,
			connector.SideEffectRead:  connectorv1.SideEffect_SIDE_EFFECT_READ,
			connector.SideEffectWrite: connectorv1.SideEffect_SIDE_EFFECT_WRITE,
		})
)

// CheckToProto writes a check. Runtime stays behind: the host sets it.
func CheckToProto(c connector.Check) *connectorv1.Check {
	return &connectorv1.Check{
		Id: c.ID, Title: cleanText(c.Title, maxName), Status: checkStatuses.toProto(c.Status),
		Message: cleanText(c.Message, maxText), Diagnostic: DiagnosticToProto(c.Diagnostic),
		Duration: DurationToProto(c.Duration), DependsOn: slices.Clone(c.DependsOn),
		SideEffect: sideEffects.toProto(c.SideEffect),
	}
}

// CheckFromProto reads a check; an absent one is the zero check. A duration
// that can't be meant is zero.
func CheckFromProto(p *connectorv1.Check) connector.Check {
	return connector.Check{
		ID: cleanText(p.GetId(), maxName), Title: cleanText(p.GetTitle(), maxName),
		Status:  checkStatuses.fromProto(p.GetStatus()),
		Message: cleanText(p.GetMessage(), maxText), Diagnostic: DiagnosticFromProto(p.GetDiagnostic()),
		Duration: lenient(Duration(p.GetDuration(), "")), DependsOn: cleanList(p.GetDependsOn()),
		SideEffect: sideEffects.fromProto(p.GetSideEffect()),
	}
}

// CheckDeclarationToProto writes a declaration.
func CheckDeclarationToProto(d connector.CheckDeclaration) *connectorv1.CheckDeclaration {
	return &connectorv1.CheckDeclaration{
		Id: d.ID, Title: cleanText(d.Title, maxName), DependsOn: slices.Clone(d.DependsOn),
		SideEffect: sideEffects.toProto(d.SideEffect),
	}
}

// CheckDeclarationFromProto reads a declaration; an absent one is the zero
// declaration.
func CheckDeclarationFromProto(p *connectorv1.CheckDeclaration) connector.CheckDeclaration {
	return connector.CheckDeclaration{
		ID: cleanText(p.GetId(), maxName), Title: cleanText(p.GetTitle(), maxName),
		DependsOn: cleanList(p.GetDependsOn()), SideEffect: sideEffects.fromProto(p.GetSideEffect()),
	}
}

// lenient takes zero for a duration that can't be meant.
func lenient(d time.Duration, err error) time.Duration {
	if err != nil {
		return 0
	}
	return d
}
