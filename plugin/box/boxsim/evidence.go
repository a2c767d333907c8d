package boxsim

// Grade says how well a behaviour of Box is known.
type Grade string

// The grades, roughly from the strongest to the weakest.
const (
	Spec         Grade = "SPEC"  // Box's published OpenAPI file
	Doc          Grade = "DOC"   // Box's documentation for developers
	KB           Grade = "KB"    // an article of Box's support
	Staff        Grade = "STAFF" // a Box employee in a public thread
	SDK          Grade = "SDK"   // what an official SDK does or expects
	Field        Grade = "FIELD" // a response that a user pasted
	Inferred     Grade = "INFER" // concluded from other facts
	Undocumented Grade = "UNDOC" // looked for and not found: a choice of the emulator
)

// Grades lists all grades.
func Grades() []Grade { return []Grade{Spec, Doc, KB, Staff, SDK, Field, Inferred, Undocumented} }

// Entry says how well one behaviour of the emulator is known.
type Entry struct {
	// ID is an endpoint ("POST /oauth2/token"), a row of the catalogue
	// ("row token_conflict"), a knob ("knob rotation"), or an aspect of one of
	// these ("POST /oauth2/token: reuse of a code").
	ID     string `json:"id"`
	Grade  Grade  `json:"grade"`
	Reason string `json:"reason"`
}

// Evidence lists the emulated behaviours with what is known about each.
func Evidence() []Entry {
	entries := append(signInEvidence(), tokenEvidence()...)
	entries = append(entries, apiEvidence()...)
	entries = append(entries, contentEvidence()...)
	entries = append(entries, transferEvidence()...)
	entries = append(entries, sessionEvidence()...)
	entries = append(entries, knobEvidence()...)
	entries = append(entries, contentKnobEvidence()...)
	for _, r := range Catalogue() {
		entries = append(entries, Entry{ID: "row " + r.Name, Grade: r.Grade, Reason: r.Reason})
	}
	return entries
}

func signInEvidence() []Entry {
	const get, post = "GET /api/oauth2/authorize", "POST /api/oauth2/authorize"
	return []Entry{
		{get, Spec, "parameters response_type, client_id, redirect_uri, state and scope"},
		{get + ": box_login", SDK, "prefills the login; not documented"},
		{get + ": redirect URI", Doc, "must be the same to the letter; on localhost and loopback any port"},
		{get + ": localhost and 127.0.0.1", Inferred, "the host must match, so they are taken as different"},
		{get + ": redirect_uri_mismatch", Doc, "an HTML page with details and no redirect"},
		{get + ": redirect_uri_missing", Spec, "an HTML page after the person has allowed"},
		{get + ": registration", Doc, "HTTPS, or HTTP on localhost and loopback; no duplicates"},
		{get + ": status of error pages", Undocumented, "400 is a choice"},
		{get + ": unknown client", Inferred, "an HTML page without a redirect"},
		{get + ": scope that the app lacks", Undocumented, "an HTML page is a choice"},
		{get + ": PKCE", Field, "one report that a challenge is accepted and ignored"},
		{get + ": state", Spec, "echoed unchanged"},
		{post, Inferred, "the page's own form; Box's isn't public"},
		{post + ": success", Doc, "a redirect with the code"},
		{post + ": denial", Inferred, "error=access_denied as in RFC 6749; Box's text isn't known"},
		{post + ": deactivated account", Undocumented, "an HTML page is a choice"},
	}
}

func tokenEvidence() []Entry {
	const token, revoke = "POST /oauth2/token", "POST /oauth2/revoke"
	return []Entry{
		{token, Spec, "grant types, parameters and fields of the answer"},
		{token + ": form only", Field, "a multipart body was refused with invalid_request"},
		{token + ": parameters in the query", Inferred, "ignored, as the specification knows only the body"},
		{token + ": credentials in the body only", Field, "HTTP Basic was refused with invalid_client"},
		{token + ": expires_in", Field, "3895 to 4175 were seen; it changes when a renewal is repeated"},
		{token + ": fields", Field, "captured answers: restricted_to is empty, token_type is bearer, there is no scope"},
		{token + ": form of codes and tokens", Field, "32 letters and digits, 64 for refresh tokens, \"1!\" and more for narrowed ones"},
		{token + ": code lifetime", Doc, "30 seconds"},
		{token + ": reuse of a code", Inferred, "answered as an unknown code; the tokens stay alive"},
		{token + ": redirect_uri", Undocumented, "ignored; the specification doesn't have it"},
		{token + ": refresh token lifetime", Doc, "60 days"},
		{token + ": renewal repeated", Staff, "the same pair until its first use, \"by design\""},
		{token + ": renewal repeated after the pair's access token expired", Undocumented, "the same refresh token with a fresh access token is a choice"},
		{token + ": old access token", Staff, "dies when the new pair is first used, in server logs of 2017"},
		{token + ": no family revocation", Inferred, "no report of a reused token killing its successors"},
		{token + ": deactivated user", SDK, "account_deactivated"},
		{token + ": token exchange", Doc, "restricted_to, issued_token_type, no refresh token"},
		{token + ": token exchange without client credentials", SDK, "SDKs send them or not"},
		{token + ": token exchange of a dead token", Undocumented, "invalid_grant is a choice"},
		{token + ": token exchange for a scope that isn't held", Spec, "status 401; the body is a choice"},
		{token + ": narrowed token's end", Inferred, "with the token that it was narrowed from"},
		{token + ": other grant types", Field, "unauthorized_client for an app of another type"},
		{token + ": rate", KB, "429 temporarily_unavailable with Retry-After"},
		{revoke, Spec, "form with client_id, client_secret and token; 200 with an empty body"},
		{revoke + ": either token", Doc, "access or refresh token; both die, as SDKs say"},
		{revoke + ": token of no use", Undocumented, "200 is a choice, as in RFC 7009"},
		{revoke + ": unknown or missing client", Field, "invalid_request with the texts that were reported"},
		{"header names", Doc, "the documentation writes them in lower case"},
		{"Date header", Inferred, "the emulator's clock, so that a client's clock can be tried"},
	}
}

func apiEvidence() []Entry {
	const me, folder, list = "GET /2.0/users/me", "GET /2.0/folders/{folder_id}", "GET /2.0/folders/{folder_id}/items"
	return []Entry{
		{me, Spec, "standard fields, or type, id and those that are named"},
		{me + ": enterprise", Spec, "only on request"},
		{me + ": personal account", Inferred, "enterprise is null"},
		{me + ": narrowed token", Undocumented, "accepted"},
		{"API: invalid token", Field, "401 with an empty body; the same for expired, revoked and unknown tokens"},
		{"API: no token", Undocumented, "401 with a bare challenge is a choice"},
		{"API: deactivated user", Inferred, "401 with a JSON body"},
		{"API: scope", Field, "403 with an empty body"},
		{"API: item outside of a narrowed token", Undocumented, "403 with a JSON body is a choice"},
		{"API: unknown address", Spec, "404 or 405 with the specification's code"},
		{folder, Spec, "standard fields, or those that are named"},
		{folder + ": root", Field, "sequence_id and etag are null in captured answers"},
		{folder + ": shared link", Spec, "the fields that are always there; no download address, as that is a paid feature"},
		{list, Spec, "limit, offset, marker, fields, sort and direction"},
		{list + ": order", Inferred, "type, then name; by ID with markers"},
		{list + ": last page by marker", Inferred, "next_marker is empty"},
		{list + ": total_count", Inferred, "the number of items"},
	}
}

func knobEvidence() []Entry {
	return []Entry{
		{"knob rotation", Staff, "replay_until_used as staff said in 2023, strict_single_use as documented, distinct_children as reported until 2019"},
		{"knob keep_old_access", Undocumented, "off; what happens today isn't known"},
		{"knob consumed_description", Field, "both texts were seen for a spent token"},
		{"knob access_lifetime", Field, "0 varies it between 3600 and 4200 seconds"},
		{"knob refresh_lifetime", Doc, "60 days"},
		{"knob code_lifetime", Doc, "30 seconds"},
		{"knob expires_in", Undocumented, "to try a client, not to imitate Box"},
		{"knob omit_refresh_token", Undocumented, "to try a client, not to imitate Box"},
		{"knob enforce_pkce", Undocumented, "off, as Box was reported to ignore PKCE"},
		{"knob auto_consent", Undocumented, "for tests without a browser"},
		{"knob deny_description", Undocumented, "Box's text isn't known"},
		{"knob refuse_addresses", Field, "off; reported in 2023"},
		{"knob token_rate", KB, "no limit is published for the token endpoint"},
	}
}
