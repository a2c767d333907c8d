// Package connectorhttp authorises HTTP requests with the access of a
// connection: [NewTransport] is the one place that writes a token into a
// request. The token goes to the endpoints that the access declares and
// nowhere else; a request that the service refuses for its token is sent once
// more with a newer one. [NewBase] is the way to the service below it, with
// the connection's proxy and certificates, and [NetworkFailure] puts what
// fails on it into words.
package connectorhttp
