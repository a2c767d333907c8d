package connectorhttp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"syscall"

	"github.com/boxconnection/connector/proto/connector"
)

// NetworkFailure tells what went wrong on the way to host, a host name with
// its port: the error of a request or of reading its answer, under the
// request's context. A diagnostic in err is returned as it is. No text of err
// is used: errors of package http hold whole URLs.
func NetworkFailure(ctx context.Context, err error, host string) *connector.Diagnostic {
	if d, ok := errors.AsType[*connector.Diagnostic](err); ok {
		return d
	}
	return classify(ctx, err, host).Because(err)
}

func classify(ctx context.Context, err error, host string) *connector.Diagnostic {
	if errors.Is(ctx.Err(), context.Canceled) {
		return connector.Errorf(connector.Canceled, connector.OriginHost, "The call to %s was cancelled.", host).
			With(connector.Retry).Suggest("Repeat it if it is still wanted.")
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "proxyconnect" {
		return proxyUnreachable(op.Err, host)
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return resolution(dns, host)
	}
	if d := tlsFailure(err, host); d != nil {
		return d
	}
	if timeout, ok := errors.AsType[net.Error](err); errors.Is(ctx.Err(), context.DeadlineExceeded) || ok && timeout.Timeout() {
		return connector.Errorf(connector.TimedOut, connector.OriginNetwork, "%s didn't answer in time.", host).
			With(connector.Retry).
			Suggest("Try again. If it stays so, check that a firewall lets this machine connect to %s, and whether a proxy must be set.", host)
	}
	return connection(err, host)
}

func resolution(err *net.DNSError, host string) *connector.Diagnostic {
	d := connector.Errorf(connector.NameResolutionFailed, connector.OriginNetwork, "The DNS servers couldn't be asked for %s.", host)
	if err.IsNotFound {
		d = connector.Errorf(connector.NameResolutionFailed, connector.OriginNetwork, "DNS knows no host %s.", host)
	}
	return d.With(connector.Retry).
		Suggest("Check the host's name in the connection's URLs, and this machine's DNS settings; behind a proxy, set the proxy: it resolves names itself.")
}

func connection(err error, host string) *connector.Diagnostic {
	what := "The connection to %s failed."
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		what = "%s refused the connection."
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		what = "The connection to %s was closed before the answer was complete."
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		what = "There is no route to %s."
	}
	return connector.Errorf(connector.ConnectionFailed, connector.OriginNetwork, what, host).
		With(connector.Retry).
		Suggest("Try again. If it stays so, check that a firewall lets this machine connect to %s, and whether a proxy must be set.", host)
}

// tlsFailure tells what is wrong with TLS, or returns nil if that isn't it.
func tlsFailure(err error, host string) *connector.Diagnostic {
	fail := func(format string, args ...any) *connector.Diagnostic {
		return connector.Errorf(connector.TLSFailed, connector.OriginNetwork, format, args...)
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return fail("The certificate of %s was issued by an authority that this machine doesn't trust.", host).
			With(connector.FixSettings).
			Suggest("If a proxy or a firewall of your company inspects the traffic, add its CA certificate to the connection's network settings. Otherwise somebody may be listening: don't go on.")
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return fail("The certificate that %s showed is for another host.", host).
			With(connector.FixSettings).
			Suggest("Check the host's name in the connection's URLs, and that DNS or a proxy doesn't lead to another server.")
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if invalid.Reason == x509.Expired {
			return fail("The certificate of %s has expired or isn't valid yet.", host).
				With(connector.Retry).
				Suggest("Check this machine's date and time. If they are right, the server's operator must renew the certificate.")
		}
		return fail("The certificate of %s isn't valid for this use.", host).
			With(connector.Retry).Suggest("Ask the server's operator, or the administrator of the proxy that inspects the traffic.")
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return fail("%s doesn't speak TLS on this port.", host).
			With(connector.FixSettings).Suggest("Check the port and the scheme in the connection's URLs.")
	}
	_, verification := errors.AsType[*tls.CertificateVerificationError](err)
	_, alert := errors.AsType[tls.AlertError](err)
	op, remote := errors.AsType[*net.OpError](err)
	if verification || alert || remote && (op.Op == "remote error" || op.Op == "local error") {
		return fail("No secure connection to %s could be agreed on.", host).
			With(connector.Retry).
			Suggest("Check whether a proxy or a firewall stands between; TLS 1.2 or later is needed.")
	}
	return nil
}

func proxyUnreachable(err error, host string) *connector.Diagnostic {
	why := "couldn't be reached"
	timeout, isTimeout := errors.AsType[net.Error](err)
	switch _, dns := errors.AsType[*net.DNSError](err); {
	case dns:
		why = "has a name that DNS doesn't resolve"
	case errors.Is(err, syscall.ECONNREFUSED):
		why = "refused the connection"
	case tlsFailure(err, "the proxy") != nil:
		why = "has a certificate that isn't trusted, or doesn't speak TLS"
	case isTimeout && timeout.Timeout():
		why = "didn't answer in time"
	}
	return connector.Errorf(connector.ProxyFailed, connector.OriginNetwork, "The proxy on the way to %s %s.", host, why).
		With(connector.Retry).Suggest("Check the proxy's address in the connection's network settings, and that the proxy runs.")
}

// ProxyRefused tells why a proxy didn't let a request to host through, from
// the status of its answer.
func ProxyRefused(host string, status int) *connector.Diagnostic {
	d := connector.Errorf(connector.ProxyFailed, connector.OriginNetwork, "The proxy didn't connect to %s: it answered %d.", host, status)
	switch {
	case status == http.StatusProxyAuthRequired:
		return d.With(connector.FixSettings).
			Suggest("Put the proxy's user name and password into its URL in the connection's network settings. Basic is the one method that is supported.")
	case status >= 500:
		return d.With(connector.Retry).Suggest("Try again. If it stays so, ask the proxy's administrator whether it can reach %s.", host)
	}
	return d.With(connector.AskAdministrator).Suggest("Ask the proxy's administrator to allow connections to %s.", host)
}
