// Ledger as a process, and the control protocol by which a suite has it fail (conformance/PEER.md). It prints one
// line with its addresses, and ends when its standard input is closed.
import { createServer } from 'node:http';
import { fingerprint, Ledger, people, same, secret } from './ledger.js';

const maxBody = 1 << 20;
const control = secret();
const client = { id: 'client-1', secret: secret() };
const server = createServer((req, res) => {
  serve(req, res).catch(() => { res.destroy(); });
});

let ledger;
let journal = [];
let last = 0;
let faults = [];
let held = []; // functions that let a request go on

server.listen(0, '127.0.0.1', () => {
  const base = `http://127.0.0.1:${server.address().port}`;
  ledger = new Ledger(base, client);
  const line = { service_url: base, client_id: client.id, client_secret: client.secret, control_url: `${base}/_control`, control_token: control };
  process.stdout.write(`${JSON.stringify(line)}\n`);
});
process.stdin.on('end', () => process.exit(0)).on('error', () => process.exit(0)).resume();

async function serve(req, res) {
  const url = new URL(req.url, ledger.base);
  const body = await read(req);
  if (url.pathname.startsWith('/_control/')) return answer(res, command(req, url, body));

  const form = new URLSearchParams(body);
  const entry = enter(req, res, url.pathname, form);
  const at = faults.findIndex((f) => (f.on === 'any' || f.on === entry.kind) && (!f.grant || f.grant === entry.grant));
  const fault = faults[at] ?? {};
  if (at >= 0 && fault.times > 0 && (fault.times -= 1) === 0) faults.splice(at, 1);

  if (fault.hold) await new Promise((go) => { held.push(go); });
  if (fault.delay_ms) await new Promise((go) => { setTimeout(go, fault.delay_ms); });
  if (fault.drop === 'before') return res.destroy();
  if (fault.status) return answer(res, { status: fault.status, headers: fault.headers, body: fault.body ?? '' }, entry);
  if (fault.meaning === 'client_rejected') return answer(res, { status: 401, body: { error: 'invalid_client' } }, entry);

  const made = route(req, url, form);
  entry.succeeded = made.status < 400;
  entry.issued = ['access_token', 'refresh_token'].map((n) => made.body?.[n]).filter(Boolean).map(fingerprint);
  if (fault.drop === 'after') return res.destroy();
  if (entry.succeeded && fault.meaning === 'unusable_access') made.body.access_token = 'no token ';
  if (entry.succeeded && fault.meaning === 'narrow_wider') Object.assign(made.body, { access_token: secret(), scope: 'read write admin' });
  return answer(res, made, entry);
}

function route(req, url, form) {
  const is = (method, path) => req.method === method && url.pathname === path;
  if (is('GET', '/authorize')) {
    const { callback, error } = ledger.authorize(url.searchParams, 'allow', Object.keys(people)[0]);
    return error ? { status: 400, body: { error } } : { status: 302, headers: { location: callback }, body: '' };
  }
  if (is('POST', '/token')) return ledger.token(form);
  if (is('POST', '/revoke')) return ledger.revoke(form);
  if (is('GET', '/me')) return ledger.me(bearer(req));
  if (is('GET', '/status')) return { status: 200, body: { ok: true } };
  return { status: 404, body: { error: 'not_found' } };
}

/** Lists a request. */
function enter(req, res, path, form) {
  const kind = { '/authorize': 'authorize', '/token': 'token', '/revoke': 'revoke', '/me': 'api', '/status': 'api' }[path] ?? 'other';
  const presented = [bearer(req), ...['refresh_token', 'subject_token', 'token'].map((n) => form.get(n))].filter(Boolean).map(fingerprint);
  const entry = {
    seq: last += 1, kind, grant: form.get('grant_type') ?? '', status: 0, succeeded: false, done: false, gone: false,
    presented, issued: [], redirect_uri: form.get('redirect_uri') ?? '',
  };
  journal.push(entry);
  res.on('close', () => {
    entry.done = true;
    entry.gone = !res.writableFinished && !res.destroyedHere;
  });
  const destroy = res.destroy.bind(res);
  res.destroy = () => { res.destroyedHere = true; req.socket.destroy(); return destroy(); };
  return entry;
}

/** Runs a call of the control protocol. */
function command(req, url, body) {
  if (!same(req.headers.authorization ?? '', `Bearer ${control}`)) return { status: 401, body: { error: 'unauthorized' } };
  let given;
  try {
    given = body ? JSON.parse(body) : {};
  } catch {
    return { status: 400, body: { error: 'the body is not JSON' } };
  }
  const done = { status: 200, body: {} };
  switch (`${req.method} ${url.pathname.slice('/_control'.length)}`) {
    case 'POST /consent': {
      if (!people[given.person] || !['allow', 'deny'].includes(given.decision) || !URL.canParse(given.url)) return { status: 400, body: { error: 'unknown person, decision or URL' } };
      const { callback, error } = ledger.authorize(new URL(given.url).searchParams, given.decision, given.person);
      return error ? { status: 400, body: { error } } : { status: 200, body: { callback } };
    }
    case 'GET /requests':
      return { status: 200, body: { requests: journal.filter((e) => e.seq > Number(url.searchParams.get('since') ?? 0)), last } };
    case 'POST /faults':
      if (given.meaning === 'scopes_untold') ledger.tellsScopes = false;
      else if (given.meaning === 'not_renewable') ledger.renewable = false;
      else faults.push({ times: 1, ...given });
      return done;
    case 'DELETE /faults':
      letGo();
      return done;
    case 'POST /lifetime':
      ledger.lifetime = given.seconds;
      return done;
    case 'POST /clock':
      ledger.offset += given.advance_seconds * 1000;
      return done;
    case 'POST /expire':
      ledger.access.clear();
      return done;
    case 'POST /rotate':
      ledger.refresh.clear();
      return done;
    case 'POST /kill':
      ledger.access.clear();
      ledger.refresh.clear();
      return done;
    case 'GET /alive':
      return { status: 200, body: ledger.alive() };
    case 'POST /reset':
      letGo();
      journal = [];
      ledger.reset();
      return done;
    default:
      return { status: 404, body: { error: 'no such call' } };
  }
}

function letGo() {
  faults = [];
  for (const go of held.splice(0)) go();
}

function answer(res, { status, headers = {}, body }, entry) {
  if (entry) entry.status = status;
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const type = typeof body === 'string' ? 'text/html' : 'application/json';
  res.writeHead(status, { 'content-type': type, 'cache-control': 'no-store', 'content-length': Buffer.byteLength(text), ...headers });
  res.end(text);
}

async function read(req) {
  let text = '';
  for await (const part of req.setEncoding('utf8')) {
    text += part;
    if (text.length > maxBody) throw new Error('the body is too large');
  }
  return text;
}

const bearer = (req) => /^Bearer (\S+)$/i.exec(req.headers.authorization ?? '')?.[1];
