//go:build unix

package host_test

import (
	"context"
	"testing"

	"github.com/boxconnection/connector/host/store/pgstore"
	"github.com/boxconnection/connector/host/store/pgstore/pgtest"
)

// TestOnPostgres runs the tests of the credential's life once more, with the
// connections in PostgreSQL in place of a folder.
func TestOnPostgres(t *testing.T) {
	server := pgtest.Start(t)
	database, restore = server.Database, server.Restore
	err := server.Prepare(t.Context(), func(ctx context.Context, dsn string) error {
		s, err := pgstore.Open(ctx, dsn)
		if err != nil {
			return err
		}
		return s.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]func(*testing.T){
		"many callers":           TestManyCallersShareOneRenewal,
		"several hosts":          TestHostsOnOneStoreRenewOnce,
		"refused generations":    TestRefusedGenerations,
		"passing failure":        TestPassingFailureLosesNothing,
		"dead grant":             TestDeadGrantFailsFastUntilSignIn,
		"unwritable store":       TestNothingIsSpentIfTheStoreIsUnwritable,
		"full disk":              TestRenewedPairOutlivesAFullDisk,
		"caller leaves":          TestCallersCannotCancelARenewal,
		"deleted while renewing": TestRenewalDoesNotResurrectADeletedConnection,
		"cut off":                TestCutOffRenewalIsNamed,
		"previous pair":          TestPreviousPairIsTriedWhileTheNewOneIsUnused,
		"previous pair dropped":  TestPreviousPairIsDroppedBeforeUse,
		"callback elsewhere":     TestCallbackOnAnotherNode,
		"another account":        TestAnotherAccountNeedsConfirmation,
		"destination":            TestDestinationChangeAsksForTheSecretAndTheSignIn,
		"draft's test":           TestDraftTestRenewsWithItsSettings,
		"kept alive":             TestUnusedGrantsAreKeptAlive,
		"revoked later":          TestRevocationsAreTriedAgain,
		"fault matrix":           TestFaultMatrix,
		"previous pair stays":    TestNothingIsHandedOutBesideThePreviousPair,
		"lost lease":             TestLostLeaseIsNotWaitedFor,
		"wait for tokens":        TestHostsWaitTogetherForTokens,
		"wait for the API":       TestHostsWaitTogetherForTheAPI,
		"base edited elsewhere":  TestEnvironmentFollowsItsBase,
		"environment again":      TestEnvironmentIsMadeAgain,
		"rotated keys":           TestKeysAreRotatedUnderLiveConnections,
		"copy":                   TestCopyTouchesNoGrant,
		"copy, unused pair":      TestCopyKeepsAnUnusedPair,
		"copy, adopted":          TestAdoptedCopyRenews,
		"copy, left revocations": TestAdoptionDropsWhatTheOriginalRevokes,
		"copy while open":        TestStoreThatTurnsIntoACopy,
	} {
		t.Run(name, test)
	}
	for name, test := range runtimeTests {
		t.Run(name, test)
	}
}
