// What RPC values are made of: the classes that user code sees, and what storage says of them.

import { native } from '../web/host.ts';
import { SafeSet, isArray, objectKeys, setTag } from '../web/primordials.ts';
import { webStreams } from '../web/host_modules.ts';

export const NativeDOMException = DOMException;
const kNodesMax = 10_000;

export class RpcTarget {}
setTag(RpcTarget.prototype, 'RpcTarget');

// For instanceof: the things themselves are proxies (rpc_stub.ts, stubs.ts, rpc_outgoing.ts).
export class RpcPromise {
  constructor() {
    throw new TypeError('Illegal constructor');
  }
}
export class RpcProperty {
  constructor() {
    throw new TypeError('Illegal constructor');
  }
}
function tag(prototype: object, name: string): void {
  Object.defineProperty(prototype, Symbol.toStringTag, { value: name, configurable: true });
}
tag(RpcPromise.prototype, 'JsRpcPromise');
tag(RpcProperty.prototype, 'JsRpcProperty');

// One target for all of these proxies: it only makes them callable.
export const callable = (() => {}) as unknown as Function;
delete (callable as any).name;
delete (callable as any).length;

export function cloneError(message: string): DOMException {
  return new NativeDOMException(message, 'DataCloneError');
}

export function isPrimitive(value: unknown): boolean {
  switch (typeof value) {
    case 'object':
      return value === null;
    case 'function':
    case 'symbol':
      return false;
    default:
      return true;
  }
}

// Longer texts are measured: with two bytes a character they may be too large.
const kSurelySmall = 16 * 1024 * 1024 - 1024;

export function isLongText(value: unknown): boolean {
  return typeof value === 'string' && value.length > kSurelySmall;
}

// ------------------------------------------------------------------------------------------------ storage

// Set by stubs.ts and rpc_stub.ts: what a stub is called, if the value is one.
export const stubNames: ((value: unknown) => string | undefined)[] = [];
const kNotStored = 'Remote RPC references can only be serialized for RPC.';

// Why a value cannot be stored, when it is one of the things that only RPC can carry.
function refusal(value: unknown): string | undefined {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return undefined;
  for (let i = 0; i < stubNames.length; i++) {
    const name = stubNames[i]!(value);
    if (name !== undefined) return `${name} cannot be serialized in this context.`;
  }
  if (value instanceof RpcTarget) return kNotStored;
  for (const [Class, name] of [[RpcPromise, 'RpcPromise'], [RpcProperty, 'RpcProperty']] as const) {
    if (value instanceof Class) return `Could not serialize object of type "${name}". This type does not support serialization.`;
  }
  if (typeof value === 'function') return undefined;
  const stream = streamName(value);
  return stream === undefined ? undefined : `${stream} can only be serialized for RPC.`;
}

function streamName(value: object): string | undefined {
  const name = (value as { [Symbol.toStringTag]?: unknown })[Symbol.toStringTag];
  if (name !== 'ReadableStream' && name !== 'WritableStream') return undefined;
  const { ReadableStream, WritableStream } = webStreams();
  return value instanceof ReadableStream || value instanceof WritableStream ? name : undefined;
}

// The first refusal inside `root`.
function findReference(root: unknown): string | undefined {
  const seen = new SafeSet<unknown>();
  const queue: unknown[] = [root];
  for (let at = 0; at < queue.length && at < kNodesMax; at++) {
    const item = queue[at];
    const why = refusal(item);
    if (why !== undefined) return why;
    if (typeof item !== 'object' || item === null || seen.has(item)) continue;
    seen.add(item);
    if (isArray(item)) {
      for (let i = 0; i < item.length; i++) queue.push(item[i]);
    } else if (item instanceof Map || item instanceof Set) {
      item.forEach((entry: unknown, key: unknown) => queue.push(key, entry));
    } else if (Object.getPrototypeOf(item) === Object.prototype) {
      const keys = objectKeys(item);
      for (let i = 0; i < keys.length; i++) queue.push((item as Record<string, unknown>)[keys[i]!]);
    }
  }
  return undefined;
}

export function isCloneError(error: unknown): boolean {
  return error instanceof NativeDOMException && error.name === 'DataCloneError';
}

// What a failed serialisation of `value` for storage should say.
export function storageCloneError(error: unknown, value: unknown): unknown {
  if (!isCloneError(error)) return error;
  const what = findReference(value);
  return what === undefined ? error : cloneError(what);
}

export function refuseReference(value: unknown): void {
  if (typeof value === 'object' && value instanceof RpcTarget) {
    throw cloneError(kNotStored);
  }
}

// Throws Cloudflare's text when `value` is too large for a message.
export function measure(value: unknown): void {
  native.serialize(value, 1);
}
