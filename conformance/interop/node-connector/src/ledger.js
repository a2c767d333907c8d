// Ledger itself: people, grants and tokens (RFC 6749, 7009, 7636, 8693). A refresh token works once.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

export const people = {
  'ada@ledger.example': { id: 'u-1', login: 'ada@ledger.example', name: 'Ada Quill', company: 'c-7' },
  'dora@ledger.example': { id: 'u-2', login: 'dora@ledger.example', name: 'Dora Inke', company: '' },
};
const rights = ['read', 'write'];
const codeLasts = 30_000;
const accessToken = 'urn:ietf:params:oauth:token-type:access_token';

/** The state of the service. Its methods answer {status, body}, and throw nothing. */
export class Ledger {
  constructor(base, client) {
    Object.assign(this, { base, client });
    this.reset();
  }

  reset() {
    this.lifetime = 3600;
    this.offset = 0;
    this.renewable = true;
    this.tellsScopes = true;
    this.codes = new Map();
    this.access = new Map(); // token: {grant, expires, scopes, resource}
    this.refresh = new Map(); // token: grant
  }

  now() { return Date.now() + this.offset; }

  /** Answers as the person decided: {callback}, or {error} if nothing may be sent back to the redirect URI. */
  authorize(query, decision, login) {
    const redirect = query.get('redirect_uri') ?? '';
    if (query.get('client_id') !== this.client.id || query.get('response_type') !== 'code' || !onThisMachine(redirect)) {
      return { error: 'this client may not sign in so' };
    }
    const callback = new URL(redirect);
    if (query.has('state')) callback.searchParams.set('state', query.get('state'));
    if (decision !== 'allow') {
      callback.searchParams.set('error', 'access_denied');
    } else {
      const code = secret();
      const challenge = query.get('code_challenge');
      this.codes.set(code, { redirect, login, challenge, expires: this.now() + codeLasts });
      callback.searchParams.set('code', code);
    }
    return { callback: callback.href };
  }

  token(form) {
    if (!this.knows(form)) return refused(401, 'invalid_client');
    switch (form.get('grant_type')) {
      case 'authorization_code': return this.exchangeCode(form);
      case 'refresh_token': return this.renew(form);
      case 'urn:ietf:params:oauth:grant-type:token-exchange': return this.narrow(form);
      default: return refused(400, 'unsupported_grant_type');
    }
  }

  exchangeCode(form) {
    const code = this.codes.get(form.get('code'));
    this.codes.delete(form.get('code'));
    const challenge = createHash('sha256').update(form.get('code_verifier') ?? '').digest('base64url');
    if (!code || code.expires <= this.now() || code.redirect !== form.get('redirect_uri') || (code.challenge && code.challenge !== challenge)) {
      return refused(400, 'invalid_grant');
    }
    return this.issue({ login: code.login });
  }

  renew(form) {
    const grant = this.refresh.get(form.get('refresh_token'));
    if (!grant) return refused(400, 'invalid_grant');
    this.refresh.delete(form.get('refresh_token'));
    return this.issue(grant);
  }

  issue(grant) {
    const body = { access_token: this.keep(grant, this.now() + this.lifetime * 1000, rights), token_type: 'Bearer', expires_in: this.lifetime };
    if (this.tellsScopes) body.scope = rights.join(' ');
    if (this.renewable) {
      body.refresh_token = secret();
      this.refresh.set(body.refresh_token, grant);
    }
    return { status: 200, body };
  }

  narrow(form) {
    const whole = this.live(form.get('subject_token'));
    if (form.get('subject_token_type') !== accessToken) return refused(400, 'invalid_request');
    if (!whole) return refused(400, 'invalid_grant');
    const scopes = form.get('scope')?.split(' ') ?? whole.scopes;
    const resource = form.get('resource') ?? whole.resource;
    if (!scopes.every((s) => whole.scopes.includes(s))) return refused(400, 'invalid_scope');
    if (resource && (!resource.startsWith(`${this.base}/books/`) || (whole.resource && whole.resource !== resource))) {
      return refused(400, 'invalid_target');
    }
    const expires = Math.min(whole.expires, this.now() + this.lifetime * 1000);
    const body = {
      access_token: this.keep(whole.grant, expires, scopes, resource), token_type: 'Bearer',
      issued_token_type: accessToken, expires_in: Math.max(1, Math.floor((expires - this.now()) / 1000)),
    };
    if (this.tellsScopes) body.scope = scopes.join(' ');
    return { status: 200, body };
  }

  revoke(form) {
    if (!this.knows(form)) return refused(401, 'invalid_client');
    const value = form.get('token');
    const grant = this.refresh.get(value) ?? this.access.get(value)?.grant;
    if (grant) {
      for (const [token, of] of this.refresh) if (of === grant) this.refresh.delete(token);
      for (const [token, of] of this.access) if (of.grant === grant) this.access.delete(token);
    }
    return { status: 200, body: {} };
  }

  me(bearer) {
    const access = this.live(bearer);
    return access ? { status: 200, body: people[access.grant.login] }
      : { status: 401, headers: { 'www-authenticate': 'Bearer error="invalid_token"' }, body: { error: 'invalid_token' } };
  }

  keep(grant, expires, scopes, resource) {
    const token = secret();
    this.access.set(token, { grant, expires, scopes, resource });
    return token;
  }

  live(token) {
    const found = this.access.get(token);
    return found && found.expires > this.now() ? found : undefined;
  }

  alive() {
    return { access: [...this.access.keys()].filter((t) => this.live(t)).length, renewal: this.refresh.size };
  }

  knows(form) {
    return form.get('client_id') === this.client.id && same(form.get('client_secret') ?? '', this.client.secret);
  }
}

const refused = (status, error) => ({ status, body: { error } });
const sum = (text) => createHash('sha256').update(text).digest();

/** A new token, code or password. */
export const secret = () => randomBytes(24).toString('base64url');
export const same = (a, b) => timingSafeEqual(sum(a), sum(b));
export const fingerprint = (text) => sum(text).toString('hex').slice(0, 16);

function onThisMachine(redirect) {
  if (!URL.canParse(redirect) || redirect.includes('#')) return false;
  const { protocol, hostname } = new URL(redirect);
  return protocol === 'http:' && (hostname === 'localhost' || hostname === '127.0.0.1');
}
