// The way to the service: proxy, certificates, limits, and failures in words.
import { rootCertificates } from 'node:tls';
import { DecoratorHandler, EnvHttpProxyAgent, errors } from 'undici';
import { Fault } from './diagnostic.js';

const agents = new Map(); // by network; a few at most
const maxAgents = 16;
const timeouts = { headersTimeout: 30_000, bodyTimeout: 30_000 };

/** Sends a request and reads its answer, at most `limit` bytes of it. Redirects are answers like others. */
export async function send(network, url, { method = 'GET', headers = {}, body, signal, limit = 1 << 20, begin }) {
  let dispatcher = agent(network);
  if (begin) dispatcher = dispatcher.compose((dispatch) => (options, handler) => dispatch(options, new Gate(handler, begin)));
  try {
    const answer = await dispatcher.request({ ...target(url), method, headers, body, signal });
    return { status: answer.statusCode, headers: answer.headers, body: await read(answer.body, limit) };
  } catch (err) {
    throw failure(err, new URL(url).host, signal);
  }
}

/** Runs a check when the connection stands and nothing of the request is written yet. */
class Gate extends DecoratorHandler {
  constructor(handler, begin) {
    super(handler);
    this.begin = begin;
  }

  onRequestStart(controller, context) {
    try {
      this.begin();
    } catch (err) {
      return controller.abort(err);
    }
    return super.onRequestStart(controller, context);
  }
}

function target(url) {
  const u = new URL(url);
  return { origin: u.origin, path: u.pathname + u.search };
}

function agent(network) {
  const [proxy, direct, extra] = [network?.proxy_url ?? '', (network?.no_proxy ?? []).join(','), network?.extra_cas ?? Buffer.alloc(0)];
  const key = JSON.stringify([proxy, direct, extra.toString('base64')]);
  let found = agents.get(key);
  if (!found) {
    const ca = extra.length ? [...rootCertificates, extra.toString()] : rootCertificates; // named, so that the environment adds none
    const connect = { ca, timeout: 10_000 };
    try {
      found = new EnvHttpProxyAgent({ httpProxy: proxy, httpsProxy: proxy, noProxy: direct, connect, requestTls: connect, proxyTls: connect, proxyTunnel: false, ...timeouts });
    } catch {
      throw new Fault('PROXY_FAILED', 'NETWORK', "The proxy's URL can't be used.", { suggestion: 'Correct the proxy of the connection.' });
    }
    if (agents.size >= maxAgents) agents.delete(agents.keys().next().value);
    agents.set(key, found);
  }
  return found;
}

async function read(body, limit) {
  const parts = [];
  let size = 0;
  for await (const part of body) {
    size += part.length;
    if (size > limit) throw new Fault('UNEXPECTED_ANSWER', 'SERVICE', 'The answer is larger than any that the service gives.', { suggestion: 'Check the service URL.', disposition: 'RETRY' });
    parts.push(part);
  }
  return Buffer.concat(parts);
}

function failure(err, host, signal) {
  if (err instanceof Fault) return err;
  if (err?.cause instanceof Fault) return err.cause;
  const retry = { disposition: 'RETRY', suggestion: 'Try again; check the service URL and the network.' };
  if (signal?.aborted) {
    return signal.reason?.name === 'TimeoutError'
      ? new Fault('TIMED_OUT', 'NETWORK', `${host} didn't answer in time.`, retry)
      : new Fault('CANCELED', 'HOST', 'The call was ended.', {});
  }
  const code = err?.code ?? err?.cause?.code ?? '';
  if (/^(ENOTFOUND|EAI_)/.test(code)) return new Fault('NAME_RESOLUTION_FAILED', 'NETWORK', `The name of ${host} isn't known.`, retry);
  if (/CERT|SELF_SIGNED|TLS|SSL|ALTNAME/.test(code)) {
    return new Fault('TLS_FAILED', 'NETWORK', `The certificate of ${host} isn't trusted.`, { suggestion: "Give the certificate of its authority with the connection's network." });
  }
  if (err instanceof errors.HeadersTimeoutError || err instanceof errors.BodyTimeoutError || err instanceof errors.ConnectTimeoutError) {
    return new Fault('TIMED_OUT', 'NETWORK', `${host} didn't answer in time.`, retry);
  }
  if (err instanceof errors.RequestAbortedError || /Proxy/.test(err?.message ?? '')) {
    return new Fault('PROXY_FAILED', 'NETWORK', `The proxy refused the way to ${host}.`, retry);
  }
  return new Fault('CONNECTION_FAILED', 'NETWORK', `The connection to ${host} failed.`, retry);
}

/** Seconds of a Retry-After header, as a number or a date. */
export function retryAfter(headers) {
  const value = headers['retry-after'];
  if (!value) return 0;
  const seconds = /^\d+$/.test(value) ? Number(value) : (Date.parse(value) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.min(Math.max(seconds, 0), 86_400) : 0;
}
