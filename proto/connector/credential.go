package connector

import "time"

// Credential is what keeps a connection alive: bytes that only the connector
// reads. The host stores it sealed and hands it back unchanged.
type Credential struct {
	// Format numbers the layout of Data, in the clear, so that a host can
	// tell whether a build reads it. Formats start at 1.
	Format uint32
	Data   Secret
	// AccessExpiresAt is when the access in it ends; zero means unknown.
	AccessExpiresAt time.Time
	// LapsesAt is when the grant ends if it isn't used; zero means never or
	// unknown.
	LapsesAt time.Time
}

// IsZero reports whether there is no credential.
func (c Credential) IsZero() bool { return c.Format == 0 && c.Data.IsZero() }

// Account is the service's account that a connection is pinned to.
type Account struct {
	ID    string `json:"id"`
	Login string `json:"login,omitempty"`
	Name  string `json:"name,omitempty"`
	// EnterpriseID and EnterpriseName are empty for a personal account.
	EnterpriseID   string `json:"enterprise_id,omitempty"`
	EnterpriseName string `json:"enterprise_name,omitempty"`
}

// Same reports whether both are the same account: the same ID in the same
// enterprise. Logins and names may change.
func (a Account) Same(b Account) bool {
	return a.ID == b.ID && a.EnterpriseID == b.EnterpriseID
}

// Network is how to reach the service from where the connector runs. A
// connector takes it from the call and never from its environment.
type Network struct {
	// ProxyURL is the HTTP or HTTPS proxy for every request, with its user and
	// password if it wants them; empty for none.
	ProxyURL Secret
	// NoProxy lists hosts to reach directly, in the syntax of the NO_PROXY
	// variable.
	NoProxy []string
	// ExtraCAs are certificates in PEM to trust beside the system's.
	ExtraCAs []byte
}
