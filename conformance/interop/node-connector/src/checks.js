// The connection test.
import { enums } from './contract.js';
import { Fault, faultOf } from './diagnostic.js';
import { api, at } from './oauth.js';
import { send } from './network.js';

const { CHECK_STATUS_PASSED: passed, CHECK_STATUS_FAILED: failed, CHECK_STATUS_WARNING: warning, CHECK_STATUS_SKIPPED: skipped, CHECK_STATUS_NOT_RUN: notRun } = enums.CheckStatus;
const { SIDE_EFFECT_NONE: none, SIDE_EFFECT_READ: read } = enums.SideEffect;
const reserve = 500; // milliseconds of the call that are kept for telling what wasn't run

export const declared = [
  { id: 'service', title: 'Ledger can be reached', depends_on: [], side_effect: none },
  { id: 'token', title: 'The token is accepted', depends_on: ['service'], side_effect: read },
  { id: 'scopes', title: 'Needed scopes are granted', depends_on: ['token'], side_effect: none },
];

/** Runs the checks in their order and yields each result. */
export async function* checks(settings, request, call) {
  const run = {
    service: async () => {
      const { status } = await send(call.network, at(settings, '/status'), { signal: call.signal(reserve) });
      if (status !== 200) throw new Fault('SERVICE_UNAVAILABLE', 'SERVICE', `Ledger answers with status ${status}.`, { disposition: 'RETRY', suggestion: 'Check the service URL.' });
      return { status: passed, message: 'It answers.' };
    },
    token: async () => {
      const me = await api(call, settings, request.access.token, '/me', reserve);
      return { status: passed, message: `Signed in as ${String(me.login).slice(0, 100)}.` };
    },
    scopes: async () => {
      const granted = request.access.scopes?.values;
      if (!granted) return { status: warning, diagnostic: new Fault('SCOPES_UNKNOWN', 'SERVICE', "Ledger didn't tell which scopes it granted.").diagnostic('WARNING') };
      const missing = request.required_scopes.filter((s) => !granted.includes(s));
      if (missing.length) throw new Fault('SCOPE_MISSING', 'SERVICE', `Not granted: ${missing.join(' ').slice(0, 200)}.`, { disposition: 'ASK_ADMINISTRATOR', suggestion: 'Allow them for the client at Ledger.' });
      return { status: passed };
    },
  };
  const good = new Set();
  for (const check of declared) {
    const begun = performance.now();
    let result;
    if (call.left() < reserve) result = { status: notRun };
    else if (check.depends_on.some((id) => !good.has(id)) || (check.id !== 'service' && !request.access?.token)) result = { status: skipped };
    else {
      try {
        result = await run[check.id]();
      } catch (err) {
        result = { status: failed, diagnostic: faultOf(err).diagnostic() };
      }
    }
    if (result.status === passed || result.status === warning) good.add(check.id);
    const took = performance.now() - begun;
    yield { ...check, ...result, duration: { seconds: Math.floor(took / 1000), nanos: Math.round((took % 1000) * 1e6) } };
  }
}
