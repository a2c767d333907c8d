// Package boxsim emulates the parts of Box that a client of its API meets:
// the consent page, the token and revocation endpoints, folders and files with
// their uploads and downloads, and the search. It exists so that a sign-in, a
// renewal, a transfer and everything that can go wrong with them can be tried
// without a Box account.
//
// Box does not document all of its behaviour. Each behaviour of the emulator
// therefore carries a grade that says how well it is known ([Evidence]), and
// where sources disagree a knob ([Knobs]) chooses between their versions.
// Nothing here was measured against Box.
//
// State is in memory, but for the content of uploads, which lies in a private
// folder until Close removes it. Time is the emulator's own: it can be moved
// through the control API under /_sim/, which also lists the requests that
// were seen, injects faults, and kills tokens. [Control] is its Go client.
//
// Tokens, codes and secrets are never logged or listed; they appear as
// fingerprints ([Fingerprint]).
package boxsim
