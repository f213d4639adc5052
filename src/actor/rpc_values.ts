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

// Set by stubs.ts: whether a value is a stub.
export const stubTests: ((value: unknown) => boolean)[] = [];

function isReference(value: unknown): boolean {
  for (let i = 0; i < stubTests.length; i++) if (stubTests[i]!(value)) return true;
  return typeof value === 'object' && value !== null && value instanceof RpcTarget;
}

function streamName(value: object): string | undefined {
  const name = (value as { [Symbol.toStringTag]?: unknown })[Symbol.toStringTag];
  if (name !== 'ReadableStream' && name !== 'WritableStream') return undefined;
  const { ReadableStream, WritableStream } = webStreams();
  return value instanceof ReadableStream || value instanceof WritableStream ? name : undefined;
}

// What is wrong with `value`, when it is one of the things that only RPC can carry.
function findReference(root: unknown): string | undefined {
  const seen = new SafeSet<unknown>();
  const queue: unknown[] = [root];
  for (let at = 0; at < queue.length && at < kNodesMax; at++) {
    const item = queue[at];
    if (isReference(item)) return 'Remote RPC references can only be serialized for RPC.';
    if (typeof item !== 'object' || item === null || seen.has(item)) continue;
    seen.add(item);
    const stream = streamName(item);
    if (stream !== undefined) return `${stream} can only be serialized for RPC.`;
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
    throw cloneError('Remote RPC references can only be serialized for RPC.');
  }
}

// Throws Cloudflare's text when `value` is too large for a message.
export function measure(value: unknown): void {
  native.serialize(value, 1);
}
