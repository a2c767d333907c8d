// The messages of the contract. build.mjs reads the .proto files and puts what they say into the bundle.
import protobuf from 'protobufjs/light.js';
import definitions from '../dist/contract.json';

const root = protobuf.Root.fromJSON(definitions);
const v1 = 'integration.connector.v1';

export const enums = Object.fromEntries(
  ['Capability', 'SignIn', 'RenewalReplay', 'CheckStatus', 'SideEffect', 'Severity', 'Disposition', 'Origin', 'Code']
    .map((name) => [name, root.lookupEnum(`${v1}.${name}`).values]),
);

export const encode = (type, value) => {
  const message = root.lookupType(type);
  return Buffer.from(message.encode(message.fromObject(value)).finish());
};

/** Decodes a message: what is absent is undefined, lists and maps are there, enums are numbers. */
export const decode = (type, bytes) => {
  const message = root.lookupType(type);
  return message.toObject(message.decode(bytes), { longs: Number, bytes: Buffer, arrays: true, objects: true });
};

/** A service in the form that the gRPC server takes. */
export function service(name) {
  return Object.fromEntries(root.lookupService(name).methodsArray.map((method) => {
    const pkg = name.slice(0, name.lastIndexOf('.'));
    const [request, response] = [method.requestType, method.responseType].map((t) => (t.includes('.') ? t : `${pkg}.${t}`));
    return [method.name, {
      path: `/${name}/${method.name}`,
      requestStream: Boolean(method.requestStream),
      responseStream: Boolean(method.responseStream),
      requestSerialize: (v) => encode(request, v),
      requestDeserialize: (b) => decode(request, b),
      responseSerialize: (v) => encode(response, v),
      responseDeserialize: (b) => decode(response, b),
    }];
  }));
}

/** Milliseconds of a timestamp; undefined for an absent one. A part of a millisecond counts as a whole one. */
export const millis = (t) => (t ? (t.seconds ?? 0) * 1000 + Math.ceil((t.nanos ?? 0) / 1e6) : undefined);
export const seconds = (d) => (d ? (d.seconds ?? 0) + (d.nanos ?? 0) / 1e9 : undefined);
export const timestamp = (ms) => (ms === undefined ? undefined
  : { seconds: Math.floor(ms / 1000), nanos: Math.round((ms - Math.floor(ms / 1000) * 1000) * 1e6) });
