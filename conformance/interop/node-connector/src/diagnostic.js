// What goes wrong is told as one diagnostic, in the status of the call.
import { status as grpc } from '@grpc/grpc-js';
import { encode, enums } from './contract.js';

const byGRPC = {
  INVALID_ARGUMENT: ['SETTING_REQUIRED', 'SETTING_INVALID', 'SETTING_UNKNOWN', 'SETTINGS_UNREADABLE', 'USAGE_WRONG'],
  FAILED_PRECONDITION: ['CLIENT_REJECTED', 'CLIENT_UNAUTHORIZED', 'REDIRECT_URI_REJECTED', 'AUTHORIZATION_EXPIRED',
    'AUTHORIZATION_INVALID', 'SIGN_IN_REQUIRED', 'GRANT_INVALID', 'GRANT_NOT_RENEWABLE', 'RENEWAL_REQUIRED', 'SCOPE_MISSING',
    'SERVICE_REFUSED', 'CREDENTIAL_UNREADABLE', 'TLS_FAILED'],
  PERMISSION_DENIED: ['AUTHORIZATION_DENIED', 'PERMISSION_DENIED'],
  UNAUTHENTICATED: ['ACCESS_REFUSED'],
  UNAVAILABLE: ['NAME_RESOLUTION_FAILED', 'CONNECTION_FAILED', 'PROXY_FAILED', 'SERVICE_UNAVAILABLE', 'UNEXPECTED_ANSWER'],
  RESOURCE_EXHAUSTED: ['RATE_LIMITED', 'LIMIT_EXCEEDED'],
  ABORTED: ['SERVICE_CONFLICT'],
  DEADLINE_EXCEEDED: ['TIMED_OUT', 'DEADLINE_PASSED'],
  CANCELLED: ['CANCELED'],
  UNIMPLEMENTED: ['UNSUPPORTED'],
  INTERNAL: ['INTERNAL'],
};
const grpcOf = Object.fromEntries(Object.entries(byGRPC).flatMap(([g, codes]) => codes.map((c) => [c, grpc[g]])));

/** A failure that is shown to people. Its texts are written here: none comes from a library or the service. */
export class Fault extends Error {
  constructor(code, origin, summary, more = {}) {
    super(summary);
    Object.assign(this, { code, origin, summary, ...more });
  }

  diagnostic(severity = 'ERROR') {
    return {
      severity: enums.Severity[`SEVERITY_${severity}`],
      code: enums.Code[`CODE_${this.code}`],
      pointer: this.pointer ?? '',
      summary: line(this.summary),
      detail: line(this.detail ?? ''),
      suggestion: line(this.suggestion ?? ''),
      disposition: this.disposition ? enums.Disposition[`DISPOSITION_${this.disposition}`] : 0,
      origin: enums.Origin[`ORIGIN_${this.origin}`],
      retry_after: this.retryAfter > 0 ? { seconds: Math.ceil(this.retryAfter) } : undefined,
    };
  }

  /** The error in the form that the gRPC server takes. */
  status(metadata) {
    const code = grpcOf[this.code];
    const message = this.summary.slice(0, 200);
    const details = [any('integration.connector.v1.Diagnostic', this.diagnostic())];
    if (this.retryAfter > 0) {
      details.push(any('google.rpc.RetryInfo', { retry_delay: { seconds: Math.ceil(this.retryAfter) } }));
    }
    metadata.set('grpc-status-details-bin', encode('google.rpc.Status', { code, message, details }));
    return { code, details: message, metadata };
  }
}

/** Makes a fault of whatever was thrown, without its text. */
export function faultOf(err) {
  return err instanceof Fault ? err
    : new Fault('INTERNAL', 'CONNECTOR', 'The connector failed.', { suggestion: "Report it to the connector's author." });
}

/** A fault of how the host called. */
export const misuse = (what) => new Fault('USAGE_WRONG', 'HOST', `The call can't be meant: ${what}.`, { suggestion: 'Report it to the author of the host.' });

const any = (type, value) => ({ type_url: `type.googleapis.com/${type}`, value: encode(type, value) });
// eslint-disable-next-line no-control-regex
const line = (text) => text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ').slice(0, 500);
