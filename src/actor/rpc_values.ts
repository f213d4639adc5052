// Values that cross a stub (spec 9.3): copies, and clear words about what cannot be copied yet.

import { native } from '../web/host.ts';
import { SafeSet, isArray, objectKeys, setTag } from '../web/primordials.ts';
import { webStreams } from '../web/host_modules.ts';

const NativeDOMException = DOMException;
const kNodesMax = 10_000;

export class RpcTarget {}
setTag(RpcTarget.prototype, 'RpcTarget');

function notYet(): never {
  throw new Error('RpcStub is not supported by this version of Holdfast yet.');
}

// For instanceof; functions and targets by reference come with a later version.
export class RpcStub {
  constructor(_target: unknown) {
    notYet();
  }
}
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

// Set by stubs.ts: whether a value is a stub, and what to call it.
export const stubNames: ((value: unknown) => string | undefined)[] = [];

function nameOf(value: unknown): string | undefined {
  for (let i = 0; i < stubNames.length; i++) {
    const name = stubNames[i]!(value);
    if (name !== undefined) return name;
  }
  if (typeof value === 'function') return 'A function';
  if (typeof value !== 'object' || value === null) return undefined;
  if (value instanceof RpcTarget) return 'An RpcTarget';
  const tag = (value as { [Symbol.toStringTag]?: unknown })[Symbol.toStringTag];
  if (tag === 'ReadableStream' || tag === 'WritableStream') {
    const { ReadableStream, WritableStream } = webStreams();
    if (value instanceof ReadableStream || value instanceof WritableStream) return `A ${tag}`;
  }
  if (tag === 'Request' || tag === 'Response' || tag === 'Headers' || tag === 'Blob' || tag === 'AbortSignal') {
    return tag === 'Headers' ? tag : `${tag === 'AbortSignal' ? 'An' : 'A'} ${tag}`;
  }
  return undefined;
}

// The first thing inside `value` that Cloudflare would pass by reference or as a stream.
function findUnsupported(value: unknown): string | undefined {
  const seen = new SafeSet<unknown>();
  const queue: unknown[] = [value];
  for (let at = 0; at < queue.length && at < kNodesMax; at++) {
    const item = queue[at];
    const name = nameOf(item);
    if (name !== undefined) return name;
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

function isCloneError(error: unknown): boolean {
  return error instanceof NativeDOMException && error.name === 'DataCloneError';
}

// What a failed serialisation of `value` for a call should say.
export function rpcCloneError(error: unknown, value: unknown): unknown {
  if (!isCloneError(error)) return error;
  const what = findUnsupported(value);
  if (what === undefined) return error;
  return new NativeDOMException(`${what} cannot be passed over RPC by this version of Holdfast yet.`, 'DataCloneError');
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

const kBytesMax = 32 * 1024 * 1024;
// What V8's format puts before a text: version, tag, length.
const kTextHeaderBytes = 7;

// Of what is not serialised here, only a text can be too large.
export function checkTextSize(value: unknown): void {
  if (typeof value !== 'string' || value.length <= kBytesMax - kTextHeaderBytes) return;
  throw new Error(
    'Serialized RPC arguments or return values are limited to 32MiB, but the size of this value was: ' +
      `${value.length + kTextHeaderBytes} bytes.`,
  );
}

// A copy as the other side of a call gets it.
export function copyForRpc(value: unknown): unknown {
  if (isPrimitive(value)) {
    checkTextSize(value);
    return value;
  }
  try {
    return native.clone(value, 1);
  } catch (error) {
    throw rpcCloneError(error, value);
  }
}

export function copyArguments(args: unknown[]): unknown[] {
  for (let i = 0; i < args.length; i++) {
    checkTextSize(args[i]);
    if (!isPrimitive(args[i])) return copyForRpc(args) as unknown[];
  }
  return args;
}

const kNotStored = 'Remote RPC references can only be serialized for RPC.';

// What a failed serialisation of `value` for storage should say.
export function storageCloneError(error: unknown, value: unknown): unknown {
  if (!isCloneError(error)) return error;
  const what = findUnsupported(value);
  if (what === undefined || what === 'A function') return error;
  return new NativeDOMException(kNotStored, 'DataCloneError');
}

export function refuseReference(value: unknown): void {
  if (typeof value === 'object' && value instanceof RpcTarget) throw new NativeDOMException(kNotStored, 'DataCloneError');
}
