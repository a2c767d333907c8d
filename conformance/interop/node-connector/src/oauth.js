// Ledger's authorization server (RFC 6749, 7009, 7636, 8693). Its refresh tokens work once.
import { Fault } from './diagnostic.js';
import { retryAfter, send } from './network.js';

const form = { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' };

export const at = (settings, path) => settings.service_url.replace(/\/+$/, '') + path;

/** One token request. `begin` is called right before it is written and may throw. Times are on the clock of `now`. */
export async function token(call, settings, grant, parameters, begin) {
  const started = call.now();
  const answer = await post(call, settings, '/token', { grant_type: grant, ...parameters }, begin);
  if (answer.status !== 200) throw refusal(answer, grant);
  const body = json(answer);
  const life = Number.isFinite(body?.expires_in) && body.expires_in > 0 && body.expires_in < 1e9 ? body.expires_in : undefined;
  const access = typeof body?.access_token === 'string' && /^[\x21-\x7e]+$/.test(body.access_token) ? body.access_token : undefined;
  const refresh = typeof body?.refresh_token === 'string' && body.refresh_token ? body.refresh_token : undefined;
  if (!access && !refresh) throw unexpected();
  return {
    access,
    refresh,
    issued: started,
    expires: life === undefined ? undefined : started + life * 1000,
    scopes: typeof body.scope === 'string' ? body.scope.split(' ').filter(Boolean) : undefined,
  };
}

/** Ends a token and everything that came of its grant. */
export async function revoke(call, settings, value) {
  const answer = await post(call, settings, '/revoke', { token: value });
  if (answer.status !== 200) throw refusal(answer, 'revoke');
}

/** An API call with a token. It ends `reserve` milliseconds before the call does. */
export async function api(call, settings, access, path, reserve) {
  const answer = await send(call.network, at(settings, path), { headers: { authorization: `Bearer ${access}`, accept: 'application/json' }, signal: call.signal(reserve) });
  if (answer.status === 200) return json(answer) ?? raise(unexpected());
  if (answer.status === 401) {
    throw new Fault('ACCESS_REFUSED', 'SERVICE', 'Ledger refused the access token.', { suggestion: 'Renew it, or sign in again.' });
  }
  if (answer.status === 403) {
    throw new Fault('PERMISSION_DENIED', 'SERVICE', "The token's rights don't reach this.", { suggestion: 'Allow it at Ledger.', disposition: 'ASK_ADMINISTRATOR' });
  }
  throw passing(answer) ?? unexpected();
}

function post(call, settings, path, parameters, begin) {
  const credentials = { client_id: settings.client_id, client_secret: settings.client_secret };
  const body = new URLSearchParams({ ...parameters, ...credentials }).toString();
  return send(call.network, at(settings, path), { method: 'POST', headers: form, body, signal: call.signal(), begin });
}

const meaning = {
  invalid_client: ['CLIENT_REJECTED', 'Ledger knows no such client, or its secret is another.', 'FIX_SETTINGS', 'Check the client ID and secret.', '/client_secret'],
  unauthorized_client: ['CLIENT_UNAUTHORIZED', 'The client may not do this.', 'ASK_ADMINISTRATOR', 'Allow it for the client at Ledger.', '/client_id'],
  invalid_grant: ['GRANT_INVALID', 'The sign-in has ended at Ledger.', 'SIGN_IN_AGAIN', 'Sign in again.', ''],
  invalid_scope: ['SCOPE_MISSING', "The token's rights don't reach this.", 'ASK_ADMINISTRATOR', 'Ask for less, or allow more at Ledger.', ''],
};

function refusal(answer, grant) {
  const passes = passing(answer);
  if (passes) return passes;
  const error = json(answer)?.error;
  const known = Object.hasOwn(meaning, error) ? meaning[error] : undefined;
  if (error === 'invalid_grant' && grant === 'authorization_code') {
    return new Fault('AUTHORIZATION_INVALID', 'SERVICE', 'Ledger no longer takes the code of this sign-in.', { suggestion: 'Begin the sign-in again.' });
  }
  if (error === 'invalid_grant' && grant !== 'refresh_token') {
    return new Fault('ACCESS_REFUSED', 'SERVICE', 'Ledger refused the access token.', { suggestion: 'Renew it, or sign in again.' });
  }
  if (known) {
    const [code, summary, disposition, suggestion, pointer] = known;
    return new Fault(code, 'SERVICE', summary, { disposition, suggestion, pointer });
  }
  if (answer.status >= 400 && answer.status < 500 && typeof error === 'string') {
    return new Fault('SERVICE_REFUSED', 'SERVICE', `Ledger refused the request with status ${answer.status}.`, { suggestion: 'Report it to the author of the connector.' });
  }
  return unexpected();
}

/** A failure that passes by itself, or undefined. */
function passing({ status, headers }) {
  const more = { disposition: 'RETRY', retryAfter: retryAfter(headers), suggestion: 'Try again later.' };
  if (status === 429) return new Fault('RATE_LIMITED', 'SERVICE', 'Ledger takes no more requests for now.', more);
  if (status === 409) return new Fault('SERVICE_CONFLICT', 'SERVICE', 'Ledger is busy with another request of this kind.', more);
  if (status === 407) return new Fault('PROXY_FAILED', 'NETWORK', 'The proxy asks for a user and password.', { ...more, suggestion: "Give them with the connection's proxy." });
  if (status >= 500) return new Fault('SERVICE_UNAVAILABLE', 'SERVICE', `Ledger has a fault of its own (status ${status}).`, more);
  return undefined;
}

function json(answer) {
  try {
    const value = JSON.parse(answer.body.toString('utf8'));
    return value !== null && typeof value === 'object' ? value : undefined;
  } catch {
    return undefined;
  }
}

export const unexpected = () => new Fault('UNEXPECTED_ANSWER', 'SERVICE', "The answer isn't one that Ledger gives.", { suggestion: 'Check the service URL.', disposition: 'RETRY' });
const raise = (fault) => { throw fault; };
