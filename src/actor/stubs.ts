// Stubs as user code sees them: Fetcher (a service), DurableObject (an object), and the properties that calls go through
// (spec 1.4, 9.1).
//
// Any name may be a method of the other side. V8 has interceptors for that, TypeScript has a Proxy: it stands at the end of
// the stubs' prototype chain, so that own properties and real methods win and cost nothing.

import { flag } from '../web/compat.ts';
import { SafeWeakSet, defineProperty, makeEnumerable, promiseReject, setPrototypeOf, setTag } from '../web/primordials.ts';
import { kIllegalInvocation } from '../web/headers.ts';
import { type RequestInit, Request, isRequest } from '../web/request.ts';
import type { Response } from '../web/response.ts';
import { fetchThrough } from './calls.ts';
import type { DurableObjectId } from './ids.ts';
import { type Channel, isIndex, isRemoteName, makeProperty } from './rpc_outgoing.ts';
import { channels } from './rpc_refs.ts';
import { callable, stubNames } from './rpc_values.ts';

const ObjectPrototype = Object.prototype as unknown as Record<PropertyKey, unknown>;
const kInternal = Symbol('internal');

const hasRpc = flag('rpc');
const needsFullUrl = flag('durable_object_fetch_requires_full_url');
const hasGetPutDelete = !flag('fetcher_no_get_put_delete');

let channelOf: (stub: unknown) => Channel | undefined;

// The end of a stub's prototype chain.
const wildcard = new Proxy(Object.create(Object.prototype) as object, {
  get(_target, key, receiver): unknown {
    if (typeof key === 'symbol' || key in ObjectPrototype) return Reflect.get(ObjectPrototype, key, receiver);
    if (key === 'then') return undefined;
    const channel = channelOf(receiver);
    if (channel === undefined) return undefined;
    if (channel.lastName === key) return channel.lastProperty;
    if (isIndex(key)) return undefined;
    channel.lastName = key;
    return (channel.lastProperty = makeProperty(channel, [key]));
  },
  has(_target, key): boolean {
    return isRemoteName(key) || key in ObjectPrototype;
  },
  // An assignment makes an own property of the stub.
  set(_target, key, value, receiver): boolean {
    return Reflect.defineProperty(receiver as object, key, { value, writable: true, enumerable: true, configurable: true });
  },
});

export class Fetcher {
  readonly #channel: Channel;

  static {
    channelOf = (stub) => (typeof stub === 'object' && stub !== null && #channel in stub ? (stub as Fetcher).#channel : undefined);
  }

  constructor(token: symbol, channel: Channel) {
    if (token !== kInternal) throw new TypeError('Illegal constructor');
    this.#channel = channel;
  }

  fetch(input: Request | string | URL, init: RequestInit | Request | undefined = undefined): Promise<Response> {
    try {
      if (!(#channel in this)) throw new TypeError(kIllegalInvocation);
      return fetchThrough(this.#channel, toRequest(input, init));
    } catch (error) {
      return promiseReject(error);
    }
  }

  connect(): never {
    throw new Error('connect() on a stub is not supported by this version of Holdfast yet.');
  }
}
setTag(Fetcher.prototype, 'Fetcher');
makeEnumerable(Fetcher.prototype, ['fetch', 'connect']);
if (hasRpc) setPrototypeOf(Fetcher.prototype, wildcard);

export function toRequest(input: Request | string | URL, init: RequestInit | Request | undefined): Request {
  if (input === undefined) {
    throw new TypeError("Failed to execute 'fetch' on 'Fetcher': parameter 1 is not of type 'Request or string'.");
  }
  if (init === undefined && isRequest(input)) return input;
  if (!needsFullUrl && !isRequest(input)) return new Request(new URL(`${input as string}`, 'https://fake-host/').href, init);
  return new Request(input, init);
}

// The old helpers of service bindings.
if (hasGetPutDelete) {
  const helpers = {
    async get(this: Fetcher, url: string, type: 'text' | 'json' | 'stream' | 'arrayBuffer' = 'text'): Promise<unknown> {
      const response = await this.fetch(url);
      if (response.status === 404 || response.status === 410) return null;
      if (!response.ok) throw new Error(`HTTP GET request failed: ${response.status} ${response.statusText}`);
      if (type === 'stream') return response.body;
      if (type === 'text' || type === 'json' || type === 'arrayBuffer') return response[type]();
      throw new TypeError('Unknown response type. Possible types are "text", "arrayBuffer", "json", and "stream".');
    },
    async put(this: Fetcher, url: string, body: never): Promise<void> {
      const response = await this.fetch(url, { method: 'PUT', body });
      if (!response.ok) throw new Error(`HTTP PUT request failed: ${response.status} ${response.statusText}`);
    },
    async delete(this: Fetcher, url: string): Promise<void> {
      const response = await this.fetch(url, { method: 'DELETE' });
      if (!response.ok) throw new Error(`HTTP DELETE request failed: ${response.status} ${response.statusText}`);
    },
  };
  for (const [name, value] of Object.entries(helpers)) {
    defineProperty(Fetcher.prototype, name, { value, writable: true, configurable: true, enumerable: true });
  }
}

export class DurableObjectStub extends Fetcher {
  declare name: string | undefined;
  declare id: DurableObjectId;

  constructor(token: symbol, channel: Channel, id: DurableObjectId) {
    super(token, channel);
    this.name = id.name;
    this.id = id;
  }
}
setTag(DurableObjectStub.prototype, 'DurableObject');

// `stub.constructor` must not make stubs; it must still answer instanceof.
function illegalConstructor(name: string, prototype: object): void {
  const value = { [name]: function (): never {
    throw new TypeError('Illegal constructor');
  } }[name]!;
  defineProperty(value, 'prototype', { value: prototype, writable: false });
  defineProperty(prototype, 'constructor', { value, writable: true, configurable: true });
}
illegalConstructor('Fetcher', Fetcher.prototype);
illegalConstructor('DurableObject', DurableObjectStub.prototype);

export function makeFetcher(channel: Channel): Fetcher {
  return new Fetcher(kInternal, channel);
}

export function makeStub(channel: Channel, id: DurableObjectId): DurableObjectStub {
  return new DurableObjectStub(kInternal, channel, id);
}

const callableChannels = new SafeWeakSet<object>();
channels.of = channelOf;
channels.isCallable = (value) => callableChannels.has(value);
channels.stub = makeFetcher;
stubNames.push((value) => (value instanceof Fetcher ? 'ServiceStub' : undefined));

// A callable stub: `ctx.exports.Foo` and `ctx.exports.Foo({props})`.
export function makeCallableFetcher(channel: Channel, withOptions: (options: unknown) => Fetcher, tag: string): unknown {
  const stub = makeFetcher(channel);
  defineProperty(stub, Symbol.toStringTag, { value: tag });
  const proxy = new Proxy(callable, {
    apply: (_target, _self, args) => withOptions(args[0]),
    get: (_target, key) => {
      const value = Reflect.get(stub, key, stub) as unknown;
      return key === 'fetch' && typeof value === 'function' ? value.bind(stub) : value;
    },
    has: (_target, key) => key in stub,
    set: (_target, key, value) => Reflect.set(stub, key, value, stub),
    getPrototypeOf: () => Fetcher.prototype,
    ownKeys: () => [],
    getOwnPropertyDescriptor: () => undefined,
  });
  callableChannels.add(proxy);
  return proxy;
}
