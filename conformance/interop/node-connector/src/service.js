// The calls of the contract.
import { createHash, randomBytes } from 'node:crypto';
import { Metadata, status } from '@grpc/grpc-js';
import { checks, declared } from './checks.js';
import { enums, millis, seconds, timestamp } from './contract.js';
import { Fault, faultOf, misuse } from './diagnostic.js';
import { at, api, revoke, token, unexpected } from './oauth.js';
import { seal, unseal } from './sealed.js';
import { check, layout, load, schema } from './settings.js';

const format = 1;
const margin = 60; // seconds that access must last if the host names no time
const signInLasts = 600_000;
const callLasts = 30_000;
const maxBlob = 16 << 10;
const refusal = { challenge_errors: ['invalid_token'], empty_body: false };

/** Returns the implementation of the connector's service. */
export const connector = () => ({
  Describe: unary(() => ({
    id: 'ledger-connection', title: 'Ledger', version: '1.0.0', contract_version: 1,
    capabilities: Object.values(enums.Capability).filter(Boolean),
    sign_ins: [enums.SignIn.SIGN_IN_AUTHORIZATION_CODE],
    schema: Buffer.from(JSON.stringify(schema)), layout: Buffer.from(JSON.stringify(layout)),
    checks: declared, credential_reads: [format], credential_writes: format,
    renewal_replay: enums.RenewalReplay.RENEWAL_REPLAY_NEVER,
  })),
  ValidateSettings: unary(({ settings }) => ({ diagnostics: check(settings).problems.map((p) => p.diagnostic()) })),
  BeginAuthorization: unary(begin),
  CompleteAuthorization: unary(complete),
  Identify: unary(async (request, call) => {
    const settings = load(request.settings);
    const me = await api(call, settings, accessOf(request.access), '/me');
    if (typeof me.id !== 'string' || !/^[\x20-\x7e]{1,256}$/.test(me.id)) throw unexpected();
    return { account: { id: me.id, login: text(me.login), name: text(me.name), enterprise_id: text(me.company), enterprise_name: '' } };
  }),
  TestConnection: test,
  OpenSession: unary(open),
  NarrowAccess: unary(narrow),
  RevokeAuthorization: unary(async (request, call) => {
    const settings = load(request.settings);
    if (!request.credential) throw misuse('it has no credential');
    const grant = grantOf(request.credential);
    await revoke(call, settings, grant.refresh ?? grant.access);
    return {};
  }),
});

function begin({ settings: bytes, redirect_uri: redirect = '', state = '', now }) {
  const settings = load(bytes);
  if (!state) throw misuse('it has no state');
  if (redirect.length > maxBlob) throw new Fault('LIMIT_EXCEEDED', 'HOST', 'The redirect URI is larger than 16 KiB.');
  if (!URL.canParse(redirect) || redirect.includes('#')) throw misuse("the redirect URI isn't absolute, or has a fragment");
  const verifier = randomBytes(32).toString('base64url');
  const expires = (millis(now) ?? Date.now()) + signInLasts;
  const query = new URLSearchParams({
    response_type: 'code', client_id: settings.client_id, redirect_uri: redirect, state,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256',
  });
  return { authorization_url: `${at(settings, '/authorize')}?${query}`, pending: seal({ verifier, redirect, expires }), expires_at: timestamp(expires) };
}

async function complete(request, call) {
  const settings = load(request.settings);
  checkFormat(request);
  const again = { suggestion: 'Begin the sign-in again.' };
  const { callback_url: callback = '', pending: blob = Buffer.alloc(0) } = request;
  if (callback.length > maxBlob || blob.length > maxBlob) throw new Fault('LIMIT_EXCEEDED', 'HOST', 'The callback or the pending sign-in is larger than 16 KiB.', again);
  const pending = unseal(blob);
  if (!pending) throw new Fault('AUTHORIZATION_INVALID', 'HOST', 'The pending sign-in is damaged.', again);
  if (call.now() >= pending.expires) throw new Fault('AUTHORIZATION_EXPIRED', 'HOST', 'The sign-in took too long.', again);
  if (!URL.canParse(callback)) throw new Fault('AUTHORIZATION_INVALID', 'HOST', "The callback isn't a URL.", again);
  const { searchParams: answer } = new URL(callback);
  if (answer.get('error') === 'access_denied') throw new Fault('AUTHORIZATION_DENIED', 'SERVICE', 'The person refused.', again);
  const code = answer.get('code');
  if (answer.has('error') || !code) throw new Fault('AUTHORIZATION_INVALID', 'SERVICE', 'The callback brings no code.', again);
  const grant = await token(call, settings, 'authorization_code', { code, redirect_uri: pending.redirect, code_verifier: pending.verifier });
  if (!grant.access) throw unexpected();
  const credential = credentialOf(grant);
  const warnings = grant.refresh ? [] : [new Fault('GRANT_NOT_RENEWABLE', 'SERVICE', "The sign-in can't be renewed.", { suggestion: 'Sign in again when it ends.' }).diagnostic('WARNING')];
  return { credential, warnings };
}

async function open(request, call) {
  const settings = load(request.settings);
  checkFormat(request);
  if (!request.credential) throw new Fault('SIGN_IN_REQUIRED', 'CONNECTOR', 'Nobody has signed in to Ledger yet.', { suggestion: 'Sign in first.' });
  const grant = grantOf(request.credential);
  if (request.allow_renew && !request.deadline) throw misuse('it may renew but has no deadline');
  const least = seconds(request.minimum_validity) ?? margin;
  const lasts = grant.access && (grant.expires === undefined || grant.expires - call.now() > least * 1000);
  if (lasts && !request.access_refused) return { access: accessFrom(settings, grant) };
  if (!request.allow_renew) throw new Fault('RENEWAL_REQUIRED', 'CONNECTOR', 'The access is too old, and this call may not renew it.', { suggestion: 'Ask again with permission to renew.' });
  if (!grant.refresh) throw new Fault('GRANT_NOT_RENEWABLE', 'SERVICE', "The sign-in can't be renewed.", { suggestion: 'Sign in again.' });
  const deadline = millis(request.deadline);
  const onTime = () => {
    if (Date.now() >= deadline) throw new Fault('DEADLINE_PASSED', 'HOST', 'The time in which a renewal may begin has passed.', { suggestion: 'Ask again.', disposition: 'RETRY' });
  };
  onTime();
  const renewed = await token(call, settings, 'refresh_token', { refresh_token: grant.refresh }, onTime);
  renewed.refresh ??= grant.refresh;
  renewed.scopes ??= grant.scopes;
  return { access: renewed.access && accessFrom(settings, renewed), credential: credentialOf(renewed) };
}

async function narrow(request, call) {
  const settings = load(request.settings);
  const parent = accessOf(request.access);
  const { scopes, resource = '' } = request;
  if (!scopes.length && !resource) throw misuse('it asks for neither scopes nor a resource');
  const parameters = { subject_token: parent, subject_token_type: 'urn:ietf:params:oauth:token-type:access_token' };
  if (scopes.length) parameters.scope = scopes.join(' ');
  if (resource) parameters.resource = resource;
  const made = await token(call, settings, 'urn:ietf:params:oauth:grant-type:token-exchange', parameters);
  if (!made.access || made.access === parent) throw unexpected();
  if (scopes.length && made.scopes?.some((s) => !scopes.includes(s))) throw unexpected();
  const ends = request.access.expires_at;
  const until = ends && Math.floor((ends.seconds ?? 0) * 1000 + (ends.nanos ?? 0) / 1e6); // never later than the whole
  if (until !== undefined) made.expires = Math.min(made.expires ?? until, until);
  return { access: accessFrom(settings, made) };
}

async function test(stream) {
  const call = context(stream);
  try {
    const settings = load(stream.request.settings);
    for await (const result of checks(settings, stream.request, call)) stream.write({ check: result });
    stream.end();
  } catch (err) {
    stream.emit('error', faultOf(err).status(new Metadata()));
  }
}

/** Makes a handler of a function, which answers or throws. */
function unary(handle) {
  return async (grpcCall, answer) => {
    try {
      answer(null, await handle(grpcCall.request, context(grpcCall)));
    } catch (err) {
      answer(faultOf(err).status(new Metadata()));
    }
  };
}

/** What a call brings beside its request: the host's clock, its end, the way to the service. */
function context(grpcCall) {
  const ended = new AbortController();
  grpcCall.on('cancelled', () => ended.abort(new Error('cancelled')));
  const begun = performance.now();
  const start = millis(grpcCall.request.now) ?? Date.now();
  const deadline = Number(grpcCall.getDeadline());
  const left = (margin = 0) => Math.max(1, Math.min(callLasts, deadline - margin - Date.now()));
  return {
    network: grpcCall.request.network,
    now: () => start + Math.floor(performance.now() - begun),
    left: () => deadline - Date.now(),
    signal: (margin) => AbortSignal.any([ended.signal, AbortSignal.timeout(left(margin))]),
  };
}

/** The one format there is may be named, and no other. */
function checkFormat({ credential_format: wanted = 0 }) {
  if (wanted && wanted !== format) throw misuse(`it asks for a credential of format ${wanted}, and this build writes ${format}`);
}

function grantOf(credential) {
  if (credential.format !== format) {
    throw new Fault('CREDENTIAL_UNREADABLE', 'HOST', `The credential has format ${credential.format ?? 0}; this build reads ${format}.`, { suggestion: 'Use the build that wrote it.' });
  }
  const grant = (credential.data?.length ?? 0) <= 64 << 10 ? unseal(credential.data) : undefined;
  if (!grant) throw new Fault('CREDENTIAL_UNREADABLE', 'HOST', 'The credential is damaged.', { suggestion: 'Restore it, or sign in again.' });
  return grant;
}

const credentialOf = (grant) => ({ format, data: seal(grant), access_expires_at: timestamp(grant.expires) });

const accessFrom = (settings, grant) => ({
  token: grant.access, token_type: 'Bearer', issued_at: timestamp(grant.issued), expires_at: timestamp(grant.expires),
  endpoints: { api: at(settings, '') }, scopes: grant.scopes && { values: grant.scopes }, refusal,
});

export function accessOf(access) {
  if (!access?.token) throw new Fault('SIGN_IN_REQUIRED', 'HOST', 'There is no access yet.', { suggestion: 'Sign in first.' });
  return access.token;
}

const text = (value) => (typeof value === 'string' ? value.slice(0, 200) : '');
export { status };
