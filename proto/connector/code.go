package connector

// Code says what happened, from a closed list. A Code is an error too, so
// that a caller can write errors.Is(err, connector.RateLimited) against any
// error that carries a [Diagnostic].
type Code string

// Error returns the code's name.
func (c Code) Error() string { return string(c) }

// About the settings.
const (
	SettingRequired    Code = "SETTING_REQUIRED"    // a value is missing
	SettingInvalid     Code = "SETTING_INVALID"     // a value breaks its rule
	SettingUnknown     Code = "SETTING_UNKNOWN"     // a name that the connector doesn't have
	SettingsUnreadable Code = "SETTINGS_UNREADABLE" // not one JSON object in UTF-8
	DestinationChanged Code = "DESTINATION_CHANGED" // a destination changed, so its secrets must be given again
)

// About the sign-in and the grant.
const (
	ClientRejected        Code = "CLIENT_REJECTED"         // wrong client ID or secret
	ClientUnauthorized    Code = "CLIENT_UNAUTHORIZED"     // the app may not use this kind of sign-in
	RedirectURIRejected   Code = "REDIRECT_URI_REJECTED"   // the redirect URI isn't registered with the app
	AuthorizationDenied   Code = "AUTHORIZATION_DENIED"    // the person said no
	AuthorizationExpired  Code = "AUTHORIZATION_EXPIRED"   // the sign-in took too long
	AuthorizationInvalid  Code = "AUTHORIZATION_INVALID"   // the callback doesn't belong to a pending sign-in
	SignInRequired        Code = "SIGN_IN_REQUIRED"        // no grant yet
	GrantInvalid          Code = "GRANT_INVALID"           // the grant is dead: expired, revoked or spent elsewhere
	GrantNotRenewable     Code = "GRANT_NOT_RENEWABLE"     // the service gave no refresh token
	RenewalRequired       Code = "RENEWAL_REQUIRED"        // the access is too old, and renewing wasn't allowed
	RenewalCutOff         Code = "RENEWAL_CUT_OFF"         // a renewal was interrupted and its outcome is lost
	AccountActionRequired Code = "ACCOUNT_ACTION_REQUIRED" // the account's holder must act at the service
	AccountInactive       Code = "ACCOUNT_INACTIVE"        // the account is switched off
	AccountMismatch       Code = "ACCOUNT_MISMATCH"        // another account than the connection's
	ApplicationBlocked    Code = "APPLICATION_BLOCKED"     // an administrator must allow the app
	LocationBlocked       Code = "LOCATION_BLOCKED"        // not allowed from this network address or device
	ScopeMissing          Code = "SCOPE_MISSING"           // the grant lacks a scope
	ScopesUnknown         Code = "SCOPES_UNKNOWN"          // the service doesn't tell which scopes it granted
	PermissionDenied      Code = "PERMISSION_DENIED"       // the account may not do this
	AccessRefused         Code = "ACCESS_REFUSED"          // the service refused a fresh access token
)

// About the way to the service, and the service.
const (
	NameResolutionFailed Code = "NAME_RESOLUTION_FAILED" // DNS knows no such host
	ConnectionFailed     Code = "CONNECTION_FAILED"      // TCP: refused, reset or unreachable
	TLSFailed            Code = "TLS_FAILED"             // certificate or protocol
	ProxyFailed          Code = "PROXY_FAILED"           // the proxy refused or can't be reached
	TimedOut             Code = "TIMED_OUT"              // no answer in time
	Canceled             Code = "CANCELED"               // the caller went away
	RateLimited          Code = "RATE_LIMITED"           // too many requests
	ServiceUnavailable   Code = "SERVICE_UNAVAILABLE"    // 5xx, or busy
	ServiceConflict      Code = "SERVICE_CONFLICT"       // 409 while renewing
	ServiceRefused       Code = "SERVICE_REFUSED"        // refused with an error that isn't in the catalogue
	UnexpectedAnswer     Code = "UNEXPECTED_ANSWER"      // not the service's own language: HTML, a redirect, a proxy's page
	ClockSkewed          Code = "CLOCK_SKEWED"           // this machine's clock is off
)

// About the connector's process and the contract.
const (
	Unsupported              Code = "UNSUPPORTED"                // a call that the connector doesn't declare
	CredentialUnreadable     Code = "CREDENTIAL_UNREADABLE"      // damaged, or a format that this build doesn't read
	DeadlinePassed           Code = "DEADLINE_PASSED"            // too late to send the request
	LimitExceeded            Code = "LIMIT_EXCEEDED"             // larger than the contract allows
	Internal                 Code = "INTERNAL"                   // a fault in the connector or the host
	PluginNotExecutable      Code = "PLUGIN_NOT_EXECUTABLE"      // no such file, or nothing that can be run
	PluginHandshakeFailed    Code = "PLUGIN_HANDSHAKE_FAILED"    // it ran, but isn't a plugin of this contract
	PluginVersionUnsupported Code = "PLUGIN_VERSION_UNSUPPORTED" // no contract version in common
	PluginDigestMismatch     Code = "PLUGIN_DIGEST_MISMATCH"     // not the bytes that were trusted
	PluginUntrusted          Code = "PLUGIN_UNTRUSTED"           // no digest on record, and the policy wants one
	PluginExited             Code = "PLUGIN_EXITED"              // the process ended in the middle of a call
	PluginUnresponsive       Code = "PLUGIN_UNRESPONSIVE"        // the process is there but doesn't answer
	PluginContractBroken     Code = "PLUGIN_CONTRACT_BROKEN"     // it answered what the contract forbids
	PluginRestartLimit       Code = "PLUGIN_RESTART_LIMIT"       // it keeps dying
)

// About the host and its store.
const (
	ConnectionNotFound Code = "CONNECTION_NOT_FOUND"
	ConnectionExists   Code = "CONNECTION_EXISTS"
	ConnectionChanged  Code = "CONNECTION_CHANGED"  // changed by somebody else meanwhile
	StoreUnwritable    Code = "STORE_UNWRITABLE"    // full, read-only or not permitted
	StoreDamaged       Code = "STORE_DAMAGED"       // bytes that can't be what was written
	StoreBusy          Code = "STORE_BUSY"          // a lock wasn't freed in time
	StoreVersionNewer  Code = "STORE_VERSION_NEWER" // written by a newer version
	StoreUnavailable   Code = "STORE_UNAVAILABLE"   // can't be reached or read
	StoreUnsuitable    Code = "STORE_UNSUITABLE"    // a place that can't keep a store's promises
	SealingKeyMissing  Code = "SEALING_KEY_MISSING" // sealed data, but no key
	SealingKeyWrong    Code = "SEALING_KEY_WRONG"   // the key doesn't open the data
	CallbackPortTaken  Code = "CALLBACK_PORT_TAKEN" // another program listens there
	AuditUnwritable    Code = "AUDIT_UNWRITABLE"    // the audit record can't be kept
	UsageWrong         Code = "USAGE_WRONG"         // a call or command that can't be meant
	StoreNotAdopted    Code = "STORE_NOT_ADOPTED"   // a copy, or imported: renews and revokes nothing until it is adopted
)

// About runtimes, where tests of connections run.
const (
	RuntimeNotFound  Code = "RUNTIME_NOT_FOUND" // no such runtime of this owner
	RuntimeDead      Code = "RUNTIME_DEAD"      // it misses its heartbeats, or was stopped
	RuntimeForbidden Code = "RUNTIME_FORBIDDEN" // a runtime works for its own owner only
)

// About operations, and what they work on.
const (
	InputInvalid         Code = "INPUT_INVALID"         // the input document breaks the operation's schema
	ContentDamaged       Code = "CONTENT_DAMAGED"       // content that isn't what its sender told of it
	CheckpointUnreadable Code = "CHECKPOINT_UNREADABLE" // not a checkpoint of this operation
	ExecutionUnknown     Code = "EXECUTION_UNKNOWN"     // a handle that isn't a running execution's of this process
	PairingWrong         Code = "PAIRING_WRONG"         // the operations don't work on this connection
	ItemNotFound         Code = "ITEM_NOT_FOUND"        // no such thing at the service
	ItemExists           Code = "ITEM_EXISTS"           // a thing of that name exists already
	ItemChanged          Code = "ITEM_CHANGED"          // somebody else changed it meanwhile
	ItemRefused          Code = "ITEM_REFUSED"          // the service doesn't take it as it is: a name, a value
	StorageFull          Code = "STORAGE_FULL"          // the account has no room left
)
