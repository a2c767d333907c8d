// The settings: read, brought to their normal form, and everything that is wrong with them found at once.
import Ajv from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import layout from './layout.json';
import schema from './schema.json';
import { Fault } from './diagnostic.js';

export { layout, schema };

const maxBytes = 256 << 10;
const ajv = new Ajv({ allErrors: true, strict: false });
formats(ajv);
const valid = ajv.compile(schema);
const order = layout.elements.flatMap((c) => c.elements.map((e) => e.scope.split('/').pop()));

/** Returns the settings in their normal form, and the problems. */
export function check(bytes) {
  if ((bytes?.length ?? 0) > maxBytes) {
    return problem('LIMIT_EXCEEDED', '', 'The settings are larger than 256 KiB.', 'Shorten them.');
  }
  let given;
  try {
    given = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes ?? Buffer.alloc(0)));
  } catch {
    given = undefined;
  }
  if (given === null || typeof given !== 'object' || Array.isArray(given)) {
    return problem('SETTINGS_UNREADABLE', '', "The settings aren't one JSON object in UTF-8.", 'Send an object.');
  }
  const settings = normal(given);
  const found = new Map();
  const add = (name, code, summary, suggestion) => {
    if (!found.has(name)) found.set(name, fault(code, `/${escape(name)}`, summary, suggestion));
  };
  valid(settings);
  for (const e of valid.errors ?? []) {
    const name = e.instancePath.slice(1);
    if (e.keyword === 'required') add(e.params.missingProperty, 'SETTING_REQUIRED', `${title(e.params.missingProperty)} is missing.`, 'Fill it in.');
    else if (e.keyword === 'additionalProperties') add(e.params.additionalProperty, 'SETTING_UNKNOWN', 'There is no setting of this name.', 'Remove it.');
    else add(name, 'SETTING_INVALID', `${title(name)} can't be used.`, `It must be ${wanted(e)}.`);
  }
  for (const [name, p] of Object.entries(schema.properties)) {
    if (p['x-required'] && settings[name] === undefined) add(name, 'SETTING_REQUIRED', `${title(name)} is missing.`, 'Fill it in.');
    if (p['x-destination'] && typeof settings[name] === 'string' && !found.has(name) && !destination(settings[name])) {
      add(name, 'SETTING_INVALID', `${title(name)} can't be used.`, 'It must be an https URL; http is for this machine only.');
    }
  }
  const known = order.filter((n) => found.has(n));
  const unknown = [...found.keys()].filter((n) => !order.includes(n)).sort();
  return { settings, problems: [...known, ...unknown].map((n) => found.get(n)) };
}

/** Returns settings that are right, or throws the first problem. */
export function load(bytes) {
  const { settings, problems } = check(bytes);
  if (problems.length) throw problems[0];
  return settings;
}

function normal(given) {
  const settings = {};
  for (const [name, value] of Object.entries(given)) {
    if (!Object.hasOwn(schema.properties, name)) {
      settings[name] = value; // unknown, whatever it holds
      continue;
    }
    const text = typeof value === 'string' ? value.trim() : value;
    if (text !== null && text !== '') settings[name] = text;
  }
  for (const [name, p] of Object.entries(schema.properties)) {
    if (settings[name] === undefined && p.default !== undefined) settings[name] = p.default;
  }
  return settings;
}

function destination(text) {
  let url;
  try { url = new URL(text); } catch { return false; }
  if (url.username || url.password || url.hash || url.search) return false;
  return url.protocol === 'https:' || (url.protocol === 'http:' && loopback(url.hostname));
}

export const loopback = (host) => host === 'localhost' || host.endsWith('.localhost') || host === '[::1]' || /^127(\.\d{1,3}){3}$/.test(host);

const title = (name) => schema.properties[name]?.title ?? 'A setting';
const wanted = (e) => ({ type: 'text', format: 'a URL', pattern: 'of the form that its help describes' }[e.keyword] ?? 'another value');
const escape = (name) => name.replace(/~/g, '~0').replace(/\//g, '~1').slice(0, 200);
const fault = (code, pointer, summary, suggestion) => new Fault(code, 'SETTINGS', summary, { pointer, suggestion, disposition: 'FIX_SETTINGS' });
const problem = (...args) => ({ settings: {}, problems: [fault(...args)] });
